"""Rollouts as teams run them: phases, times, rates, approval, test devices first, and the way back."""

from typing import Any

import pytest
from otacloud import auth

from tests.cloud.kit import Clock, Service
from tests.cloud.test_rollouts import SELF_TEST_FAILED, Fleet

pytestmark = pytest.mark.slow

PK = "/products/thermostat"


@pytest.fixture
async def ten(service: Service, clock: Clock) -> Fleet:
    return await Fleet(service, await service.product(), clock).set_up(10)


async def as_(service: Service, role: auth.Role) -> dict[str, str]:
    """The header of somebody else with that role."""
    made = await service.call("POST", "/tokens", 201, json={"name": f"x-{role}", "role": role})
    return {"Authorization": f"Bearer {made['token']}"}


async def test_percent_phases_choose_by_hash_and_soak(ten: Fleet) -> None:
    phases = [{"percent": 20, "soak": 60}, {"percent": 50, "success": 80}]
    await ten.roll_out(phases=phases)
    first = await ten.offered()
    assert len(first) == 2
    by_name = {board.dn: board for board in ten.boards}
    for name in first:
        await ten.confirm(by_name[name])
    assert await ten.offered() == []  # soaks
    ten.clock.time += 60
    second = await ten.offered()
    assert len(second) == 3
    assert not set(first) & set(second)
    for name in second[:2]:  # 4 of 5 are 80 %
        await ten.confirm(by_name[name])
    assert len(await ten.offered()) == 6  # all that have not confirmed
    shown = await ten.show()
    assert (shown["phase"], shown["total"]) == (2, 10)


async def test_the_same_devices_whoever_polls_first(ten: Fleet) -> None:
    await ten.roll_out(phases=[{"percent": 30}])
    one = set(await ten.offered())
    ten.boards.reverse()
    assert set(await ten.offered()) == one


async def test_a_percent_of_failures_stops(ten: Fleet) -> None:
    await ten.roll_out(canary=0, stop_after_failures=0, stop_at_percent=20)
    await ten.fail(ten.boards[0], SELF_TEST_FAILED)
    assert (await ten.show())["state"] == "running"
    await ten.fail(ten.boards[1], SELF_TEST_FAILED)
    assert (await ten.show())["state"] == "stopped"


async def test_rate(ten: Fleet) -> None:
    await ten.roll_out(canary=0, per_minute=4)
    assert len(await ten.offered()) == 4
    ten.clock.time += 60
    assert len(await ten.offered()) == 8  # those of before are still offered


async def test_start_time_and_window(ten: Fleet) -> None:
    now = ten.clock.time
    minute = now // 60 % 1440
    await ten.roll_out(canary=0, start_at=now + 120, window=[(minute + 3) % 1440, (minute + 5) % 1440])
    for seconds, offers in ((60, 0), (60, 0), (60, 10)):
        ten.clock.time += seconds
        assert len(await ten.offered()) == offers


async def test_window_closed_keeps_those_under_way(ten: Fleet) -> None:
    minute = ten.clock.time // 60 % 1440
    await ten.roll_out(canary=1, window=[minute, (minute + 1) % 1440])
    assert len(await ten.offered()) == 1
    ten.clock.time += 60
    assert len(await ten.offered()) == 1


async def test_retry_failed(ten: Fleet) -> None:
    await ten.roll_out()
    await ten.fail(ten.boards[0], SELF_TEST_FAILED)
    await ten.act("retry")
    assert await ten.offered() == ["board-0"]
    await ten.confirm(ten.boards[0])
    assert (await ten.show())["counts"]["confirmed"] == 1


async def test_draft(ten: Fleet) -> None:
    await ten.roll_out(draft=True)
    assert await ten.offered() == []
    assert (await ten.show())["state"] == "draft"
    for move in ("pause", "resume", "retry"):
        await ten.act(move, 409)
    await ten.act("start")
    assert await ten.offered() == ["board-0"]


async def test_two_others_must_agree(ten: Fleet) -> None:
    service = ten.service
    await service.call("PATCH", PK, json={"approvals": 2})
    await ten.roll_out()
    await ten.act("start", 409)
    await ten.act("approve", 403)  # its maker
    one, two = await as_(service, "manager"), await as_(service, "owner")
    path = f"{PK}/rollouts/{ten.id}/approve"
    assert (await service.call("POST", path, headers=one))["state"] == "draft"
    await service.call("POST", path, 403, headers=one)  # once each
    await service.call("POST", path, 403, headers=await as_(service, "operator"))
    assert (await service.call("POST", path, headers=two))["state"] == "running"
    assert await ten.offered() == ["board-0"]


async def test_test_devices_first(ten: Fleet) -> None:
    service = ten.service
    await service.call("PATCH", PK, json={"verify_first": True})
    await service.call("POST", PK + "/groups", 201, json={"name": "lab", "test": True})
    await service.call("PATCH", PK + "/devices/board-3", json={"group": "lab"})
    refused = await service.call("POST", PK + "/rollouts", 409, json={"version": "1.1.0"})
    assert "no test device" in refused["message"]
    await service.call("POST", PK + "/rollouts", 409, json={"version": "1.1.0", "devices": ["board-1"]})
    await ten.roll_out(group="lab")
    assert await ten.offered() == ["board-3"]
    await ten.confirm(ten.boards[3])
    assert (await service.call("GET", PK + "/releases/1.1.0"))["verified_at"] is not None
    await ten.roll_out()
    assert len(await ten.offered()) == 1


async def test_a_group_that_grows(ten: Fleet) -> None:
    await ten.service.call("POST", PK + "/groups", 201, json={"name": "eu", "rule": "inventory.region = eu"})
    await ten.boards[4].poll(region="eu")
    await ten.service.cloud.presence.flush()
    await ten.roll_out(group="eu", canary=0)
    assert (await ten.show())["total"] == 1
    await ten.boards[5].poll(region="eu")
    await ten.service.cloud.presence.flush()
    shown = await ten.show()
    assert (shown["total"], shown["group"]) == (2, "eu")


async def test_a_revoked_device_holds_nothing_up(ten: Fleet) -> None:
    await ten.roll_out(devices=["board-0", "board-1"], canary=0)
    await ten.confirm(ten.boards[0])
    await ten.service.call("POST", PK + "/devices/board-1/revoke")
    assert (await ten.show())["state"] == "done"


async def test_the_way_back(ten: Fleet) -> None:
    await ten.roll_out(canary=0)
    await ten.confirm(ten.boards[0])
    again = await ten.service.call("POST", PK + "/releases/1.0.0/reissue", 201, params={"as": "1.0.0-again"})
    assert again["seq"] == 3
    await ten.service.built("1.0.0-again")
    body = {"version": "1.0.0-again", "canary": 0}
    await ten.service.call("POST", PK + "/rollouts", 201, json=body)
    await ten.service.built("1.0.0-again")
    assert (await ten.boards[0].poll())["update"]["version"] == "1.0.0-again"
    assert (await ten.boards[1].poll())["update"] is None  # runs that image already
    assert (await ten.boards[1].poll())["update"] is None  # and the older rollout is over for it


@pytest.mark.parametrize(
    "body",
    [
        {"phases": [{"count": 1, "percent": 1}]},
        {"phases": [{}]},
        {"devices": ["board-0"], "group": "x"},
        {"window": [0, 1440]},
        {"canary": -1},
    ],
)
async def test_what_is_no_rollout(ten: Fleet, body: dict[str, Any]) -> None:
    await ten.service.call("POST", PK + "/rollouts", 400, json={"version": "1.1.0", **body})
