"""The fault lab: agent, bootloader and flash in one MicroPython process that forks at each operation.

A fork loses its power there, starts again, goes on to the end and is judged. Layer 1 of the proof
that nothing bricks a board; `prove` and the tests stand on it.
"""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from otaboards import runtime as runtimes
from otaboards.runtime import Runtime

from otasim import parts
from otasim.parts import layout

GOOD = "good"
RELEASES = (GOOD, "self_test", "import", "hang", "hang_late", "offline")
NVS_FAULTS = ("", "lost", "back", "old")
WHAT = {layout.OP_ERASE: "erase", layout.OP_PROGRAM: "program", layout.OP_NVS: "nvs"}
_HEAP = "1M"
_LINE_LIMIT = 1 << 24


@dataclass(frozen=True)
class Point:
    """Where and how the power goes.

    then: (operations after the restart, kind, seed) of a second cut. nvs: one of NVS_FAULTS, what the board
    finds when the power is back: NVS lost and provisioned anew, one commit old, or as old as `seed` says.
    release: how the new image behaves, if not as the Update says; the cut must come before its first boot.
    Points that begin with the same cut share the run up to where they part, by a fork.
    """

    operation: int
    kind: str
    seed: int = 0
    then: tuple[int, str, int] | None = None
    nvs: str = ""
    release: str = ""

    def order(self) -> tuple[Any, ...]:
        """For sorting."""
        return (self.operation, self.kind, self.seed, self.then or (), self.nvs, self.release)

    def packed(self) -> list[Any]:
        then = self.then and [self.then[0], layout.CUT_NAMES.index(self.then[1]), self.then[2]]
        return [
            self.operation,
            layout.CUT_NAMES.index(self.kind),
            self.seed,
            NVS_FAULTS.index(self.nvs),
            then,
            self.release,
        ]

    @staticmethod
    def unpacked(packed: Sequence[Any]) -> "Point":
        operation, kind, seed, nvs, then, release = packed
        second = (then[0], layout.CUT_NAMES[then[1]], then[2]) if then else None
        return Point(operation, layout.CUT_NAMES[kind], seed, second, NVS_FAULTS[nvs], release)


@dataclass(frozen=True)
class Update:
    """What is tried: a board's flash before the update, and the package that it is offered.

    `firmware`: folders with the agent and with otaspec, compiled. release: one of RELEASES: how the new
    image behaves once it runs. watchdog_ms: left running by the bootloader, 0: stock. remember: a signature
    over the same bytes is checked once in a lab process, and not in each run. app: folder with the
    application of the new release, app.py; None: one that does nothing.
    """

    flash: Path
    package: Path
    firmware: tuple[Path, ...]
    chip_id: int
    old_sha256: str
    old_size: int
    new_sha256: str
    new_size: int
    seq: int
    version: str
    settings: dict[str, Any]  # pk, dn, ds as in the board's NVS
    release: str = "good"
    variant: str = "stock"
    watchdog_ms: int = 0
    write_unit: int = 1
    remember: bool = True
    app: Path | None = None

    def for_release(self, release: str) -> "Update":
        return replace(self, release=release)

    def expected(self, release: str = "") -> str:
        """The one right outcome."""
        return "new" if (release or self.release) == GOOD else "old"

    def named(self, point: Point) -> Point:
        """The same, with its release by name."""
        return point if point.release else replace(point, release=self.release)

    @property
    def wanted(self) -> Path:
        """The new image, as the uncut run wrote it."""
        return self.flash.with_name("wanted.bin")

    def job(self, points: Sequence[Point], trace: bool) -> dict[str, Any]:
        package = self.package.read_bytes()
        return {
            "flash": str(self.flash),
            "flash_size": self.flash.stat().st_size,
            "chip": self.chip_id,
            "unit": self.write_unit,
            "variant": self.variant,
            "watchdog_ms": self.watchdog_ms,
            "buffer": 16384,
            "package": str(self.package),
            "package_size": len(package),
            "etag": f'"{hashlib.sha256(package).hexdigest()}"',
            "old": self.old_sha256,
            "old_size": self.old_size,
            "new": self.new_sha256,
            "new_size": self.new_size,
            "seq": self.seq,
            "version": self.version,
            "release": self.release,
            "remember": self.remember,
            "app": "app" if self.app else "app_good",
            "wanted": str(self.wanted) if self.wanted.exists() or not points else "",
            "pk": self.settings["pk"],
            "dn": self.settings["dn"],
            "ds": self.settings["ds"].hex(),
            "points": [self.named(point).packed() for point in points],
            "trace": trace,
        }


@dataclass(frozen=True)
class Survey:
    """The uncut run: its outcome, and each operation as (what, address). erases: without those of otadata.

    tried: operations before the new image was booted first.
    """

    outcome: str
    why: str
    boots: int
    erases: int
    otadata_erases: int
    bytes: int
    tried: int
    reports: list[list[Any]]  # [state, code] of each
    trace: list[tuple[str, int]] = field(repr=False)

    @property
    def operations(self) -> int:
        return len(self.trace)


@dataclass(frozen=True)
class Verdict:
    """What became of one cut run. extra_*: beyond what the uncut run took; erases without otadata's.

    rewritten: sectors of the new image that were erased although they were right, and were not in work
    when the power went. holes: the writes to otadata that were torn, by their names in SLOTS.md section 8.
    """

    point: Point
    outcome: str
    why: str
    boots: int
    cuts: int
    extra_erases: int
    otadata_erases: int
    extra_bytes: int
    unmonitored: bool
    rewritten: int = 0
    holes: tuple[str, ...] = ()
    trace: tuple[tuple[str, int], ...] = field(default=(), repr=False)


class LabError(Exception):
    """The lab itself failed: its process ended badly. str() holds what it said."""


def code(runtime: Runtime, update: Update) -> list[Path]:
    """The compiled folders that a run is made of: lab, stand-ins, firmware. Named by what is in them."""
    lab = runtimes.compile_tree([parts.LAB], arch=runtime.arch) / parts.LAB.name
    app = [runtimes.compile_tree([update.app], arch=runtime.arch) / update.app.name] if update.app else []
    return [lab, parts.stand_ins(runtime), *update.firmware, *app]


def _command(runtime: Runtime, update: Update) -> list[str]:
    return runtime.command(["-m", "_lab.main"], heap=_HEAP, path=code(runtime, update))


async def _run(
    runtime: Runtime, update: Update, points: Sequence[Point], trace: bool
) -> AsyncGenerator[dict[str, Any], None]:
    """Each verdict that a lab process says; with `trace`, the operations that led to it."""
    wanted = b"f " if points else b"o "
    child = await asyncio.create_subprocess_exec(
        *_command(runtime, update),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={},
        limit=_LINE_LIMIT,
        start_new_session=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    complaints = asyncio.create_task(child.stderr.read())
    try:
        child.stdin.write(json.dumps(update.job(points, trace)).encode() + b"\n")
        await child.stdin.drain()
        operations: list[tuple[str, int]] = []
        async for line in child.stdout:
            if line.startswith(wanted):
                _, what, at = line.split()
                operations.append((WHAT[int(what)], int(at)))
            elif line.startswith(b"{"):
                yield json.loads(line) | {"trace": operations}
                operations = []
        status = await child.wait()
        if status:
            said = (await complaints).decode(errors="replace")
            raise LabError(f"the lab ended with status {status}\n{said[-2000:]}")
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
        await complaints


async def survey(runtime: Runtime, update: Update) -> Survey:
    """Runs the update uncut. LabError where the lab cannot run it."""
    found = [said async for said in _run(runtime, update, (), True)]
    if len(found) != 1:
        raise LabError(f"the lab said {len(found)} things, and not one")
    return Survey(**{field.name: found[0][field.name] for field in fields(Survey)})


async def judge(
    runtime: Runtime,
    update: Update,
    base: Survey,
    points: Sequence[Point],
    trace: bool = False,
    others: Mapping[str, Survey] | None = None,
) -> AsyncGenerator[Verdict, None]:
    """A verdict for each point, in one process. `trace`: with the operations after the (first) cut.

    others: the uncut runs of further releases that points name.
    """
    uncut = {update.release: base, **(others or {})}
    asked = {update.named(point): point for point in points}
    async with contextlib.aclosing(_run(runtime, update, points, trace)) as verdicts:
        async for said in verdicts:
            if "point" not in said:
                continue
            point = Point.unpacked(said["point"])
            base = uncut[point.release]
            yield Verdict(
                point=asked[point],
                outcome=said["outcome"],
                why=said["why"],
                boots=said["boots"],
                cuts=said["cuts"],
                extra_erases=said["erases"] - base.erases,
                otadata_erases=said["otadata_erases"],
                extra_bytes=said["bytes"] - base.bytes,
                unmonitored=said["unmonitored"],
                rewritten=said["rewritten"],
                holes=tuple(said["holes"]),
                trace=tuple(said["trace"]),
            )
