"""Load over HTTP/1.1 keep-alive: prepared requests on raw connections, so that the client costs little."""

import asyncio
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

CONNECTIONS = 32


@dataclass
class Request:
    method: str
    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    def raw(self) -> bytes:
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: bench", f"Content-Length: {len(self.body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.body:
            lines.append("Content-Type: application/json")
        return "\r\n".join([*lines, "", ""]).encode() + self.body


class _Connection(asyncio.Protocol):
    """Sends one request after the other; each as soon as the one before is answered."""

    def __init__(self, requests: Iterator[bytes], until: list[float]) -> None:
        self._requests = requests
        self._until = until
        self._transport: asyncio.Transport | None = None
        self._missing = 0  # bytes of the answer that are still to come
        self._head = b""
        self.done = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def following(self) -> None:
        assert self._transport is not None
        if time.monotonic() < self._until[0]:
            self._transport.write(next(self._requests))
        elif not self.ended.done():
            self.ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            self._head += data
            head, end, body = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 200"):
                self.ended.set_exception(AssertionError(self._head[:400].decode(errors="replace")))
                return
            self._head = b""
            self._missing = _length(head) - len(body)
        if not self._missing:
            self.done += 1
            self.following()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(exc or EOFError("the service hung up"))


def _length(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0])


def rate(port: int, requests: list[Request], seconds: float) -> float:
    """Good answers a second, over about `seconds`."""
    return asyncio.run(_rate(port, [request.raw() for request in requests], seconds))


async def _rate(port: int, raw: list[bytes], seconds: float) -> float:
    loop = asyncio.get_running_loop()
    turn, until = itertools.cycle(raw), [0.0]
    made = [
        await loop.create_connection(lambda: _Connection(turn, until), "127.0.0.1", port)
        for _ in range(CONNECTIONS)
    ]
    started = time.monotonic()
    until[0] = started + seconds
    for _transport, connection in made:
        connection.following()
    try:
        await asyncio.gather(*(connection.ended for _transport, connection in made))
    finally:
        took = time.monotonic() - started
        for transport, connection in made:
            transport.close()
            connection.ended.cancel()
    return sum(connection.done for _transport, connection in made) / took
