"""A journal that is lost, or older than the flash: it costs time, never a wrong image."""

from collections.abc import Callable
from pathlib import Path

import pytest
from otasim import files, parts
from otasim.faults import Cut, Faults
from otaspec import journal
from otaspec.partition import DATA, NVS

from .service import Service
from .station import Station, full, image, package, reported

pytestmark = pytest.mark.slow

OLD, NEW = image("1.0.0"), image("1.1.0")


def lose_journal(board: Station) -> None:
    """All of the journal's keys are gone; the settings are there."""
    row = next(row for row in board.rows if (row.type, row.subtype) == (DATA, NVS))
    with board.files.flash.open("r+b") as flash:
        flash.seek(row.offset)
        area = bytearray(flash.read(row.size))
        for key, _ in journal.BLOBS.values():
            parts.nvs.put(memoryview(area), journal.NAMESPACE, key, parts.nvs.BLOB, None)
        flash.seek(row.offset)
        flash.write(area)


def roll_back(board: Station) -> None:
    row = next(row for row in board.rows if (row.type, row.subtype) == (DATA, NVS))
    assert files.roll_back_nvs(board.files, row)


def runs_new(board: Station) -> bool:
    """The server sees the new image run, out of its trial."""
    return any(p["slot"] == "ota_1" and p["state"] == "idle" for p in board.service.polls)


@pytest.mark.parametrize("harm", [lose_journal, roll_back])
@pytest.mark.parametrize("kind", ["full", "delta"])
async def test_in_the_middle_of_writing(tmp_path: Path, harm: Callable[[Station], None], kind: str) -> None:
    with Service() as service:
        service.release(package(kind, OLD, NEW))
        board = Station(tmp_path, service, OLD)
        await board.run(lambda s: "power-cut" in s.exits(), Faults([Cut(200, "subset")]))
        harm(board)
        await board.run(reported("confirmed"))
    assert board.slot(1, len(NEW)) == NEW


@pytest.mark.parametrize("harm", [lose_journal, roll_back])
async def test_in_the_trial(tmp_path: Path, harm: Callable[[Station], None]) -> None:
    """Run as in a trial, or put back and installed again: in the end the new one runs, confirmed."""
    with Service() as service:
        service.release(full(NEW))
        board = Station(tmp_path, service, OLD, {"soak": 1})
        await board.run(lambda s: "pending-verify" in s.said())
        harm(board)
        await board.run(runs_new)
    assert board.slot(1, len(NEW)) == NEW


@pytest.mark.parametrize("harm", [lose_journal, roll_back])
async def test_after_the_confirmation(tmp_path: Path, harm: Callable[[Station], None]) -> None:
    with Service() as service:
        service.release(full(NEW))
        board = Station(tmp_path, service, OLD)
        await board.run(reported("confirmed"))
        harm(board)
        seen = len(service.polls)
        await board.run(lambda s: len(service.polls) > seen + 1)
    assert board.runs() == "ota_1"
    assert service.polls[-1]["version"] == "1.1.0"
