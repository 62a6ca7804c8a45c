"""Who is told to poll, and when."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from otaspec import mqtt

from tests.cloud.kit import Clock, Service
from tests.cloud.mqttclient import embedded, enter
from tests.cloud.test_fleet import statements
from tests.cloud.test_rollouts import Fleet


@dataclass
class Outlet:
    """Remembers who was told."""

    away: set[str] = field(default_factory=set)
    told: list[str] = field(default_factory=list)

    up = True

    def connected(self, pk: str, dn: str) -> bool:
        return dn not in self.away

    def count(self, pk: str) -> None:
        """Nobody asks here."""

    def publish(self, topic: str, body: bytes) -> None:
        assert json.loads(body)["code"] == "1000"
        self.told.append(topic.rsplit("/", 1)[1])

    async def until(self, right: Callable[[list[str]], bool]) -> list[str]:
        async with asyncio.timeout(20):
            while not right(self.told):
                await asyncio.sleep(0.01)
        return self.told


@pytest.fixture
async def fleet(service: Service, clock: Clock) -> Fleet:
    return await Fleet(service, await service.product(), clock).set_up(3)


@pytest.fixture
async def outlet(fleet: Fleet) -> Outlet:
    made = Outlet()
    await fleet.service.cloud.notifier.begin(made)
    return made


async def test_the_canary_is_told_then_the_others(fleet: Fleet, outlet: Outlet) -> None:
    await fleet.roll_out()
    (canary,) = await outlet.until(lambda told: len(told) == 1)
    board = next(board for board in fleet.boards if board.dn == canary)
    await fleet.confirm(board)
    told = await outlet.until(lambda told: len(told) == 3)
    assert sorted(told) == ["board-0", "board-1", "board-2"]


async def test_who_does_not_listen_does_not_take_anothers_turn(fleet: Fleet, outlet: Outlet) -> None:
    outlet.away = {"board-0", "board-1"}
    await fleet.roll_out()
    assert await outlet.until(bool) == ["board-2"]


async def test_not_before_its_hour_and_not_while_it_is_paused(
    fleet: Fleet, outlet: Outlet, clock: Clock
) -> None:
    notifier = fleet.service.cloud.notifier
    await fleet.roll_out(start_at=clock.time + 7200)
    assert await notifier.look(fleet.id) == 7200
    await fleet.act("pause")
    clock.time += 7200  # after the pause: the notifier wakes by itself at its hour
    assert await notifier.look(fleet.id) is None
    assert outlet.told == []
    await fleet.act("resume")
    await outlet.until(bool)


async def test_the_next_phase_is_told_when_the_first_has_soaked(
    fleet: Fleet, outlet: Outlet, clock: Clock
) -> None:
    await fleet.roll_out(phases=[{"count": 1, "soak": 600}])
    (canary,) = await outlet.until(bool)
    await fleet.confirm(next(board for board in fleet.boards if board.dn == canary))
    assert await fleet.service.cloud.notifier.look(fleet.id) == 600
    clock.time += 600
    await fleet.service.cloud.notifier.look(fleet.id)
    assert len(outlet.told) == 3


async def test_each_place_is_told_once_and_a_look_costs_few_queries(fleet: Fleet, outlet: Outlet) -> None:
    await fleet.roll_out(phases=[{"percent": 100}])
    await outlet.until(lambda told: len(told) == 3)
    with statements(fleet.service) as seen:
        for _ in range(5):
            assert await fleet.service.cloud.notifier.look(fleet.id) is None
    assert len(outlet.told) == 3
    assert len(seen) < 5 * 6


async def heard(service: Service, informs: int) -> None:
    """Until so many were dealt with."""
    while service.cloud.metrics.heard.labels("inform")._value.get() < informs:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)


async def test_a_board_that_connects_is_told_of_its_open_place(fleet: Fleet) -> None:
    """Also after a restart of the service; one without a place hears nothing."""
    service = fleet.service
    await fleet.roll_out(devices=["board-1"])
    async with embedded(service) as port:
        with_place, without = await enter(port, fleet.boards[1]), await enter(port, fleet.boards[0])
        for device in (without, with_place):
            device.send(mqtt.publish(device.topic("inform"), b'{"id":"1","params":{"version":"1.0.0"}}'))
        assert json.loads(await with_place.told())["data"]["version"] == "1.1.0"
        await heard(service, 2)
        assert await without.rest() == 0
        await with_place.rest()  # the look at the start may have told it, too
        await fleet.confirm(fleet.boards[1])
        with_place.send(mqtt.publish(with_place.topic("inform"), b"not JSON: nobody reads it"))
        await heard(service, 3)
        assert await with_place.rest() == 0


async def test_the_embedded_broker_tells_the_board(fleet: Fleet) -> None:
    async with embedded(fleet.service) as port:
        devices = [await enter(port, board) for board in fleet.boards]
        await fleet.roll_out(phases=[{"percent": 100}])
        bodies = [json.loads(await device.told()) for device in devices]
        assert {body["data"]["version"] for body in bodies} == {"1.1.0"}
        assert len({body["id"] for body in bodies}) == 3
