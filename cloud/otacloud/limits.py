"""No request body may grow without bound: one limit per path, whether the length is announced or not."""

import re

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from otacloud.errors import answer, refuse

KIB = 1024
# The first pattern that matches the path decides; None: the endpoint counts for itself.
LIMITS: tuple[tuple[str, int | None], ...] = (
    (r"/v1/log", 64 * KIB),
    (r"/v1/.*", 16 * KIB),
    (r"/api/v1/products/[^/]+/releases", None),
    (r"/api/v1/products/[^/]+/releases/[^/]+/reissue", 4096 * KIB),
    (r"/api/v1/products/[^/]+/devices/import", 2048 * KIB),
    (r"/products/[^/]+/releases", 64 * KIB * KIB),
    (r"/products/[^/]+/devices/import", 2048 * KIB),
    (r".*", 1024 * KIB),
)
_COMPILED = tuple((re.compile(pattern, re.DOTALL), limit) for pattern, limit in LIMITS)


def limit_of(path: str) -> int | None:
    return next(limit for pattern, limit in _COMPILED if pattern.fullmatch(path))


class BodyLimit:
    """ASGI middleware: 413 at once for an announced excess, else at the byte that is too much."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        limit = limit_of(scope["path"]) if scope["type"] == "http" else None
        if limit is None:
            await self._app(scope, receive, send)
        elif _announced(scope) > limit:
            await answer(refuse("REQUEST_TOO_LARGE", f"at most {limit} bytes"))(scope, receive, send)
        else:
            await self._app(scope, _counted(receive, limit), send)


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


def _counted(receive: Receive, limit: int) -> Receive:
    total = 0

    async def counted() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > limit:
            # Not an OtaError: FastAPI would take that for a malformed body.
            raise HTTPException(413, f"at most {limit} bytes")
        return message

    return counted
