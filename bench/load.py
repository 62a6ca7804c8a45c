"""Load over HTTP/1.1 keep-alive: prepared requests over raw streams, so that the client costs little."""

import asyncio
import time
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


def rate(port: int, requests: list[Request], seconds: float) -> float:
    """Good answers a second over `seconds`; with 0 each request is made once."""
    return asyncio.run(_rate(port, [request.raw() for request in requests], seconds))


async def _rate(port: int, raw: list[bytes], seconds: float) -> float:
    queue = iter(raw)
    deadline = time.monotonic() + seconds if seconds else None
    done = 0

    def following() -> bytes | None:
        nonlocal queue
        if deadline is not None and time.monotonic() > deadline:
            return None
        request = next(queue, None)
        if request is None and deadline is not None:
            queue = iter(raw)
            request = next(queue)
        return request

    async def work() -> None:
        nonlocal done
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (request := following()) is not None:
            writer.write(request)
            await _answer(reader)
            done += 1
        writer.close()

    started = time.monotonic()
    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    return done / (time.monotonic() - started)


async def _answer(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise AssertionError(head.decode())
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    await reader.readexactly(length)
