"""`make prove`: the long proof. Goes on where it was stopped; writes docs/reliability.md and .json.

What it tries is the table PHASES. Verdicts are kept in build/prove/, under the exact bytes of
agent, contract, flash and package, so a changed line of either begins that phase anew.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
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
Choose = Callable[[Survey, Regions], list[Point]]


@dataclass(frozen=True)
class Phase:
    """One row of the report. board, size: of the images. codec: "image" (full) or "bsdiff" (delta)."""

    name: str
    board: str
    size: int
    codec: str
    release: str
    choose: Choose
    slot: int = 0


def _everywhere(*kinds: str) -> Choose:
    return lambda survey, _: points.exhaustive(survey, kinds)


def _sample(count: int) -> Choose:
    return lambda survey, regions: points.stratified(survey, regions, count)


def _doubles(survey: Survey, _: Regions) -> list[Point]:
    return points.random_doubles(survey, _DOUBLES)


def _from_the_arming(*kinds: str) -> Choose:
    return lambda survey, regions: points.exhaustive(
        survey, kinds, first=regions.first(survey.trace, "otadata")
    )


_DEAD = ("self_test", "import", "hang", "hang_late", "offline")
_IN_ORDER, _OUT_OF_ORDER = ("before", "after", "prefix"), ("subset", "bits")


def _small(name: str, choose: Choose, codec: str = "image", release: str = "good", slot: int = 0) -> Phase:
    return Phase(name, "LINUX_HOST", _SMALL, codec, release, choose, slot)


def _large(name: str, choose: Choose, codec: str) -> Phase:
    return Phase(name, "ESP32_GENERIC-8M", _FULL_SIZE, codec, "good", choose)


PHASES = (
    _small("full package, every operation, five ways, ota_0 to ota_1", _everywhere(*points.SINGLE)),
    _small("full package, every operation, five ways, ota_1 to ota_0", _everywhere(*points.SINGLE), slot=1),
    _small("delta, every operation, five ways, ota_0 to ota_1", _everywhere(*points.SINGLE), "bsdiff"),
    _small(
        "delta, every operation, five ways, ota_1 to ota_0", _everywhere(*points.SINGLE), "bsdiff", slot=1
    ),
    *(_small(f"dead release ({d}), in order", _from_the_arming(*_IN_ORDER), release=d) for d in _DEAD),
    *(
        _small(f"dead release ({d}), out of order", _from_the_arming(*_OUT_OF_ORDER), release=d)
        for d in _DEAD
    ),
    _large("1.67 MB, delta, 1,500 points", _sample(1500), "bsdiff"),
    _large("1.67 MB, full package, every operation, before and torn", _everywhere("before", "bits"), "image"),
    _small("two cuts, 100,000 points", _doubles),
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
        folder, found, board, old, made.data, _SIGNER.public, slot=phase.slot, release=phase.release
    )


async def run(phase: Phase, found: Runtime, bar: Progress, jobs: int | None) -> dict[str, Any]:
    """The figures of a phase."""
    began = time.monotonic()
    folder = build_folder("prove") / "".join(c if c.isalnum() else "-" for c in phase.name)
    update = update_of(phase, found, folder)
    base = await lab.survey(found, update)
    if base.outcome != update.expected():
        raise lab.LabError(f"{phase.name}: uncut it ends {base.outcome} {base.why}")
    some = phase.choose(base, Regions(loader.load(phase.board).rows))
    summary = prove.Summary(base.operations)
    task = bar.add_task(phase.name, total=len(some), bricks=0)

    def on_verdict(verdict: lab.Verdict) -> None:
        summary.add(verdict, update.expected())
        bar.update(task, advance=1, bricks=summary.bricks)

    await prove.run(
        found, update, base, some, jobs=jobs, store=folder / "verdicts.jsonl", on_verdict=on_verdict
    )
    summary.seconds = time.monotonic() - began
    facts = {"phase": phase.name, "board": phase.board, "image_size": phase.size, "release": phase.release}
    return facts | summary.as_json()


def write(rows: list[dict[str, Any]], missing: list[str]) -> None:
    """The two files, after every phase: what is not done yet is named."""
    found = {"phases": rows, "missing": missing, "runs": sum(r["runs"] for r in rows)}
    for name in ("bricks", "unmonitored", "not_converged", "wrong"):
        found[name] = sum(r[name] for r in rows)
    (_DOCS / "reliability.json").write_text(json.dumps(found, indent=1) + "\n")
    (_DOCS / "reliability.md").write_text(page(found))


_PAGE = """# Reliability, as measured

Written by `make prove`; the figures are in [reliability.json](reliability.json) too. Each run is one
update whose power goes at one flash or NVS operation (or at two), which starts again, goes on to its end and
is judged by what stands in its flash. Agent, boot rules, packages and the bootloader's decision are the
real ones; [host_sim/README.md](../host_sim/README.md) says what is simulated. Images of 128 KB unless said.

**{runs:,} runs, {bricks} bricks, {not_converged} not converged, {wrong} wrong, {unmonitored} unmonitored.**
Unmonitored: a release that is dead before its agent starts boots without a way back after a tear that is
out of order. A stock bootloader cannot prevent it: [SLOTS.md](../bootloader_spec/SLOTS.md) section 8.

| what | operations | runs | bricks | unmon. | not conv. | wrong | bytes | erases |
|---|---|---|---|---|---|---|---|---|
"""
_COLUMNS = (
    "operations",
    "runs",
    "bricks",
    "unmonitored",
    "not_converged",
    "wrong",
    "extra_bytes",
    "extra_erases",
)


def page(found: dict[str, Any]) -> str:
    """docs/reliability.md."""
    rows = [" | ".join([row["phase"], *(f"{row[n]:,}" for n in _COLUMNS)]) for row in found["phases"]]
    text = _PAGE.format(**found) + "".join(f"| {row} |\n" for row in rows)
    text += "\nBytes, erases: the most that a run cost beyond an uncut one.\n"
    if found["missing"]:
        text += "\nNot run yet: " + "; ".join(found["missing"]) + ".\n"
    return text


async def everything(wanted: list[Phase], jobs: int | None) -> int:
    """Runs what is wanted, smallest first as the table has it; exit status."""
    found = runtime.find(lambda text: print(text, file=sys.stderr))
    columns: list[Any] = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    columns += [TextColumn("{task.fields[bricks]} bricks"), TimeRemainingColumn()]
    rows: list[dict[str, Any]] = []
    with Progress(*columns, console=Console(stderr=True)) as bar:
        for number, phase in enumerate(wanted):
            rows.append(await run(phase, found, bar, jobs))
            write(rows, [p.name for p in PHASES if p not in wanted[: number + 1]])
    bad = sum(row["bricks"] + row["wrong"] + row["not_converged"] for row in rows)
    print(f"{sum(row['runs'] for row in rows):,} runs, {sum(row['bricks'] for row in rows)} bricks")
    return 1 if bad else 0


def main() -> None:
    parser = argparse.ArgumentParser(description="The long proof: docs/reliability.md.")
    parser.add_argument("--only", metavar="TEXT", default="", help="phases whose name contains it")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes side by side")
    given = parser.parse_args()
    wanted = [phase for phase in PHASES if given.only in phase.name]
    sys.exit(asyncio.run(everything(wanted, given.jobs)))


if __name__ == "__main__":
    main()
