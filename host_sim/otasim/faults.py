"""What can go wrong on a board, as data: a fault plan."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from otasim.parts import layout

KINDS: tuple[str, ...] = layout.CUT_NAMES[1:]
TORN: tuple[str, ...] = KINDS[2:]


@dataclass(frozen=True, order=True)
class Cut:
    """The power goes at an operation (1: the board's first page program, sector erase or NVS write).

    kind: one of KINDS; "before" leaves operation - 1 done, "after" leaves it done, the others tear it,
    the way that `seed` decides. An NVS write is atomic: torn kinds leave it done or not done.
    """

    operation: int
    kind: str = "before"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is no kind of power cut; there are {', '.join(KINDS)}")
        if self.operation < 1:
            raise ValueError("the first operation is number 1")


@dataclass(frozen=True)
class Faults:
    """cuts: at operations. cut_seconds: at times since the run began. offline: (from, to) in seconds.

    stuck_sector: number of a flash sector whose first bit stays 0 when it is erased.
    """

    cuts: Sequence[Cut] = ()
    cut_seconds: Sequence[float] = ()
    offline: Sequence[tuple[float, float]] = ()
    stuck_sector: int | None = None


NONE = Faults()


@dataclass
class CutPlan:
    """The cuts still to come, in order of operation."""

    cuts: list[Cut] = field(default_factory=list)

    def next_after(self, operations: int) -> Cut | None:
        """The first cut beyond `operations`; those passed by are forgotten."""
        self.cuts = sorted(c for c in self.cuts if c.operation > operations)
        return self.cuts[0] if self.cuts else None

    def spent(self) -> None:
        """The next one has happened."""
        self.cuts = sorted(self.cuts)[1:]
