"""In the steady state a poll asks the database nothing; whatever changes is seen by the next poll."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from tests.cloud.kit import Board, Clock, Service, joined
from tests.cloud.test_rollouts import Fleet

PK = "/products/thermostat"


@contextmanager
def statements(service: Service) -> Iterator[list[str]]:
    """The SQL that is run meanwhile."""
    seen: list[str] = []

    def on_execute(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    engines = {service.cloud.db._reader.sync_engine, service.cloud.db._writer.sync_engine}
    for engine in engines:
        event.listen(engine, "before_cursor_execute", on_execute)
    try:
        yield seen
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", on_execute)


@pytest.fixture
async def board(service: Service) -> Board:
    board = await joined(service, await service.product(), "kitchen")
    for _ in range(3):
        await board.poll(uptime=1)
    await service.cloud.presence.flush()
    await board.poll(uptime=1)
    return board


async def test_no_query_in_the_steady_state(service: Service, board: Board) -> None:
    presence = service.cloud.presence
    async with presence._flushing:  # the batch of once a second has to wait
        with statements(service) as seen:
            for uptime in range(2, 20):
                await board.poll(uptime=uptime)
    assert seen == []
    with statements(service) as seen:
        await presence.flush()
    assert [s for s in seen if "INSERT INTO seen" in s] != []


async def test_inventory_comes_with_the_batch(service: Service, board: Board) -> None:
    await board.poll(uptime=99)
    await service.cloud.presence.flush()
    assert (await service.call("GET", PK + "/devices/kitchen"))["inventory"] == {"uptime": 99}


async def test_a_board_behind_a_closed_gate_costs_one_look_a_second(service: Service, clock: Clock) -> None:
    fleet = await Fleet(service, await service.product(), clock).set_up(20)
    await fleet.roll_out()
    assert len(await fleet.offered()) == 1
    waiting = fleet.boards[1:]
    for board in waiting:
        await board.poll()
    with statements(service) as seen:
        for board in waiting:
            await board.poll()
    assert len([s for s in seen if s.startswith("SELECT")]) <= 8


async def test_a_new_plan_is_seen_at_once(service: Service, clock: Clock) -> None:
    fleet = await Fleet(service, await service.product(), clock).set_up(2)
    assert await fleet.offered() == []
    await fleet.roll_out(canary=0)
    assert len(await fleet.offered()) == 2
    await fleet.act("pause")
    assert await fleet.offered() == []
    await fleet.act("resume")
    assert len(await fleet.offered()) == 2


async def test_an_event_during_the_first_look_is_not_lost(service: Service, board: Board) -> None:
    """The entry that was read before a revocation must not stay."""
    from otacloud import fleet as module
    from otacloud.events import Event

    service.cloud.hub.publish(1, Event("device", 1))
    load = module._load

    async def slow(*args: Any) -> Any:
        found = await load(*args)
        service.cloud.hub.publish(1, Event("device", 1))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_load", slow)
        await board.poll(uptime=1)
    assert 1 not in service.cloud.fleet._known
