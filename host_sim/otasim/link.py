"""The network between a board and its server: a TCP relay that can be slow, cut, or down."""

import asyncio
import contextlib
from types import TracebackType

_PIECE = 4096


class Link:
    """`async with Link(host, port) as link`: boards connect to 127.0.0.1, `link.port`.

    Settings may change while it runs. up: False drops every connection and refuses new ones.
    rate: bytes per second towards the board, None: as fast as it goes. cut_at: after that many more
    bytes towards the board its connection breaks, once. down, up_bytes: what passed so far.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._to = host, port
        self.port = 0
        self.rate: float | None = None
        self.cut_at: int | None = None
        self.down_bytes = 0
        self.up_bytes = 0
        self.cuts = 0
        self._up = True
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> "Link":
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self._drop_all()
        await self._server.wait_closed()

    def lead_to(self, port: int) -> None:
        """New connections go to another port of the same host."""
        self._to = port

    @property
    def up(self) -> bool:
        return self._up

    @up.setter
    def up(self, value: bool) -> None:
        self._up = value
        if not value:
            self._drop_all()

    def _drop_all(self) -> None:
        """A reset on both sides, as from a router that lost its memory."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        there: asyncio.StreamWriter | None = None
        try:
            if self._up:
                answers, there = await asyncio.open_connection(self._host, self._to)
                self._writers.add(there)
                await self._both_ways(reader, there, answers, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # either side is gone
        finally:
            for one in (writer, there):
                if one:
                    self._writers.discard(one)
                    one.transport.abort()

    async def _both_ways(
        self,
        requests: asyncio.StreamReader,
        there: asyncio.StreamWriter,
        answers: asyncio.StreamReader,
        here: asyncio.StreamWriter,
    ) -> None:
        """Until either side ends."""
        ways = [
            asyncio.create_task(self._up_way(requests, there)),
            asyncio.create_task(self._down_way(answers, here)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
                with contextlib.suppress(OSError, asyncio.CancelledError):
                    await way

    async def _up_way(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(_PIECE):
            self.up_bytes += len(data)
            sink.write(data)
            await sink.drain()

    async def _down_way(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(_PIECE):
            cut = self.cut_at is not None and len(data) >= self.cut_at
            if self.cut_at is not None:
                data = data[: self.cut_at] if cut else data
                self.cut_at = None if cut else self.cut_at - len(data)
            if self.rate:
                await asyncio.sleep(len(data) / self.rate)
            self.down_bytes += len(data)
            sink.write(data)
            await sink.drain()
            if cut:
                self.cuts += 1
                return
