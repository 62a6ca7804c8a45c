"""A device at a broker, as small as it can be."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from otacloud.broker import Broker
from otaspec import mqtt

from tests.cloud.kit import Board, Service

_opened: list[asyncio.StreamWriter] = []


@dataclass
class Device:
    stream: asyncio.StreamReader
    writer: asyncio.StreamWriter
    pk: str
    dn: str

    async def packet(self, seconds: float = 20) -> bytes:
        """The next packet; empty where the broker hung up."""
        try:
            async with asyncio.timeout(seconds):
                head = await self.stream.readexactly(2)
                n = head[1]
                if n > 127:
                    head += await self.stream.readexactly(1)
                    n = n & 127 | head[2] << 7
                return head + await self.stream.readexactly(n)
        except (asyncio.IncompleteReadError, ConnectionResetError):
            return b""

    def send(self, raw: bytes) -> None:
        self.writer.write(raw)

    def topic(self, kind: str) -> str:
        return mqtt.topic(kind, self.pk, self.dn)

    async def subscribe(self, topic: str = "") -> int:
        """What SUBACK says: 1, or 0x80 for no."""
        self.send(mqtt.subscribe(3, topic or self.topic("upgrade"), 1))
        answer = await self.packet()
        assert answer[:4] == b"\x90\x03\x00\x03"
        return answer[4]

    async def alive(self) -> bool:
        """Everything before was dealt with, and nothing else came."""
        self.send(mqtt.PINGREQ)
        return await self.packet() == b"\xd0\x00"

    async def rest(self) -> int:
        """How many messages came before the answer to a ping."""
        self.send(mqtt.PINGREQ)
        count = 0
        while await self.packet() != b"\xd0\x00":
            count += 1
        return count

    async def told(self) -> bytes:
        """The body of the next message for it."""
        raw = await self.packet()
        assert raw[0] == 0x32
        body = raw[2 if raw[1] < 128 else 3 :]
        n = int.from_bytes(body[:2], "big")
        assert body[2 : 2 + n].decode() == self.topic("upgrade")
        self.send(mqtt.puback(int.from_bytes(body[2 + n : 4 + n], "big")))
        return body[4 + n :]


async def knock(port: int, raw: bytes, pk: str = "", dn: str = "") -> tuple[Device, bytes]:
    """A connection that begins with `raw`, and the answer."""
    stream, writer = await asyncio.open_connection("127.0.0.1", port)
    _opened.append(writer)
    device = Device(stream, writer, pk, dn)
    device.send(raw)
    return device, await device.packet()


def hello(board: Board, **change: Any) -> bytes:
    """The CONNECT of a board."""
    ds, pk, dn = board.ds, board.pk, board.dn
    found = {
        "ident": mqtt.client_id(pk, dn, False),
        "user": mqtt.username(pk, dn),
        "secret": mqtt.password(ds, pk, dn),
    }
    return mqtt.connect(**(found | change))


async def enter(port: int, board: Board) -> Device:
    """A board that has logged in and listens."""
    device, answer = await knock(port, hello(board), board.pk, board.dn)
    assert answer == b"\x20\x02\x00\x00"
    assert await device.subscribe() == 1
    return device


def close_all() -> None:
    while _opened:
        _opened.pop().close()


@asynccontextmanager
async def embedded(service: Service) -> AsyncIterator[int]:
    """The port of the service's own broker."""
    cloud = service.cloud
    broker = Broker(cloud.fleet, cloud.device_auth, cloud.hub, cloud.notifier.hear)
    door = socket.create_server(("127.0.0.1", 0))
    await broker.start(door, None)
    await cloud.notifier.begin(broker)
    try:
        yield door.getsockname()[1]
    finally:
        close_all()
        cloud.notifier.end()
        await broker.close()
