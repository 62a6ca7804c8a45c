"""Who calls too often is told when to come again, and nobody else is."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from otacloud import front, quotas
from otacloud.quotas import Meter, network

from tests.cloud.kit import Board, Clock, Service, joined, started


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock of the meters, which the test moves."""
    now = [1000.0]
    monkeypatch.setattr(quotas, "monotonic", lambda: now[0])
    return now


def test_so_many_at_once_then_one_by_one(moment: list[float]) -> None:
    meter = Meter(2)
    assert [meter.wait("a") for _ in range(20)] == [0.0] * 20
    assert meter.wait("a") == pytest.approx(0.5)
    assert meter.wait("b") == 0.0
    moment[0] += 0.5
    assert meter.wait("a") == 0.0
    assert meter.wait("a") > 0
    moment[0] += 100
    assert [meter.wait("a") for _ in range(20)] == [0.0] * 20
    assert meter.wait("a") > 0


def test_no_rate_is_no_limit() -> None:
    meter = Meter(0)
    assert not any(meter.wait("a") for _ in range(100))


def test_who_has_gone_is_forgotten(moment: list[float]) -> None:
    meter = Meter(1000)
    for n in range(5 * quotas.ROOM):
        moment[0] += 0.001
        meter.wait(n)
    assert len(meter._even) <= quotas.ROOM + 1


def test_one_customer_of_ipv6_has_many_addresses() -> None:
    assert network("2001:db8:1:2::5") == network("2001:db8:1:2:ffff::1") != network("2001:db8:1:3::5")
    assert network("fe80::1%eth0") == "fe80::/64"
    assert network("192.0.2.7") == "192.0.2.7"


@pytest.fixture
async def strict(tmp_path: Path, empty: Path, clock: Clock, moment: list[float]) -> AsyncIterator[Service]:
    """A service where an address has 20 reads and 30 writes at once, a board 10 calls."""
    limits = {"address_reads": 2, "address_writes": 3, "device_calls": 1, "tenant_calls": 3}
    async with started(shutil.copytree(empty, tmp_path / "strict"), clock, **limits) as running:
        yield running


def check_refused(answer: httpx.Response, evidence: str) -> None:
    said = answer.json()
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 10
    assert (said["error"], said["code"]) == ("SERVER_BUSY", 312)
    assert evidence in said["evidence"]
    assert said["remedy"]
    assert answer.headers["x-request-id"].startswith(front._START)


async def test_an_address_reads_too_often(strict: Service) -> None:
    answers = [await strict.http.get("/v1/packages/" + "0" * 64) for _ in range(24)]
    assert [a.status_code for a in answers[:20]] == [404] * 20
    check_refused(answers[-1], "at most 2 reads a second for one address")
    # Writes are counted apart.
    assert (await strict.http.post("/v1/challenge", json={"pk": "p", "dn": "d"})).status_code == 200


async def test_an_address_writes_too_often(strict: Service) -> None:
    for _ in range(33):
        last = await strict.http.post("/v1/challenge", json={"pk": "p", "dn": "d"})
    check_refused(last, "at most 3 writes a second for one address")
    assert (await strict.http.get("/health")).status_code == 200


async def test_sign_ins_are_few(strict: Service) -> None:
    for _ in range(22):
        last = await strict.http.post("/sign-in", data={"secret": "drb_guess"})
    check_refused(last, "at most 20 sign-ins a minute for one address")


async def test_a_board_calls_too_often_and_its_neighbour_does_not(strict: Service) -> None:
    product = await strict.product()
    boards = [await joined(strict, product, dn) for dn in ("kitchen", "cellar")]
    for _ in range(12):
        last = await boards[0].try_poll()
    check_refused(last, "at most 1 calls a second for one device")
    assert (await boards[1].try_poll()).status_code == 200
    counted = (await strict.http.get("/metrics")).text
    assert 'driblet_throttled_total{whose="device"} 2.0' in counted


async def test_a_tenant_calls_too_often(strict: Service) -> None:
    headers = {"Authorization": f"Bearer {strict.token}"}
    transport = strict.http._transport
    for n in range(32):
        # From many addresses, as a fleet's calls come.
        transport.client = (f"192.0.2.{n}", 1)
        last = await strict.http.get("/api/v1/me", headers=headers)
    check_refused(last, "at most 3 calls a second for one tenant")


async def test_a_throttled_board_has_lost_nothing(strict: Service, moment: list[float]) -> None:
    """It comes again with what it had to say."""
    board: Board = await joined(strict, await strict.product(), "kitchen")
    for _ in range(12):
        refused = await board.try_poll()
    assert refused.status_code == 429
    moment[0] += int(refused.headers["retry-after"])
    assert (await board.poll())["update"] is None
