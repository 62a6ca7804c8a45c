"""Power loss as a mode of ordinary updates: cut at any operation, in any way; the board ends confirmed."""

import random
from pathlib import Path

import pytest
from otasim.faults import KINDS, Cut, Faults

from .service import Service
from .station import Station, full, image, reported

pytestmark = pytest.mark.slow


async def _updates(folder: Path, cuts: list[Cut]) -> Station:
    old, new = image("1.0.0"), image("1.1.0")
    folder.mkdir(exist_ok=True)
    with Service() as service:
        service.release(full(new))
        board = Station(folder, service, old)
        await board.run(reported("confirmed"), Faults(cuts))
    assert board.slot(1, len(new)) == new
    assert board.slot(0, len(old)) == old
    return board


@pytest.mark.parametrize("kind", KINDS)
async def test_a_cut_of_each_kind_at_points_of_an_update(tmp_path: Path, kind: str) -> None:
    last = 1
    for at in (3, 40, 200, 380, 404, 412):
        board = await _updates(tmp_path / str(at), [Cut(at, kind, at)])
        last = board.exits().count("power-cut")
    assert last <= 1


async def test_several_cuts_in_one_update(tmp_path: Path) -> None:
    dice = random.Random(5)
    cuts = [Cut(at, dice.choice(KINDS), at) for at in (30, 90, 150, 230, 330)]
    board = await _updates(tmp_path, cuts)
    assert board.exits().count("power-cut") == 5
    final = next(r for r in board.service.reports if r["state"] == "confirmed")
    assert final["data"]["power_cuts"] == 5
