"""Runs points of the fault lab side by side, keeps what was judged, and sums it up."""

import asyncio
import contextlib
import hashlib
import json
import os
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from otaboards.runtime import Runtime

from otasim import lab
from otasim.lab import Point, Survey, Update, Verdict

_BATCHES = (60, 600)  # points of one lab process: the run up to the first of them is repeated in each


@dataclass
class Summary:
    """What all runs came to. extra_*: the most that one cut cost beyond the uncut run.

    wrong: a wrong image ran, the old one was changed, a dead release was confirmed, or the lab lost a run.
    """

    operations: int
    runs: int = 0
    bricks: int = 0
    unmonitored: int = 0
    not_converged: int = 0
    wrong: int = 0
    extra_bytes: int = 0
    extra_erases: int = 0
    rewritten: int = 0
    cut_twice: int = 0
    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    residual: Counter[str] = field(default_factory=Counter)  # torn writes of the unmonitored
    bad: list[Verdict] = field(default_factory=list)

    def add(self, verdict: Verdict, expected: str) -> None:
        self.runs += 1
        self.cut_twice += verdict.cuts == 2
        self.outcomes[verdict.outcome] += 1
        if verdict.outcome == expected:
            self.extra_bytes = max(self.extra_bytes, verdict.extra_bytes)
            self.extra_erases = max(self.extra_erases, verdict.extra_erases)
            self.rewritten = max(self.rewritten, verdict.rewritten)
            return
        self.bad.append(verdict)
        if verdict.outcome == "unmonitored":
            self.residual[" ".join(verdict.holes)] += 1
        name = {"brick": "bricks", "unmonitored": "unmonitored", "not_converged": "not_converged"}
        attribute = name.get(verdict.outcome, "wrong")
        setattr(self, attribute, getattr(self, attribute) + 1)

    def as_json(self) -> dict[str, Any]:
        names = ("runs", "operations", "bricks", "unmonitored", "not_converged", "wrong", "extra_bytes")
        found = {name: getattr(self, name) for name in names}
        found["extra_erases"] = self.extra_erases
        found["rewritten"] = self.rewritten
        found["cut_twice"] = self.cut_twice
        found["seconds"] = round(self.seconds, 1)
        found["outcomes"] = dict(sorted(self.outcomes.items()))
        found["residual"] = dict(sorted(self.residual.items()))
        found["bad"] = [_short(v) for v in self.bad[:50]]
        return found


def _short(verdict: Verdict) -> dict[str, Any]:
    found = asdict(verdict)
    del found["trace"]
    return found


class Store:
    """Verdicts in a file, one JSON line each, so that a long proof can go on where it was stopped."""

    def __init__(self, path: Path | None, runtime: Runtime, update: Update) -> None:
        self._path = path
        self._key = fingerprint(runtime, update)

    def known(self) -> dict[Point, Verdict]:
        """What was judged before, of exactly this update."""
        if not self._path or not self._path.exists():
            return {}
        found = {}
        for line in self._path.read_text().splitlines():
            kept = json.loads(line) if line.endswith("}") else {}  # the last line may be torn
            if kept.get("key") == self._key:
                said, point = kept["verdict"], Point.unpacked(kept["verdict"]["point"])
                found[point] = Verdict(**said | {"point": point, "holes": tuple(said["holes"])})
        return found

    def add(self, verdict: Verdict) -> None:
        """What was lost is no verdict: the next time it is tried again."""
        if self._path and verdict.outcome != "lost":
            kept = _short(verdict) | {"point": verdict.point.packed()}
            with self._path.open("a") as file:
                file.write(json.dumps({"key": self._key, "verdict": kept}) + "\n")


def fingerprint(runtime: Runtime, update: Update) -> str:
    """Of everything that decides what a run comes to: board, package, and the code of all parts."""
    content = [update.flash.read_bytes(), update.package.read_bytes()]
    folders = [str(folder.relative_to(folder.parents[1])) for folder in lab.code(runtime, update)]
    names = (update.release, update.variant, str(update.watchdog_ms), str(update.write_unit), *folders)
    return hashlib.sha256(b"".join(content) + " ".join(names).encode()).hexdigest()[:16]


async def run(
    runtime: Runtime,
    update: Update,
    base: Survey,
    points: Sequence[Point],
    *,
    jobs: int | None = None,
    store: Path | None = None,
    trace: bool = False,
    on_verdict: Callable[[Verdict], None] = lambda _: None,
    others: Mapping[str, Survey] | None = None,
) -> list[Verdict]:
    """A verdict for each point, `jobs` processes at a time. LabError where the lab fails."""
    kept = Store(store, runtime, update)
    known = kept.known() if not trace else {}
    verdicts = [known[p] for p in points if p in known]
    for verdict in verdicts:
        on_verdict(verdict)
    left = sorted((p for p in points if p not in known), key=Point.order)
    processes = jobs or os.cpu_count() or 1
    gate = asyncio.Semaphore(processes)
    size = min(max(len(left) // (processes * 10), _BATCHES[0]), _BATCHES[1])

    async def batch(part: Sequence[Point]) -> None:
        async with gate, contextlib.aclosing(lab.judge(runtime, update, base, part, trace, others)) as judged:
            async for verdict in judged:
                verdicts.append(verdict)
                kept.add(verdict)
                on_verdict(verdict)

    starts = list(range(0, len(left), size))
    random.Random(0).shuffle(starts)  # noqa: S311 - what is stopped half-way has been everywhere
    async with asyncio.TaskGroup() as group:
        for start in starts:
            group.create_task(batch(left[start : start + size]))
    if len(verdicts) != len(points):
        raise lab.LabError(f"{len(points)} points were given, {len(verdicts)} were judged")
    return sorted(verdicts, key=lambda v: v.point.order())


async def run_releases(
    runtime: Runtime,
    update: Update,
    surveys: Mapping[str, Survey],
    plan: Mapping[str, Sequence[Point]],
    **how: Any,
) -> list[Verdict]:
    """The verdicts on a plan of points.of_releases. how: as for run()."""
    verdicts = []
    for name, some in plan.items():
        verdicts += await run(runtime, update.for_release(name), surveys[name], some, others=surveys, **how)
    return verdicts
