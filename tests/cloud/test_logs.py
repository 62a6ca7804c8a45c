"""The log: JSON lines that name request, tenant and caller, and give no secret away."""

import asyncio
import json
import logging
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from otacloud import logs
from otacloud.products import find

from tests.cloud.kit import Board, Clock, Service, image, joined, started

PASSWORD = "correct horse battery"


class Stderr:
    """What was written meanwhile."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._text = ""

    def getvalue(self) -> str:
        self._text += self._capsys.readouterr().err
        return self._text

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]

    def requests(self) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line["event"] == "request"]


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Iterator[Stderr]:
    yield Stderr(capsys)
    logs.set_up(False, "warning")


@pytest.fixture
def data(tmp_path: Path, empty: Path) -> Path:
    return shutil.copytree(empty, tmp_path / "data")


async def test_a_line_for_each_request_that_does_something(stderr: Stderr, data: Path, clock: Clock) -> None:
    async with started(data, clock, log_json=True, log_level="info") as service:
        board = await joined(service, await service.product(), "kitchen")
        await board.poll()
        await service.call("GET", "/products")
        await service.http.get("/api/v1/products", headers={"X-Request-ID": "from-the-proxy"})
    product, register, refused = stderr.requests()
    assert (product["tenant"], product["who"]) == (1, "token admin")
    assert (product["method"], product["path"], product["status"]) == ("POST", "/api/v1/products", 201)
    assert (register["path"], register["device"]) == ("/v1/register", "thermostat/kitchen")
    assert (refused["request"], refused["status"]) == ("from-the-proxy", 401)
    assert len({line["request"] for line in stderr.requests()}) == 3
    assert all(line["level"] == "info" and line["timestamp"] for line in stderr.lines())


async def test_at_debug_each_poll_has_its_line(stderr: Stderr, data: Path, clock: Clock) -> None:
    async with started(data, clock, log_json=True, log_level="debug") as service:
        board = await joined(service, await service.product(), "kitchen")
        answer = await board.try_poll()
    poll = next(line for line in stderr.requests() if line["path"] == "/v1/poll")
    assert (poll["tenant"], poll["device"], poll["level"]) == (1, "thermostat/kitchen", "debug")
    assert poll["request"] == answer.headers["x-request-id"]


async def test_a_fault_of_ours_is_found_by_the_id_in_the_answer(
    stderr: Stderr, data: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        secret = PASSWORD  # a traceback must not show it
        raise RuntimeError("out of order" + secret[:0])

    async with started(data, clock, log_json=True, log_level="info") as service:
        await service.product()
        monkeypatch.setattr("otacloud.products.find", broken)
        answer = await service.http.get(
            "/api/v1/products/thermostat", headers={"Authorization": f"Bearer {service.token}"}
        )
        monkeypatch.setattr("otacloud.products.find", find)
    said = answer.json()
    assert (answer.status_code, said["error"]) == (500, "INTERNAL_ERROR")
    line = next(line for line in stderr.lines() if line["event"] == "internal error")
    assert said["evidence"] == f"request {line['request']}" == f"request {answer.headers['x-request-id']}"
    assert "out of order" in line["exception"]
    assert (line["tenant"], line["who"]) == (1, "token admin")
    assert PASSWORD not in stderr.getvalue()


def test_what_libraries_say_is_json_too(stderr: Stderr) -> None:
    logs.set_up(True)
    logging.getLogger("uvicorn.error").error("it %s", "broke")
    (line,) = stderr.lines()
    assert (line["event"], line["logger"], line["level"]) == ("it broke", "uvicorn.error", "error")


async def test_no_line_break_gets_in(stderr: Stderr, data: Path, clock: Clock) -> None:
    async with started(data, clock, log_json=False, log_level="info") as service:
        await service.http.get("/v1/packages/x%0Aevil%20line")
    assert "evil line" not in stderr.getvalue()
    assert len(stderr.getvalue().splitlines()) == 1


@pytest.mark.slow
async def test_a_service_gives_no_secret_away(tmp_path: Path) -> None:
    """`driblet serve` with all that has secrets: every line is JSON, and none has one."""
    from tests.cloud.test_server import COMMAND, ENVIRONMENT

    environment = {**ENVIRONMENT, "DRIBLET_LOG_JSON": "1", "DRIBLET_LOG_LEVEL": "debug"}
    command = (*COMMAND, "serve", "--port", "0", "--data", str(tmp_path / "data"), "--json")
    pipe = asyncio.subprocess.PIPE
    with (tmp_path / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=log, env=environment)
        assert process.stdout is not None
        said = json.loads(await process.stdout.readline())
        secrets = await _use_secrets(said["url"], said["token"])
        process.send_signal(signal.SIGTERM)
        await process.wait()
    written = (tmp_path / "log").read_text()
    lines = [json.loads(line) for line in written.splitlines() if not line.startswith("data is in")]
    paths = {line.get("path") for line in lines}
    assert {"/v1/register", "/v1/login", "/v1/poll", "/v1/report", "/api/v1/users", "/sign-in"} <= paths
    secrets += [(tmp_path / "data" / "master.key").read_text().strip()]
    assert [secret for secret in secrets if secret in written] == []


async def _use_secrets(url: str, token: str) -> list[str]:
    import httpx

    async with httpx.AsyncClient(base_url=url) as http:
        service = Service(None, http, token)  # type: ignore[arg-type]
        product = await service.product()
        board: Board = await joined(service, product, "kitchen")
        await board.poll()
        await board.report({"id": 1, "state": "idle"})
        reissued = await service.call("POST", "/products/thermostat/devices/kitchen/reissue")
        body = {"name": "ada", "role": "viewer", "password": PASSWORD}
        await service.call("POST", "/users", 201, json=body)
        made = await service.call("POST", "/tokens", 201, json={"name": "ci", "role": "viewer"})
        await service.release("1.0.0", image())
        for secret in (PASSWORD, "a wrong password"):
            await http.post("/sign-in", data={"name": "ada", "secret": secret})
        await http.get(f"/products?secret={token}")
        cookies = list(http.cookies.values())
    assert cookies
    given = [token, product["ps"], board.ds.hex(), board.token, reissued["ds"], made["token"]]
    return [*given, PASSWORD, "a wrong password", *cookies]
