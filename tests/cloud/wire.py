"""HTTP/1.1 as a board speaks it: one connection that stays open, one call at a time.

httpx looks through all its connections and all its waiting calls at each call: with a thousand boards in one
process that, not the service, is what takes the time.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Answer:
    status_code: int
    headers: dict[str, str]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode()

    def json(self) -> Any:
        return json.loads(self.content)


@dataclass
class Wire:
    """What Board needs of httpx.AsyncClient. OSError or EOFError where the service is away."""

    base_url: str
    address: str = ""  # where the call comes from, as a proxy would say it
    _stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = field(default=None, repr=False)

    async def get(self, url: str) -> Answer:
        return await self._call("GET", url, b"", {})

    async def post(self, url: str, json: Any, headers: Mapping[str, str] | None = None) -> Answer:
        body = dumps(json)
        return await self._call("POST", url, body, {"Content-Type": "application/json", **(headers or {})})

    async def _call(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        parts = urlsplit(self.base_url)
        lines = [f"{method} {url} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {len(body)}"]
        lines += [f"X-Forwarded-For: {self.address}"] if self.address else []
        lines += [f"{name}: {value}" for name, value in headers.items()]
        try:
            if self._stream is None:
                self._stream = await asyncio.open_connection(parts.hostname, parts.port)
            reader, writer = self._stream
            writer.write("\r\n".join([*lines, "", ""]).encode() + body)
            answer = await _answer(reader)
        except BaseException:
            self.close()
            raise
        if answer.headers.get("connection") == "close":
            self.close()
        return answer

    def close(self) -> None:
        if self._stream is not None:
            self._stream[1].close()
            self._stream = None


def dumps(value: Any) -> bytes:
    return json.dumps(value).encode()


async def _answer(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    content = await reader.readexactly(int(headers.get("content-length", "0")))
    return Answer(int(head[0].split(" ")[1]), headers, content)
