"""The relay between board and server: whole, cut at a byte, slow, down."""

import asyncio
import time

import pytest
from otasim.link import Link

BODY = bytes(range(256)) * 40


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await reader.readline():
            writer.write(BODY)
            await writer.drain()
    except OSError:
        pass  # the relay dropped us
    finally:
        writer.transport.abort()


async def _fetch(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"please\n")
    try:
        return await asyncio.wait_for(reader.readexactly(len(BODY)), 5)
    except asyncio.IncompleteReadError as error:
        return error.partial
    except ConnectionResetError:
        return b""
    finally:
        writer.transport.abort()


async def test_the_relay() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    async with server, Link("127.0.0.1", server.sockets[0].getsockname()[1]) as link:
        assert await _fetch(link.port) == BODY
        assert (link.down_bytes, link.up_bytes) == (len(BODY), 7)

        link.cut_at = 5000
        first = await _fetch(link.port)
        assert first in (BODY[:5000], b"")  # a reset may overtake what was under way
        assert (link.cuts, link.down_bytes) == (1, len(BODY) + 5000)
        assert await _fetch(link.port) == BODY

        link.rate = 50_000
        began = time.monotonic()
        assert await _fetch(link.port) == BODY
        assert time.monotonic() - began > len(BODY) / 50_000 * 0.9

        link.up = False
        assert await _fetch(link.port) == b""
        link.up, link.rate = True, None
        assert await _fetch(link.port) == BODY


async def test_a_server_that_is_not_there() -> None:
    async with Link("127.0.0.1", 1) as link:
        assert await _fetch(link.port) == b""


@pytest.mark.parametrize("connections", [5])
async def test_down_drops_open_connections(connections: int) -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    async with server, Link("127.0.0.1", server.sockets[0].getsockname()[1]) as link:
        link.rate = 100_000
        fetches = [asyncio.create_task(_fetch(link.port)) for _ in range(connections)]
        while not link.down_bytes:
            await asyncio.sleep(0.005)
        link.up = False
        assert all(len(body) < len(BODY) for body in await asyncio.gather(*fetches))
