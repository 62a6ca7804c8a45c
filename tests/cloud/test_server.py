"""The service as a process: killed in the middle of a rollout, ended politely, started again."""

import asyncio
import json
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from tests.cloud import fleet
from tests.cloud.kit import Board, image

pytestmark = pytest.mark.slow
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
COMMAND = (sys.executable, "-c", "from otacloud.cli import app; app(prog_name='driblet')")


class Process:
    """`driblet serve`, and the management API over a socket."""

    def __init__(
        self, process: asyncio.subprocess.Process, http: httpx.AsyncClient, token: str | None
    ) -> None:
        self.process = process
        self.http = http
        self.token = token

    async def call(self, method: str, path: str, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = await self.http.request(method, "/api/v1" + path, headers=headers, **options)
        assert answer.is_success, answer.text
        return answer.json()

    async def end(self, number: int) -> int:
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 20)


@asynccontextmanager
async def serving(data: Path, token: str | None = None, *options: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        "serve",
        "--port",
        "0",
        "--data",
        str(data),
        "--json",
        *options,
        stdout=asyncio.subprocess.PIPE,
        env=ENVIRONMENT,
    )
    assert process.stdout is not None
    try:
        said = json.loads(await asyncio.wait_for(process.stdout.readline(), 300))
        limits = httpx.Limits(max_connections=256, max_keepalive_connections=256)
        async with httpx.AsyncClient(base_url=said["url"], timeout=30, limits=limits) as http:
            yield Process(process, http, said["token"] or token)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def boards_on(service: Process, count: int, sha256: str) -> list[Board]:
    product = await service.call("POST", "/products", json={"pk": "thermostat"})
    boards = [Board(service.http, "thermostat", f"board-{n}") for n in range(count)]
    for board in boards:
        board.says |= {"image_sha256": sha256, "seq": 0}
        await board.register(bytes.fromhex(product["ps"]))
        await board.login()
        await board.poll()
    return boards


async def offer(board: Board) -> dict[str, Any]:
    """Polls until there is an update."""
    for _ in range(600):
        update = (await board.poll())["update"]
        if update:
            return update  # type: ignore[no-any-return]
        await asyncio.sleep(0.1)
    raise AssertionError("no update")


async def test_sigkill_in_mid_rollout_and_on_it_goes(tmp_path: Path) -> None:
    async with serving(tmp_path) as first:
        token = first.token
        boards = await boards_on(first, 3, "a" * 64)
        new = await first.call("POST", "/products/thermostat/releases?version=1.1.0", content=image())
        await first.call("POST", "/products/thermostat/rollouts", json={"version": "1.1.0"})
        # Killed while the job runs: nobody has been offered anything.
        await first.end(signal.SIGKILL)
    async with serving(tmp_path, token) as second:
        for board in boards:
            board.http = second.http
        update = await offer(boards[0])
        report = boards[0].new_report(update, "downloading", step=40)
        await boards[0].report(report)
        # Killed right after a report was acknowledged.
        await second.end(signal.SIGKILL)
    async with serving(tmp_path, token) as third:
        for board in boards:
            board.http = third.http
        shown = await third.call("GET", "/products/thermostat/devices/board-0")
        assert (shown["state"], shown["step"]) == ("downloading", 40)
        assert await boards[0].report(report) == [report["id"]]
        for board in boards:
            update = await offer(board)
            data = (await third.http.get(update["url"])).content
            assert len(data) == update["size"]
            await board.report(board.new_report(update, "confirmed", step=100))
            board.says |= {"image_sha256": new["image_sha256"], "seq": new["seq"]}
        rollout = await third.call("GET", "/products/thermostat/rollouts/1")
        assert (rollout["state"], rollout["counts"]["confirmed"]) == ("done", 3)
        shown = await third.call("GET", "/products/thermostat/devices/board-0")
        assert [r["state"] for r in shown["reports"]] == ["confirmed", "downloading"]


async def test_a_hundred_boards_and_a_sigkill(tmp_path: Path) -> None:
    result = await fleet.story(tmp_path, 100, 1.0, kill=True)
    assert (result["state"], result["confirmed"], result["lost_reports"]) == ("done", 100, 0)
    assert result["accepted_reports"] >= 300
    assert 30 <= result["killed_at"] < 100


async def test_sigkill_loses_at_most_the_last_second_of_last_seen(tmp_path: Path) -> None:
    async with serving(tmp_path) as first:
        token = first.token
        board = (await boards_on(first, 1, "a" * 64))[0]
        polled = 0.0
        deadline = time.monotonic() + 4
        while time.monotonic() < deadline:
            await board.poll()
            polled = time.time()
        await first.end(signal.SIGKILL)
    async with serving(tmp_path, token) as second:
        shown = await second.call("GET", "/products/thermostat/devices/board-0")
    assert polled - shown["last_seen_at"] < 3  # a second between two writes, one of rounding, one of load


async def test_sigterm_ends_politely_with_an_open_page_and_a_running_job(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        board = (await boards_on(service, 1, "a" * 64))[0]
        await service.call("POST", "/products/thermostat/releases?version=1.1.0", content=image())
        await service.http.post("/sign-in", data={"secret": service.token})
        live = {"Accept": "text/event-stream"}
        async with service.http.stream("GET", "/products/thermostat/devices", headers=live) as stream:
            lines = stream.aiter_lines()
            assert await anext(lines) == "retry: 2000"
            await board.poll(uptime=5)
            # uvicorn ends with the signal that it was given.
            assert await service.end(signal.SIGTERM) in (0, -signal.SIGTERM)
    async with serving(tmp_path, service.token) as again:
        shown = await again.call("GET", "/products/thermostat/devices/board-0")
        assert shown["inventory"] == {"uptime": 5}
        assert shown["last_seen_at"] is not None


async def test_the_token_is_shown_once(tmp_path: Path) -> None:
    async with serving(tmp_path) as first:
        assert first.token
    async with serving(tmp_path) as second:
        assert second.token is None


async def test_a_port_in_use_is_said_before_a_token_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "driblet", "serve", "--port", str(port), "--data", str(tmp_path / "new")),
            stderr=asyncio.subprocess.PIPE,
            env=ENVIRONMENT,
        )
        told = (await asyncio.wait_for(process.communicate(), 30))[1].decode()
    assert process.returncode == 2, told
    assert f"127.0.0.1:{port}: Address already in use" in told
    assert "Traceback" not in told
    assert not (tmp_path / "new" / "cloud.sqlite").exists()


async def test_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    async with serving(tmp_path / "data", None, "--cert", str(cert), "--key", str(key)) as service:
        async with httpx.AsyncClient(base_url=service.http.base_url, verify=trust) as http:
            challenge = await http.post("/v1/challenge", json={"pk": "p", "dn": "d"})
            assert challenge.status_code == 200
            signed_in = await http.post("/sign-in", data={"secret": service.token})
            assert "Secure" in signed_in.headers["set-cookie"]
        with pytest.raises(httpx.ConnectError):
            await service.http.get("/")  # that client does not know the authority
