"""What the tests of the cloud share: the service in this process, and a board that speaks PROTOCOL.md."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from otacloud import logs
from otacloud.app import build_services, create_app, prepare
from otacloud.engine import Engine
from otacloud.services import Services
from otacloud.settings import Settings
from otaspec import image_file, mac
from otaspec.image import LINUX_HOST

from tests.cloud.wire import Answer, Wire

START = 1_700_000_000


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> int:
        return self.time


@dataclass
class Service:
    cloud: Services
    http: httpx.AsyncClient
    token: str

    async def call(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        """The JSON of a management call that must end with `status`."""
        options.setdefault("headers", {"Authorization": f"Bearer {self.token}"})
        answer = await self.http.request(method, "/api/v1" + path, **options)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def product(self, pk: str = "thermostat", **fields: Any) -> dict[str, Any]:
        return await self.call("POST", "/products", 201, json={"pk": pk, **fields})

    async def release(
        self, version: str, data: bytes, pk: str = "thermostat", status: int = 201, **query: Any
    ) -> Any:
        params = {"version": version, **query}
        return await self.call("POST", f"/products/{pk}/releases", status, params=params, content=data)

    async def built(self, version: str, pk: str = "thermostat") -> Any:
        """The release, once no job of it is under way."""
        for _ in range(2000):
            shown = await self.call("GET", f"/products/{pk}/releases/{version}")
            if not any(job["state"] in ("queued", "running") for job in shown["jobs"]):
                return shown
            await asyncio.sleep(0.005)
        raise AssertionError(f"{version} is not built: {shown}")


_applications: list[FastAPI] = []


def _application(cloud: Services) -> FastAPI:
    """One for all tests of a process: FastAPI makes its routes ready at their first use, which takes time."""
    if not _applications:
        _applications.append(create_app(cloud))
    _applications[0].state.services = cloud
    return _applications[0]


@asynccontextmanager
async def started(
    data: Path, clock: Clock, engine: Engine | None = None, again: bool = False, **settings: Any
) -> AsyncIterator[Service]:
    """The service with its background tasks, called without a socket. `again`: on data that it has made."""
    given = Settings(data=data, **settings)
    logs.set_up(given.log_json, given.log_level)
    cloud = build_services(given, engine, clock)
    token = None if again else await prepare(cloud)
    app = _application(cloud)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://cloud") as http,
    ):
        yield Service(cloud, http, token or "")


def image(fill: bytes = b"one", size: int = 4096, chip: int = LINUX_HOST) -> bytes:
    """A small sound app image: description, then `fill` over and over."""
    body = image_file.pack_desc() + (fill * size)[:size]
    return image_file.build([(0x3F400020, body)], chip)


@dataclass
class Board:
    """The device side of PROTOCOL.md, over an httpx client or a wire of its own."""

    http: httpx.AsyncClient | Wire
    pk: str
    dn: str
    ds: bytes = b""
    token: str = ""
    says: dict[str, Any] = field(
        default_factory=lambda: {
            **{"board": "LINUX_HOST", "chip": LINUX_HOST, "version": "1.0.0", "image_sha256": "0" * 64},
            **{"slot": "ota_0", "seq": 1, "state": "idle", "agent": 1},
            **{"staging": 65536, "ram": 65536, "codecs": [0, 1, 2]},
        }
    )
    last_id: int = 0

    async def handshake(self, call: str, secret: bytes) -> httpx.Response | Answer:
        names = {"pk": self.pk, "dn": self.dn}
        nonce = (await self.http.post("/v1/challenge", json=names)).json()["nonce"]
        mine = os.urandom(16)
        prove = mac.register if call == "register" else mac.login
        proof = prove(secret, self.pk, self.dn, nonce, mine).hex()
        body = {**names, "nonce": nonce, "device_nonce": mine.hex(), "mac": proof}
        return await self.http.post("/v1/" + call, json=body)

    async def register(self, ps: bytes) -> httpx.Response | Answer:
        answer = await self.handshake("register", ps)
        if answer.status_code == 200:
            self.ds = bytes.fromhex(answer.json()["ds"])
        return answer

    async def login(self) -> httpx.Response | Answer:
        answer = await self.handshake("login", self.ds)
        if answer.status_code == 200:
            self.token = answer.json()["token"]
        return answer

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    async def try_poll(self, **change: Any) -> httpx.Response | Answer:
        self.nonce = os.urandom(16)
        body = {"nonce": self.nonce.hex(), **self.says, **change}
        return await self.http.post("/v1/poll", json=body, headers=self.bearer)

    async def poll(self, **change: Any) -> dict[str, Any]:
        """The answer, its MAC checked."""
        answer = await self.try_poll(**change)
        assert answer.status_code == 200, answer.text
        expected = mac.answer(self.ds, self.pk, self.dn, self.nonce, answer.content)
        assert answer.headers["driblet-mac"] == expected.hex()
        return answer.json()

    def new_report(self, update: dict[str, Any], state: str, **fields: Any) -> dict[str, Any]:
        self.last_id += 1
        named = {name: update[name] for name in ("rollout", "seq", "version")}
        return {"id": self.last_id, "state": state, **named, **fields}

    async def report(self, *reports: dict[str, Any]) -> list[int]:
        answer = await self.http.post("/v1/report", json={"reports": reports}, headers=self.bearer)
        assert answer.status_code == 200, answer.text
        return answer.json()["accepted"]


async def joined(service: Service, product: dict[str, Any], dn: str, **says: Any) -> Board:
    """A board that has registered with the product secret and logged in."""
    board = Board(service.http, product["pk"], dn)
    board.says.update(says)
    assert (await board.register(bytes.fromhex(product["ps"]))).status_code == 200
    assert (await board.login()).status_code == 200
    return board
