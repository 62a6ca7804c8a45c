"""Where to cut: every operation, a sample of them, or every second cut on otadata."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from otaspec import partition

from otasim.lab import GOOD, Point, Survey, Verdict

SINGLE = ("before", "after", "prefix", "subset", "bits")
_NVS_KINDS = ("before", "after")  # an NVS write is atomic: torn is one of these two
_SECTOR = 4096


class Regions:
    """What an operation works on, by its address: the strata of a sample and the colours of a picture."""

    NAMES = ("nvs", "otadata", "head", "slot", "other")

    def __init__(self, rows: Iterable[partition.Row]) -> None:
        rows = list(rows)
        self._otadata = partition.find(rows, partition.DATA, partition.OTA)
        self._slots = [r for r in rows if r.type == partition.APP]

    def of(self, what: str, at: int) -> str:
        """ "head": a slot's first sector; "slot": the rest of it, where patches are staged too."""
        if what == "nvs":
            return "nvs"
        if self._otadata and 0 <= at - self._otadata.offset < self._otadata.size:
            return "otadata"
        for row in self._slots:
            if 0 <= at - row.offset < row.size:
                return "head" if at - row.offset < _SECTOR else "slot"
        return "other"

    def first(self, trace: Sequence[tuple[str, int]], region: str) -> int:
        """Number of the first operation on `region`; behind the last where there is none."""
        return next(
            (n for n, operation in enumerate(trace, 1) if self.of(*operation) == region), len(trace) + 1
        )


def exhaustive(
    survey: Survey, kinds: Sequence[str] = SINGLE, seed: int = 0, first: int = 1, last: int | None = None
) -> list[Point]:
    """Every operation from `first` to `last`, in every kind that makes a difference there."""
    found = []
    for number, (what, _) in enumerate(survey.trace[:last], 1):
        for kind in kinds if number >= first else ():
            if what != "nvs" or kind in _NVS_KINDS:
                found.append(Point(number, kind, _seed(seed, number, kind)))
    return found


def of_releases(
    surveys: Mapping[str, Survey], kinds: Sequence[str] = SINGLE, in_turn: int = 0
) -> dict[str, list[Point]]:
    """Every operation of updates that differ in their release, by the release whose uncut run is cut.

    Until its first boot all releases are alike: those cuts are of the first survey, once for each release.
    in_turn: below this operation each dead release gets one of the kinds, the next one the next.
    """
    first, base = next(iter(surveys.items()))
    found = {}
    for name, survey in surveys.items():
        if survey.trace[: base.tried] != base.trace[: base.tried]:
            raise ValueError("releases differ before their first boot")
        apart = exhaustive(survey, kinds, first=base.tried + 1)
        found[name] = [replace(point, release=name) for point in apart]
    alike = exhaustive(base, kinds, last=base.tried)
    for operation, some in groupby(alike, key=lambda point: point.operation):
        ways = list(some)
        for turn, name in enumerate(surveys):
            one = operation < in_turn and name != GOOD
            taken = [ways[(operation + turn) % len(ways)]] if one else ways
            found[first] += [replace(point, release=name) for point in taken]
    return found


def stratified(
    survey: Survey,
    regions: Regions,
    count: int,
    kinds: Sequence[str] = SINGLE,
    seed: int = 0,
    first: int = 1,
) -> list[Point]:
    """About `count` points: every stratum (region, kind) gets its share, small ones are taken whole."""
    everything = exhaustive(survey, kinds, seed, first)
    dice = random.Random(seed)  # noqa: S311 - a sample that can be repeated

    def stratum(point: Point) -> tuple[str, str]:
        return regions.of(*survey.trace[point.operation - 1]), point.kind

    strata = [list(points) for _, points in groupby(sorted(everything, key=stratum), key=stratum)]
    chosen: list[Point] = []
    for done, points in enumerate(sorted(strata, key=len)):
        share = -(-(count - len(chosen)) // (len(strata) - done))
        chosen += points if len(points) <= share else dice.sample(points, max(share, 0))
    return sorted(chosen, key=Point.order)


def seconds_on_otadata(
    verdicts: Iterable[Verdict], regions: Regions, kinds: Sequence[str] = SINGLE, seed: int = 0
) -> list[Point]:
    """For each cut run that was traced: a second cut at every otadata operation after its restart."""
    found = []
    for verdict in verdicts:
        p = verdict.point
        for after, (what, at) in enumerate(verdict.trace, 1):
            if regions.of(what, at) == "otadata":
                found += [
                    Point(p.operation, p.kind, p.seed, (after, kind, _seed(seed, after, kind) ^ p.seed))
                    for kind in kinds
                ]
    return found


def random_doubles(survey: Survey, count: int, kinds: Sequence[str] = SINGLE, seed: int = 0) -> list[Point]:
    """At least `count` double cuts: the first everywhere in every kind, the second somewhere after it."""
    dice = random.Random(seed)  # noqa: S311
    found: set[Point] = set()
    firsts = exhaustive(survey, kinds, seed)
    while len(found) < count:
        for first in firsts:
            after = dice.randint(1, max(1, survey.operations - first.operation))
            found.add(replace(first, then=(after, dice.choice(kinds), dice.getrandbits(20))))
    return sorted(found, key=Point.order)


def _seed(seed: int, number: int, kind: str) -> int:
    return (seed * 1000003 + number * 31 + len(kind)) & 0xFFFFF
