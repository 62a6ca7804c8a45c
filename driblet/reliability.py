"""`make prove`: the long proof. Goes on where it was stopped; writes docs/reliability.md and .json.

What it tries is the table PHASES. Verdicts are kept in build/prove/, under the exact bytes of
agent, contract, lab, flash and package, so a changed line of either begins that phase anew. The two
files are brought up to date all the time: what is not finished yet says how far it is.
"""

import argparse
import asyncio
import json
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from otaboards import loader, runtime
from otaboards.folders import build_folder
from otaboards.loader import Board
from otaboards.runtime import Runtime
from otadiff.build import build_package
from otadiff.sign import Signer
from otasim import bench, lab, points, prove
from otasim.lab import Point, Survey, Update
from otasim.points import Regions
from otaspec import image_file
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

ROOT = Path(__file__).resolve().parents[1]
_DOCS = ROOT / "docs"
_SIGNER = Signer(ec.derive_private_key(0xD21B, ec.SECP256R1()))  # of a lab board, and of no other
_SMALL, _FULL_SIZE = 128 * 1024, 1_673_152
_DOUBLES = 100_000
_JSON = "reliability.json"
_WRITE_EVERY = 30.0  # seconds
Surveys = Mapping[str, Survey]
Plan = Mapping[str, Sequence[Point]]  # by the release whose uncut run is cut
Choose = Callable[[Surveys, Regions], Plan]


@dataclass(frozen=True)
class Phase:
    """One row of the report. board, size: of the images. codec: "image" (full) or "bsdiff" (delta)."""

    name: str
    board: str
    size: int
    codec: str
    releases: Sequence[str]
    choose: Choose
    slot: int = 0
    variant: str = "stock"


def _everywhere(*kinds: str) -> Choose:
    return lambda surveys, _: points.of_releases(surveys, kinds)


def _sample(count: int) -> Choose:
    return lambda surveys, regions: {"good": points.stratified(surveys["good"], regions, count)}


def _doubles(surveys: Surveys, _: Regions) -> Plan:
    return {"good": points.random_doubles(surveys["good"], _DOUBLES)}


_GOOD, _DEAD = lab.RELEASES[:1], lab.RELEASES[1:]
_IN_ORDER, _OUT_OF_ORDER = ("before", "after", "prefix"), ("subset", "bits")
_WAYS = [
    ("full package", "image", 0),
    ("full package", "image", 1),
    ("delta", "bsdiff", 0),
    ("delta", "bsdiff", 1),
]


def _small(what: str, choose: Choose, releases: Sequence[str], variant: str = "stock") -> list[Phase]:
    """Of 128 KB images: full package and delta, both directions."""
    return [
        Phase(
            f"{name}, ota_{slot} to ota_{1 - slot}: {what}",
            "LINUX_HOST",
            _SMALL,
            codec,
            releases,
            choose,
            slot,
            variant,
        )
        for name, codec, slot in _WAYS
    ]


def _large(name: str, choose: Choose, codec: str) -> Phase:
    return Phase(f"1.67 MB, {name}", "ESP32_GENERIC-8M", _FULL_SIZE, codec, _GOOD, choose)


PHASES = (
    *_small("good release, every operation, five ways", _everywhere(*points.SINGLE), _GOOD),
    *_small("five dead releases, every operation, in order", _everywhere(*_IN_ORDER), _DEAD),
    *_small("five dead releases, every operation, out of order", _everywhere(*_OUT_OF_ORDER), _DEAD),
    *_small(
        "reference bootloader, all releases, every operation torn",
        _everywhere("bits"),
        lab.RELEASES,
        "reference",
    )[2:],
    _large("delta, 1,500 points", _sample(1500), "bsdiff"),
    _large("full package, before every operation", _everywhere("before"), "image"),
    _large("full package, every operation torn", _everywhere("bits"), "image"),
    Phase("two cuts, 100,000 points", "LINUX_HOST", _SMALL, "image", _GOOD, _doubles),
)


def images(board: Board, size: int) -> tuple[bytes, bytes]:
    """Two releases of `size` bytes; of each 160 KB of the second, 2 KB are new."""
    dice = random.Random(size)  # noqa: S311 - the same images every time
    old = bytearray(dice.randbytes(size - 400))
    new = bytearray(old)
    for at in range(0, len(new) - 2048, 160_000):
        new[at : at + 2048] = dice.randbytes(2048)
    return _image(board, bytes(old), "1.0.0"), _image(board, bytes(new), "1.1.0")


def _image(board: Board, body: bytes, version: str) -> bytes:
    return bytes(image_file.build([(0x3F400020, image_file.pack_desc(version) + body)], board.chip_id))


def update_of(phase: Phase, found: Runtime, folder: Path) -> Update:
    board = loader.load(phase.board)
    old, new = images(board, phase.size)
    base = old if phase.codec != "image" else None
    made = build_package(
        base, new, board=board, product="lab", version="1.1.0", seq=7, signer=_SIGNER, codecs=[phase.codec]
    )
    return bench.update_of(
        folder,
        found,
        board,
        old,
        made.data,
        _SIGNER.public,
        slot=phase.slot,
        variant=phase.variant,
        release=phase.releases[0],
    )


@dataclass
class Running:
    """A phase at work: how far it is."""

    phase: Phase
    summary: prove.Summary
    planned: int
    code: str  # fingerprint of what is tried
    cpu: float = field(default_factory=lambda: -_cpu_seconds())

    def row(self) -> dict[str, Any]:
        phase = self.phase
        self.summary.seconds = self.cpu + _cpu_seconds()
        found = self.summary.as_json()
        found["cpu_seconds"] = found.pop("seconds")
        facts = {"phase": phase.name, "board": phase.board, "image_size": phase.size}
        return facts | {"releases": list(phase.releases), "planned": self.planned, "code": self.code} | found


def _cpu_seconds() -> float:
    """Of the lab's processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Report:
    """docs/reliability.md and .json: a row per phase. Those of earlier runs stay until they are run again."""

    def __init__(self, commit: str) -> None:
        self._commit = commit
        self._rows: dict[str, dict[str, Any]] = {}
        self._written = 0.0
        if (_DOCS / _JSON).exists():
            known = json.loads((_DOCS / _JSON).read_text())["phases"]
            # A row of an earlier form of this page says less than one of today: it is measured anew.
            self._rows = {
                row["phase"]: row for row in known if row["phase"] in _order() and "cut_twice" in row
            }

    def begin(self, running: Running) -> None:
        """The processor's seconds of an earlier part of the same run count."""
        before = self._rows.get(running.phase.name)
        if before and before["code"] == running.code:
            running.cpu += before["cpu_seconds"]

    def put(self, running: Running, now: bool = False) -> None:
        """Keep its row; the files follow at most every half minute, or `now`."""
        if now or time.monotonic() - self._written > _WRITE_EVERY:
            self._written = time.monotonic()
            self._rows[running.phase.name] = running.row() | {"commit": self._commit}
            self._write()

    def _write(self) -> None:
        order = _order()
        rows = sorted(self._rows.values(), key=lambda row: order.get(row["phase"], len(order)))
        found: dict[str, Any] = {name: sum(row[name] for row in rows) for name in _SUMS}
        found["missing"] = [name for name in order if name not in self._rows]
        found["phases"] = rows
        (_DOCS / _JSON).write_text(json.dumps(found, indent=1) + "\n")
        (_DOCS / "reliability.md").write_text(page(found))


def _order() -> dict[str, int]:
    return {phase.name: number for number, phase in enumerate(PHASES)}


async def run(phase: Phase, found: Runtime, bar: Progress, report: Report, jobs: int | None) -> Running:
    """Runs what is not known yet of a phase."""
    folder = build_folder("prove") / "".join(c if c.isalnum() else "-" for c in phase.name)
    update = update_of(phase, found, folder)
    surveys = {name: await _uncut(found, update.for_release(name), phase) for name in phase.releases}
    plan = phase.choose(surveys, Regions(loader.load(phase.board).rows))
    planned = sum(len(some) for some in plan.values())
    most = max(survey.operations for survey in surveys.values())
    running = Running(phase, prove.Summary(most), planned, prove.fingerprint(found, update))
    report.begin(running)
    task = bar.add_task(phase.name, total=planned, bricks=0)

    def on_verdict(verdict: lab.Verdict) -> None:
        running.summary.add(verdict, update.expected(verdict.point.release))
        bar.update(task, advance=1, bricks=running.summary.bricks)
        report.put(running)

    store = folder / "verdicts.jsonl"
    try:
        await prove.run_releases(found, update, surveys, plan, jobs=jobs, store=store, on_verdict=on_verdict)
    finally:  # stopped or not
        report.put(running, now=True)
    return running


async def _uncut(found: Runtime, update: Update, phase: Phase) -> Survey:
    base = await lab.survey(found, update)
    if base.outcome != update.expected():
        raise lab.LabError(f"{phase.name}: {update.release}, uncut, ends {base.outcome} {base.why}")
    return base


_PAGE = """# Reliability, as measured

Written by `make prove`; the figures are in [reliability.json](reliability.json) too. Each run is one
update whose power goes at one flash or NVS operation (or at two), which starts again, goes on to its end and
is judged by what stands in its flash. Agent, boot rules, packages and the bootloader's decision are the
real ones; [host_sim/README.md](../host_sim/README.md) says what is simulated. Images of 128 KB unless said.

**{runs:,} runs, {bricks} bricks, {not_converged} not converged, {wrong} wrong, {unmonitored} unmonitored.**
Unmonitored: a release that is dead before its agent starts boots without a way back after a tear that is
out of order. A stock bootloader cannot prevent it: [SLOTS.md](../bootloader_spec/SLOTS.md) section 8.

| what | operations | runs | bricks | unmon. | not conv. | wrong | bytes | erases | commit |
|---|---|---|---|---|---|---|---|---|---|
"""
_COLUMNS = (
    *("operations", "runs", "bricks", "unmonitored", "not_converged", "wrong", "extra_bytes"),
    "extra_erases",
)
_SUMS = ("runs", "bricks", "unmonitored", "not_converged", "wrong", "cpu_seconds")


def page(found: dict[str, Any]) -> str:
    """docs/reliability.md."""
    text = _PAGE.format(**found)
    for row in found["phases"]:
        cells = [row["phase"], *(f"{row[n]:,}" for n in _COLUMNS), row["commit"]]
        text += f"| {' | '.join(cells)} |\n"
    text += "\nBytes, erases: the most that a cut cost beyond an uncut run. Commit: what was tried. "
    text += f"{sum(r['cut_twice'] for r in found['phases']):,} runs lost their power twice.\n"
    part = [r for r in found["phases"] if r["runs"] < r["planned"]]
    if part:
        said = [f"{r['phase']} ({r['runs']:,} of {r['planned']:,})" for r in part]
        text += "\nStopped before its end: " + "; ".join(said) + ".\n"
    if found["missing"]:
        text += "\nNot run yet: " + "; ".join(found["missing"]) + ".\n"
    return text


def commit() -> str:
    """The commit of this checkout, with "+" where files of it were changed."""
    git = ["git", "-C", str(ROOT)]
    said = [
        subprocess.run([*git, *words], capture_output=True, text=True, check=False).stdout.strip()
        for words in (("rev-parse", "--short=10", "HEAD"), ("status", "--porcelain", "-uno", ":!docs"))
    ]
    return (said[0] or "unknown") + ("+" if said[1] else "")


async def everything(wanted: list[Phase], jobs: int | None) -> int:
    """Runs what is wanted in the order of the table; exit status. SIGTERM: stops, and keeps what there is."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    found = runtime.find(lambda text: print(text, file=sys.stderr))
    columns: list[Any] = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    columns += [TextColumn("{task.fields[bricks]} bricks"), TimeRemainingColumn()]
    report = Report(commit())
    done: list[prove.Summary] = []
    with Progress(*columns, console=Console(stderr=True)) as bar:
        for phase in wanted:
            done.append((await run(phase, found, bar, report, jobs)).summary)
    print(f"{sum(s.runs for s in done):,} runs, {sum(s.bricks for s in done)} bricks")
    return 1 if any(s.bricks or s.wrong or s.not_converged for s in done) else 0


def main() -> None:
    parser = argparse.ArgumentParser(description="The long proof: docs/reliability.md.")
    parser.add_argument("--only", metavar="TEXT", default="", help="phases whose name contains it")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes side by side")
    given = parser.parse_args()
    wanted = [phase for phase in PHASES if given.only in phase.name]
    try:
        sys.exit(asyncio.run(everything(wanted, given.jobs)))
    except asyncio.CancelledError:
        print("stopped; `make prove` goes on from here", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
