"""Phases of a rollout: which boards may be offered the release, and when the next phase begins. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any


@dataclass(frozen=True)
class Phase:
    """`count` boards, whichever come first, or `percent` of all, chosen by hash. Both count from the start.

    The next phase begins `soak` seconds after `success` percent of its boards had confirmed.
    """

    count: int = 0
    percent: float = 0
    success: float = 100
    soak: int = 0

    def size(self, total: int) -> int:
        """Boards that the phase is for, those of the phases before it included; at least one."""
        wanted = self.count or ceil(self.percent * total / 100)
        return min(max(wanted, 1), total)

    def needed(self, total: int) -> int:
        """Boards that must have confirmed, or have nothing to confirm."""
        return ceil(self.success * self.size(total) / 100)


def read(phases: Sequence[Mapping[str, Any]]) -> list[Phase]:
    return [Phase(**phase) for phase in phases]


@dataclass(frozen=True)
class Progress:
    """Where a rollout stands in its current phase.

    settled: boards of the phase that confirmed or needed nothing. open: boards of it that may still.
    """

    settled: int
    open: int


def is_reached(phase: Phase, total: int, progress: Progress) -> bool:
    """Enough boards confirmed; or none is left that could, and failures have not stopped the rollout."""
    return progress.settled >= phase.needed(total) or progress.open == 0


def has_soaked(phase: Phase, reached_at: int | None, now: int) -> bool:
    return reached_at is not None and now >= reached_at + phase.soak


def in_window(window: Sequence[int], now: int) -> bool:
    """Whether the time of day (UTC) lies in `window` (minutes from, to; may pass midnight); none: always."""
    if not window:
        return True
    begin, end = window
    minute = now // 60 % 1440
    return begin <= minute < end if begin <= end else minute >= begin or minute < end
