"""Undo: back to the image in the other slot by a signed instruction, without a download."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from otaboards import loader
from otadiff.build import build_undo
from otadiff.sign import Signer
from otasim.faults import KINDS, Cut, Faults
from otaspec import image_file
from otaspec.image import LINUX_HOST

from tests.spec.packages import PRIVATE

from .service import Service
from .station import Station, full, image, reported

OLD, NEW = image("1.0.0"), image("1.1.0")
OPERATIONS = 17  # of flash and NVS, from the accepted instruction to the confirmation


def undo(old: bytes, seq: int, version: str = "1.0.0", **fields: Any) -> bytes:
    host = loader.load("LINUX_HOST")
    return build_undo(
        old, board=host, product="thermostat", version=version, seq=seq, signer=Signer(PRIVATE), **fields
    )


async def updated(folder: Path, service: Service, old: bytes = OLD) -> Station:
    """A board that went from `old` to NEW."""
    service.release(full(NEW, 7))
    board = await Station(folder, service, old).run(reported("confirmed"))
    service.reports.clear()
    return board


def at_rest(board: Station, seq: int) -> bool:
    """Confirmed, and the image that it came from is told as kept."""
    reports, polls = board.service.reports, board.service.polls
    return any((r["state"], r["seq"]) == ("confirmed", seq) for r in reports) and bool(polls[-1]["kept"])


@pytest.mark.slow
async def test_undo_and_redo_without_a_download(tmp_path: Path) -> None:
    with Service() as service:
        board = await updated(tmp_path, service)
        wear = board.wear("ota_0"), board.wear("ota_1")
        for seq, wanted, slot, version in ((8, OLD, "ota_0", "1.0.0"), (9, NEW, "ota_1", "1.1.0")):
            sent = service.sent
            service.release(undo(wanted, seq, version), version, seq, seq)
            await board.run(lambda s, n=seq: at_rest(s, n))
            assert board.runs() == slot
            assert service.sent - sent < 8000  # instruction, polls and reports
        assert (board.wear("ota_0"), board.wear("ota_1")) == wear
    assert service.states()[:3] == ["downloading", "verifying", "rebooting"]
    assert service.polls[-1]["version"] == "1.1.0"


@pytest.mark.codes(204, 206, 208, 213)
@pytest.mark.slow
async def test_what_is_not_undone(tmp_path: Path) -> None:
    """Another image than the one before; one that was changed; one older in security; before any update."""
    segment = OLD[32 : 32 + int.from_bytes(OLD[28:32], "little")]

    def secure(version: int) -> bytes:
        desc = image_file.pack_desc(version=f"s{version}", secure_version=version)
        return image_file.build([(0x3F400020, desc + segment[len(desc) :])], LINUX_HOST)

    async def refused(board: Station, package: bytes, code: int) -> None:
        board.service.release(package, seq=20, rollout=code)
        erases = board.erases()
        await board.run(reported("failed", code))
        assert board.erases() == erases
        board.service.reports.clear()

    for name in ("fresh", "updated", "secure"):
        (tmp_path / name).mkdir()
    with Service() as service:
        await refused(Station(tmp_path / "fresh", service, OLD), undo(NEW, 20), 213)
    with Service() as service:
        board = await updated(tmp_path / "updated", service)
        await refused(board, undo(image("0.9.0"), 20), 213)
        await refused(board, undo(OLD, 20, device="bathroom"), 204)
        await refused(board, undo(OLD, 6), 206)
        _flip(board, 0, 5000)
        await refused(board, undo(OLD, 20), 213)
    with Service() as service:
        older = secure(3)
        service.release(full(secure(4), 7, secure_version=4))
        board = await Station(tmp_path / "secure", service, older).run(reported("confirmed"))
        service.reports.clear()
        await refused(board, undo(older, 20, secure_version=4), 208)


@pytest.mark.slow
async def test_the_power_may_go_at_any_operation_of_an_undo(tmp_path: Path) -> None:
    with Service() as service:
        board = await updated(tmp_path, service)
        saved = {path: path.read_bytes() for path in (board.files.flash, board.files.rtc)}
        done = board.board.operations
        service.release(undo(OLD, 8), "1.0.0", 8)
        kinds = itertools.cycle(KINDS)
        cuts = 0
        for operation, kind in zip(range(1, 2 * OPERATIONS + 1), kinds, strict=False):
            for path, data in saved.items():
                path.write_bytes(data)
            service.reports.clear()
            board.events.clear()
            await board.run(
                reported("confirmed"), Faults([Cut(done + (operation + 1) // 2, kind, operation)])
            )
            assert board.runs() == "ota_0"
            assert board.slot(0, len(OLD)) == OLD
            assert board.slot(1, len(NEW)) == NEW
            cuts += board.exits().count("power-cut")
        assert cuts > OPERATIONS


@pytest.mark.slow
async def test_a_board_whose_undo_fails_stays_where_it_was(tmp_path: Path) -> None:
    bad = {"app.py": b"import os\ndef self_test():\n    return 'ill' not in os.listdir()\n"}
    old = image("1.0.0", bad)
    with Service() as service:
        board = await updated(tmp_path, service, old)
        (board.files.vfs / "ill").touch()
        service.release(undo(old, 8), "1.0.0", 8)
        await board.run(reported("reverted", 501))
        assert board.runs() == "ota_1"
        await board.run(reported("failed", 211))
    assert board.slot(1, len(NEW)) == NEW


def _flip(board: Station, slot: int, at: int) -> None:
    row = next(row for row in board.rows if (row.type, row.subtype) == (0, 0x10 + slot))
    with board.files.flash.open("r+b") as flash:
        flash.seek(row.offset + at)
        byte = flash.read(1)[0]
        flash.seek(row.offset + at)
        flash.write(bytes([byte ^ 1]))
