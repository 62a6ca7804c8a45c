"""The cloud of the demo: a real `driblet serve` process, and the calls that a product team would make."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from otaspec.errors import OtaError, error

START_SECONDS = 30


class Service:
    """The management API of one running service, for one product."""

    def __init__(self, url: str, token: str, process: asyncio.subprocess.Process) -> None:
        self.url = url
        self.token = token
        self.process = process
        self._http = httpx.AsyncClient(
            base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=30
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def call(self, method: str, path: str, **options: Any) -> Any:
        """One call; an error answer becomes the OtaError that it names."""
        answer = await self._http.request(method, path, **options)
        if answer.is_success:
            return answer.json()
        raise _refused(answer)

    async def create_product(self, board: str) -> dict[str, Any]:
        """{"pk", "ps", "public_key", ...}: a product whose boards register by the product secret."""
        made: dict[str, Any] = await self.call("POST", "/products", json={"name": "demo", "board": board})
        return made

    async def upload(self, pk: str, version: str, image: bytes) -> dict[str, Any]:
        """A release; its packages are made afterwards."""
        made: dict[str, Any] = await self.call(
            "POST", f"/products/{pk}/releases", params={"version": version}, content=image
        )
        return made

    async def release(self, pk: str, version: str) -> dict[str, Any]:
        found: dict[str, Any] = await self.call("GET", f"/products/{pk}/releases/{version}")
        return found

    async def packages_made(self, pk: str, version: str) -> list[dict[str, Any]]:
        """Waits for every package of a release; raises the error of one that failed."""
        while True:
            jobs: list[dict[str, Any]] = (await self.release(pk, version))["jobs"]
            for job in jobs:
                if job["state"] == "failed":
                    raise error(job["error"]["code"], job["error"].get("detail", ""))
            if jobs and all(job["state"] == "done" for job in jobs):
                return jobs
            await asyncio.sleep(0.2)

    async def devices(self, pk: str) -> list[dict[str, Any]]:
        page = await self.call("GET", f"/products/{pk}/devices")
        listed: list[dict[str, Any]] = page["devices"]
        return listed

    async def timeline(self, pk: str, dn: str) -> list[dict[str, Any]]:
        """What a device told, newest first."""
        detail = await self.call("GET", f"/products/{pk}/devices/{dn}")
        told: list[dict[str, Any]] = detail["reports"]
        return told

    async def start_rollout(self, pk: str, version: str, **options: Any) -> dict[str, Any]:
        made: dict[str, Any] = await self.call(
            "POST", f"/products/{pk}/rollouts", json={"version": version, **options}
        )
        return made

    async def rollout(self, pk: str, number: int) -> dict[str, Any]:
        found: dict[str, Any] = await self.call("GET", f"/products/{pk}/rollouts/{number}")
        return found


def _refused(answer: httpx.Response) -> OtaError:
    try:
        said = answer.json()
        return error(said["code"], said.get("message", ""))
    except (ValueError, KeyError, TypeError):
        return error(304, f"{answer.status_code} from {answer.request.url.path}")


@asynccontextmanager
async def running(data: Path) -> AsyncIterator[Service]:
    """`driblet serve` on a free port with its data in `data`; ended with the block."""
    data.mkdir(parents=True, exist_ok=True)
    with (data / "service.log").open("w") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "driblet", "serve", "--port", "0", "--data", str(data), "--json"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env={**os.environ, "DRIBLET_POLL_INTERVAL": "1"},
        )
    service = None
    try:
        service = await _announced(process, data)
        yield service
    finally:
        if service:
            await service.close()
        await _end(process)


async def _announced(process: asyncio.subprocess.Process, data: Path) -> Service:
    """The service tells its address and token in its first line."""
    if process.stdout is None:
        raise AssertionError("started with a pipe")
    line = await asyncio.wait_for(process.stdout.readline(), START_SECONDS)
    if not line:
        raise error(301, f"the service did not start: see {data / 'service.log'}")
    said = json.loads(line)
    return Service(said["url"], said["token"], process)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), 10)
    except TimeoutError:
        process.kill()
        await process.wait()
