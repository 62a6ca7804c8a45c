"""The pages as a browser without JavaScript gets them, and the stream that keeps them fresh."""

import asyncio
import contextlib
from typing import Any

import pytest

from tests.cloud.kit import Board, Service, image, joined


@pytest.fixture
async def board(service: Service) -> Board:
    board = await joined(service, await service.product(name="Thermo <stat>"), "kitchen")
    await board.poll()
    await service.http.post("/sign-in", data={"secret": service.token})
    return board


async def test_only_for_those_who_signed_in(service: Service) -> None:
    for path in ("/", "/products/thermostat", "/products/thermostat/events"):
        answer = await service.http.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    wrong = await service.http.post("/sign-in", data={"secret": "drb_wrong"})
    assert wrong.status_code == 401
    assert "set-cookie" not in wrong.headers


async def test_cookie_ends_with_its_token_and_its_time(service: Service, board: Board, clock: Any) -> None:
    assert (await service.http.get("/products/thermostat")).status_code == 200
    clock.time += 12 * 3600
    assert (await service.http.get("/products/thermostat")).status_code == 303


async def test_fleet(service: Service, board: Board) -> None:
    page = (await service.http.get("/", follow_redirects=True)).text
    assert "Thermo &lt;stat&gt;" in page
    assert "kitchen" in page
    assert "No release yet" in page


async def test_an_error_comes_with_cause_and_remedy(service: Service, board: Board) -> None:
    update = {"rollout": 1, "seq": 2, "version": "1.1.0"}
    await board.report(board.new_report(update, "reverted", code=501, step=-1, detail="<sensor>"))
    page = (await service.http.get("/products/thermostat")).text
    for part in ("501 SELF_TEST_FAILED", "&lt;sensor&gt;", "What to do:"):
        assert part in page


async def test_nothing_of_another_origin_may_run_or_post(service: Service, board: Board) -> None:
    page = await service.http.get("/products/thermostat")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "style=" not in page.text
    for headers in ({"Origin": "http://evil"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = await service.http.post("/sign-out", headers=headers)
        assert answer.status_code == 403


async def test_buttons_move_a_rollout(service: Service, board: Board) -> None:
    await service.release("1.1.0", image())
    await service.call("POST", "/products/thermostat/rollouts", 201, json={"version": "1.1.0"})
    for move, state in (("pause", "paused"), ("resume", "running"), ("stop", "stopped")):
        answer = await service.http.post(f"/products/thermostat/rollouts/1/{move}")
        assert answer.status_code == 303
        page = (await service.http.get("/products/thermostat")).text
        assert f'<span class="badge {state}">' in page


async def test_search_and_paging_are_in_the_url(service: Service, board: Board) -> None:
    for number in range(60):
        body = {"dn": f"device-{number:02}"}
        await service.call("POST", "/products/thermostat/devices", 201, json=body)
    first = (await service.http.get("/products/thermostat?q=device")).text
    assert first.count('class="device"') == 50
    assert "q=device&amp;offset=50" in first
    second = (await service.http.get("/products/thermostat?q=device&offset=50")).text
    assert second.count('class="device"') == 10


async def test_the_stream_sends_a_row_when_it_changes(service: Service, board: Board) -> None:
    from otacloud.console import live, views

    stream = live.stream(service.cloud, 1, views.Look(1))
    async with contextlib.aclosing(stream) as messages:
        await anext(messages)
        assert b'id="devices"' in await anext(messages)
        update = {"rollout": 1, "seq": 2, "version": "1.1.0"}
        change = asyncio.create_task(anext(messages))
        await asyncio.sleep(0)
        await board.report(board.new_report(update, "downloading", step=42))
        row = await asyncio.wait_for(change, 5)
        assert b"42 %" in row
        assert b'id="devices"' not in row
        end = asyncio.create_task(anext(messages, None))
        await asyncio.sleep(0)
        service.cloud.hub.close()
        await asyncio.wait_for(end, 5)
