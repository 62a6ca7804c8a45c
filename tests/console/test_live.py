"""The stream that keeps a page fresh."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from otacloud.console import live
from otacloud.console.live import Part, View
from sqlalchemy.ext.asyncio import AsyncSession

from tests.cloud.kit import Board, Service, joined

AT = "/products/thermostat"


@pytest.fixture
async def board(service: Service) -> Board:
    board = await joined(service, await service.product(), "kitchen")
    await board.poll()
    await service.http.post("/sign-in", data={"secret": service.token})
    return board


@asynccontextmanager
async def listening(service: Service, page: str) -> AsyncIterator[Any]:
    """The messages of the page's own stream, as its link in the page says."""
    html = (await service.http.get(page)).text
    link = re.search(r'hx-sse:connect="([^"]+)"', html)
    assert link
    app = service.http._transport.app  # type: ignore[attr-defined]
    path, _, query = link[1].replace("&amp;", "&").partition("?")
    sent: asyncio.Queue[bytes] = asyncio.Queue()
    cookie = "; ".join(f"{name}={value}" for name, value in service.http.cookies.items())
    headers = [(b"accept", b"text/event-stream"), (b"cookie", cookie.encode()), (b"host", b"cloud")]
    scope = {
        **{"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "http_version": "1.1"},
        **{"query_string": query.encode(), "headers": headers, "scheme": "http", "server": ("cloud", 80)},
    }
    gone = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        await sent.put(message.get("body", b""))

    async def following() -> str:
        """The next message with data."""
        while True:
            data = await asyncio.wait_for(sent.get(), 5)
            if b"data:" in data:
                return data.decode()

    task = asyncio.create_task(app(scope, receive, send))
    first = b"retry"
    while b"retry" in first or not first:
        first = await asyncio.wait_for(sent.get(), 5)
    # Mostly nothing new to say: the page is as fresh as that. Last-seen may have been written since.
    assert first == b": alive\n\n" or b"kitchen" in first
    try:
        yield following
    finally:
        gone.set()
        await asyncio.wait_for(task, 10)


async def test_a_row_comes_when_it_changed_and_nothing_else(service: Service, board: Board) -> None:
    for number in range(3):
        await joined(service, await service.call("GET", f"{AT}/secret"), f"other-{number}")
    async with listening(service, f"{AT}/devices") as following:
        update = {"rollout": 1, "seq": 2, "version": "1.1.0"}
        await board.report(board.new_report(update, "downloading", step=42))
        row = await following()
        assert 'hx-target="#device-1"' in row
        assert "42 %" in row
        assert "other-" not in row


async def test_a_new_device_brings_the_list_anew(service: Service, board: Board) -> None:
    async with listening(service, f"{AT}/devices") as following:
        await joined(service, await service.call("GET", f"{AT}/secret"), "hall")
        message = await following()
        assert 'hx-target="#devices"' in message
        assert "hall" in message


async def test_a_device_page_follows_its_device(service: Service, board: Board) -> None:
    async with listening(service, f"{AT}/devices/kitchen") as following:
        update = {"rollout": 1, "seq": 2, "version": "1.1.0"}
        await board.report(board.new_report(update, "applying", step=70))
        message = await following()
        assert {"device-now", "device-slots", "device-timeline"} == set(
            re.findall(r'target="#([^"]+)"', message)
        )


async def test_a_stream_ends_with_the_session(service: Service, board: Board) -> None:
    looks = iter((True, False))

    async def load(_session: AsyncSession) -> View:
        return View("x", {}, {"audit": Part("_drop.html")})

    async def may_look() -> bool:
        return next(looks)

    stream = live.stream(service.cloud, 1, load, "", may_look)
    async with aclosing(stream) as messages:
        assert b"retry" in await anext(messages)
        assert b'hx-target="#audit"' in await anext(messages)
        service.cloud.hub.publish(1, live.Event("device", 1))
        assert await asyncio.wait_for(anext(messages, None), 5) is None


async def test_a_graceful_stop_ends_the_streams(service: Service, board: Board) -> None:
    async with listening(service, AT):
        service.cloud.hub.close()


def test_a_message_is_lines_of_data() -> None:
    told = live.message({"a": "<p>\n\nx</p>", "b": "y"}).decode()
    assert told.endswith("\n\n")
    assert all(line.startswith("data: ") for line in told.strip().splitlines())
