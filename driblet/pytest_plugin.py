"""The fault lab in tests of your own: the fixture `ota_board`. pytest finds it where driblet is installed.

def test_no_power_cut_bricks_it(ota_board):
    board = ota_board("old.bin", "new.bin")
    verdict = board.prove(points=200)
    assert (verdict.bricks, verdict.not_converged, verdict.wrong) == (0, 0, 0)
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # the rest is imported when a test asks for a board: every pytest loads this file
    from otasim.lab import Survey, Update, Verdict
    from otasim.points import Regions
    from otasim.prove import Summary

File = str | Path | bytes


class OtaBoard:
    """A board that runs the old image and is offered the new one. Its power goes where a test says so.

    For tests that are not async: each method runs the lab to its end. Operations are numbered from 1.
    """

    def __init__(self, update: "Update", regions: "Regions") -> None:
        self.update = update
        self._regions = regions

    @cached_property
    def survey(self) -> "Survey":
        """The uncut run: `outcome`, `operations`, `trace`, `reports`.

        outcome: "new": confirmed; "old": a dead release was sent back; "not_converged": a good one was.
        """
        from otaboards import runtime
        from otasim import lab

        return asyncio.run(lab.survey(runtime.find(), self.update))

    def region(self, operation: int) -> str:
        """What an operation of the uncut run works on: nvs, otadata, head, slot."""
        return self._regions.of(*self.survey.trace[operation - 1])

    def cut(self, operation: int, kind: str = "before", seed: int = 0, nvs: str = "") -> "Verdict":
        """The power goes at one operation. kind: as otasim.faults.KINDS; nvs: as otasim.lab.NVS_FAULTS."""
        from otasim.lab import Point

        return self._judged([Point(operation, kind, seed, nvs=nvs)])[0]

    def prove(self, points: int = 100, seed: int = 0) -> "Summary":
        """As many cuts, spread over all operations and kinds: bricks, not_converged, extra_bytes, ..."""
        from otasim import points as where
        from otasim import prove

        summary = prove.Summary(self.survey.operations)
        for verdict in self._judged(where.stratified(self.survey, self._regions, points, seed=seed)):
            summary.add(verdict, self.update.expected())
        return summary

    def _judged(self, points: Any) -> "list[Verdict]":
        from otaboards import runtime
        from otasim import prove

        return asyncio.run(prove.run(runtime.find(), self.update, self.survey, points))


@pytest.fixture
def ota_board(tmp_path: Path) -> Callable[..., OtaBoard]:
    """Makes boards: ota_board(old, new, ...).

    old, new: app images, as paths or bytes; or package= (with public=, the signer's X || Y) instead of new.
    release: how the new one behaves, one of otasim.lab.RELEASES. app: folder with its application (app.py).
    board: kind of board, default the smallest that fits. variant: bootloader, "stock" or "reference".
    """

    def make(
        old: File,
        new: File | None = None,
        *,
        package: File | None = None,
        public: bytes = b"",
        board: str | None = None,
        release: str = "good",
        app: str | Path | None = None,
        variant: str = "stock",
    ) -> OtaBoard:
        from otaboards import runtime
        from otasim import bench
        from otasim.points import Regions

        from driblet import prove

        if (new is None) == (package is None):
            raise TypeError("ota_board takes either new or package")
        if package is not None:
            case = prove.case_of_package(_bytes(old), _bytes(package), public, board)
        else:
            case = prove.case_of_images(_bytes(old), _bytes(new or b""), _signer(), board)
        number = len(list(tmp_path.glob("ota-board-*")))
        update = bench.update_of(
            tmp_path / f"ota-board-{number}",
            runtime.find(),
            case.board,
            case.old,
            case.package,
            case.public,
        )
        where = Path(app).absolute() if app else None
        return OtaBoard(
            replace(update, release=release, variant=variant, app=where), Regions(case.board.rows)
        )

    return make


def _bytes(file: File) -> bytes:
    return file if isinstance(file, bytes) else Path(file).read_bytes()


def _signer() -> Any:
    """A key for the length of one test."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from otadiff.sign import Signer

    return Signer(ec.generate_private_key(ec.SECP256R1()))
