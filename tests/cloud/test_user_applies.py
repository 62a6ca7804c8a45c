"""A release that waits for the board's user; releases that are not for everybody; what fits where."""

import asyncio
import time
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from otacloud.db import MIGRATIONS

from tests.cloud.kit import Clock, Service, image, joined
from tests.cloud.test_rollouts import NO_SERVER, Fleet

PK = "/products/thermostat"


@pytest.fixture
async def fleet(service: Service, clock: Clock) -> Fleet:
    return await Fleet(service, await service.product(), clock).set_up(2)


async def test_a_board_is_told_and_gets_it_when_its_user_agreed(fleet: Fleet) -> None:
    await fleet.roll_out(user_applies=True, retry_after=60)
    board, other = fleet.boards
    answer = await board.poll()
    assert answer["update"] is None
    assert answer["available"] == {"rollout": fleet.id, "seq": 2, "version": "1.1.0"}
    assert (await board.poll(accept=1))["update"] is None  # another release
    assert (await board.poll(accept=2))["update"]["seq"] == 2
    again = await board.poll()
    assert again["update"]["seq"] == 2  # under way: no second question
    assert "available" not in again
    assert "accept" not in (await fleet.service.call("GET", f"{PK}/devices/{board.dn}"))["inventory"]
    await fleet.fail(board, NO_SERVER)
    fleet.clock.time += 60
    assert (await board.poll())["available"]["seq"] == 2  # put off: the user is asked anew
    assert (await other.poll())["available"]["seq"] == 2
    assert (await fleet.show())["counts"]["failed"] == 0


async def test_long_poll_is_answered_when_there_is_something(fleet: Fleet) -> None:
    board = fleet.boards[0]
    started = time.monotonic()
    held = asyncio.create_task(board.poll(wait=30))
    await asyncio.sleep(0.3)
    assert not held.done()
    await fleet.roll_out()
    assert (await asyncio.wait_for(held, 10))["update"]["version"] == "1.1.0"
    assert time.monotonic() - started < 10
    assert (await fleet.boards[1].poll(wait=1))["update"] is None


async def test_a_channel_that_is_not_for_everybody(service: Service, fleet: Fleet) -> None:
    await service.release("1.2.0-beta", image(b"beta"), channel="beta")
    await service.built("1.2.0-beta")
    everyone = {"version": "1.2.0-beta"}
    refused = await service.call("POST", f"{PK}/rollouts", 409, json=everyone)
    assert "channel beta" in refused["message"]
    await service.call("POST", f"{PK}/rollouts", 201, json={**everyone, "devices": ["board-1"]})
    listed = await service.call("GET", f"{PK}/releases", params={"channel": "beta"})
    assert [r["version"] for r in listed] == ["1.2.0-beta"]
    await service.call("PATCH", f"{PK}/releases/1.2.0-beta", json={"channel": "stable"})
    await service.call("POST", f"{PK}/rollouts", 201, json=everyone)


async def test_what_a_release_is_to_the_boards_in_use(service: Service, fleet: Fleet, clock: Clock) -> None:
    poor = await joined(service, fleet.product, "poor", image_sha256=fleet.old, ram=100)
    await poor.poll()
    other = await joined(service, fleet.product, "other", board="ESP32_4MB", chip=0)
    await other.poll()
    shown: list[dict[str, Any]] = (await service.call("GET", f"{PK}/releases/1.1.0/fit"))["boards"]
    by_board = {each["board"]: each for each in shown}
    own = by_board["LINUX_HOST"]
    assert (own["devices"], own["delta"], own["full"], own["problem"]) == (3, 2, 1, None)
    assert by_board["ESP32_4MB"]["problem"]["name"] in ("CHIP_MISMATCH", "NOT_FOUND")


async def test_a_delta_from_the_release_before_where_no_device_has_come_yet(service: Service) -> None:
    await service.product()
    first = await service.release("1.0.0", image(b"old"))
    await service.release("1.1.0", image(b"new"))
    made = await service.built("1.1.0")
    assert [job["base_sha256"] for job in made["jobs"]] == [None, first["image_sha256"]]


async def test_health_and_metrics(service: Service, fleet: Fleet) -> None:
    health = (await service.http.get("/health")).json()
    assert health == {"status": "ok", "schema_revision": ScriptDirectory(str(MIGRATIONS)).get_current_head()}
    await fleet.roll_out()
    text = (await service.http.get("/metrics")).text
    assert 'driblet_rollouts{state="running"} 1.0' in text
    assert "driblet_polls_total 2.0" in text
    assert "board-0" not in text
    await service.cloud.db.close()
    service.cloud.db.revision = broken  # type: ignore[method-assign]
    assert (await service.http.get("/health")).status_code == 503


async def broken() -> str:
    raise OSError
