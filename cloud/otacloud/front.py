"""What every request passes first: it gets an id, its address's quota is looked at, the log gets a line.

A line names who asked for what, and what came of it: never a body, a query or a header.
"""

import itertools
import logging
import re
import secrets
import time

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from otacloud.errors import answer, answer_status, refuse
from otacloud.logs import ABOUT, shows
from otacloud.quotas import Quotas

log = structlog.get_logger()

# What boards do all the time is written only with DRIBLET_LOG_LEVEL=debug, where it goes well.
OFTEN = frozenset(("/v1/poll", "/v1/challenge", "/v1/login", "/v1/report"))
_GIVEN = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_START = secrets.token_hex(4)
_numbers = itertools.count(1)


class Front:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        named = _id(scope)
        about: dict[str, object] = {"request": named}
        before = ABOUT.set(about)
        began = time.perf_counter()
        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", named.encode())]
            await send(message)

        try:
            quotas: Quotas = scope["app"].state.services.quotas
            if problem := quotas.address(scope):
                await answer_status(problem)(scope, receive, noting)
            else:
                await self._app(scope, receive, noting)
        except ClientDisconnect:
            pass
        except Exception as bug:
            log.error("internal error", path=_path(scope), exc_info=bug)
            if status:
                raise  # half an answer is out: the connection must break
            await answer(refuse("INTERNAL_ERROR", f"request {named}"))(scope, receive, noting)
        finally:
            _write(scope, status, time.perf_counter() - began)
            ABOUT.reset(before)


def _id(scope: Scope) -> str:
    """The id that a proxy or a client gave the request, or a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _GIVEN.fullmatch(value):
            return str(value.decode())
    return f"{_START}-{next(_numbers):x}"


def _path(scope: Scope) -> str:
    """As it came, percent signs and all: no line break gets into the log."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.partition(b"?")[0].decode("ascii", "replace")[:200]


def _write(scope: Scope, status: int, seconds: float) -> None:
    usual = status < 400 and (scope["path"] in OFTEN or scope["method"] in ("GET", "HEAD"))
    # Who is throttled must not fill the log instead: /metrics counts them.
    level = logging.DEBUG if usual or status == 429 else logging.INFO
    if not shows(level):
        return
    client = scope["client"]
    log.log(
        level,
        "request",
        method=scope["method"],
        path=_path(scope),
        status=status,
        ms=round(seconds * 1000, 1),
        address=client[0] if client else "",
    )
