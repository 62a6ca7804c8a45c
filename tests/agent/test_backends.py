"""Several servers, long-poll, back-off: which errors make the agent go elsewhere, and which make it wait."""

import time
from itertools import pairwise
from pathlib import Path

import pytest

from .service import Answer, Misbehaviour, Service
from .station import Station, full, image, reported
from .test_network import answers
from .test_updates import app, polls, said

pytestmark = pytest.mark.slow

OLD, NEW = image("1.0.0"), image("1.1.0")


def both(first: Service, second: Service) -> str:
    return f"{first.url} {second.url}"


def known(*services: Service) -> dict[str, bytes]:
    """The same device at each server."""
    for service in services:
        service.secrets["kitchen"] = b"d" * 32
    return {"ds": b"d" * 32}


async def test_a_package_that_does_not_come_is_fetched_elsewhere(tmp_path: Path) -> None:
    with Service() as first, Service() as second:
        first.release(full(NEW))
        second.release(full(NEW))
        first.instead["/v1/packages"] = answers(404)
        board = Station(tmp_path, first, OLD, known(first, second) | {"server": both(first, second)})
        await board.run(lambda _: any(r["state"] == "confirmed" for r in first.reports + second.reports))
    assert any(path.startswith("/v1/packages") for path in second.calls)


async def test_a_busy_server_is_waited_for_and_not_left(tmp_path: Path) -> None:
    with Service() as first, Service() as second:
        first.release(full(NEW))
        first.instead["/v1/poll"] = answers(503, 2, Retry_After="2")
        board = Station(tmp_path, first, OLD, known(first, second) | {"server": both(first, second)})
        await board.run(reported("confirmed"))
    assert not second.calls


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_package_store_is_left_for_as_long_as_it_says(tmp_path: Path, status: int) -> None:
    """Never a moment less; nothing counts as failed, and the other server is not asked."""
    with Service() as first, Service() as second:
        first.release(full(NEW))
        at: list[float] = []
        first.instead["/v1/packages"] = _timed(at, answers(status, 2, Retry_After="3"))
        board = Station(tmp_path, first, OLD, known(first, second) | {"server": both(first, second)})
        await board.run(reported("confirmed"))
    gaps = [b - a for a, b in pairwise(at)][:2]
    assert all(3 <= gap < 4.5 for gap in gaps), gaps
    assert len(first.polls) < 8
    assert {r["code"] for r in first.reports} == {0, 312}
    assert not {"failed", "reverted", "deferred"} & {r["state"] for r in first.reports}
    assert not second.calls


async def test_one_long_wait_does_not_stay(tmp_path: Path) -> None:
    """What a server asked for holds once: the next that is busy says its own."""
    with Service() as service:
        at: list[float] = []
        service.instead["/v1/poll"] = _timed(at, answers(503, 1, Retry_After="4"))
        service.instead["/v1/packages"] = _timed(at, answers(429, 1, Retry_After="1"))
        service.release(full(NEW))
        await Station(tmp_path, service, OLD).run(reported("confirmed"))
    first, _, again = (b - a for a, b in pairwise(at[:4]))
    assert first >= 4
    assert again < 3


async def test_the_wait_grows_with_each_failure_and_is_never_the_same(tmp_path: Path) -> None:
    with Service() as service:
        at: list[float] = []
        service.instead["/v1/challenge"] = _timed(at, answers(500, 4))
        board = Station(tmp_path, service, OLD)
        await board.run(polls(1), seconds=40)
    gaps = [b - a for a, b in pairwise(at)][:4]
    for gap, nominal in zip(gaps, (1, 2, 4, 8), strict=True):
        assert nominal * 0.74 < gap < nominal * 1.26 + 0.5
    assert len({round(gap / nominal, 3) for gap, nominal in zip(gaps, (1, 2, 4, 8), strict=True)}) > 2


async def test_the_poll_interval_follows_the_server(tmp_path: Path) -> None:
    with Service(poll_interval=1) as service:
        board = Station(tmp_path, service, OLD)
        await board.run(polls(4))
        service.poll_interval = 3
        await board.run(polls(8))
    gaps = [b["at"] - a["at"] for a, b in pairwise(service.polls)]
    assert all(0.85 < gap < 1.6 for gap in gaps[:2])
    assert all(2.6 < gap < 3.8 for gap in gaps[-2:])


async def test_long_poll_brings_a_release_at_once_and_can_be_ended(tmp_path: Path) -> None:
    text = """
ota = Updates()
async def main(agent):
    await ota.start()
    await asyncio.sleep(1)
    at = time.time()
    await ota.stop()
    say(stopped=time.time() - at < 0.5)
    await ota.start()
"""
    released = []

    def release(s: Station) -> bool:
        if said("stopped")(s) and len(s.service.polls) == 2 and not released:
            released.append(s.service.release(full(NEW)))
        return reported("confirmed")(s)

    with Service(poll_interval=300, holds=True) as service:
        board = Station(
            tmp_path, service, image("1.0.0", app(text)), {"wait": 100, "timeout": 2, "poll": 300}
        )
        await board.run(release)
    assert said("stopped", True)(board)
    assert service.polls[0]["wait"] == 100
    assert service.polls[2]["state"] == "pending-verify"


async def test_a_server_without_long_poll_is_not_hammered(tmp_path: Path) -> None:
    with Service(poll_interval=300) as service:
        board = Station(tmp_path, service, OLD, {"wait": 10, "poll": 300})
        with pytest.raises(AssertionError):
            await board.run(polls(2), seconds=4)


def _timed(at: list[float], react: Misbehaviour) -> Misbehaviour:
    def wrapped(service: Service, body: bytes) -> Answer | None:
        at.append(time.monotonic())
        return react(service, body)

    return wrapped
