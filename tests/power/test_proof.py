"""Layer 1 of the proof: the power goes at every flash and NVS operation of a whole update, in every way.

The real agent and boot rules, the real bootloader decision, real packages, 128 KB images; every run is a
fork that goes on to its end and is judged by what stands in its flash. SLOTS.md section 8 names what a
stock bootloader cannot promise: these tests find that, and nothing else.

A release is good or dead only once it runs: until then all six share a run, which then forks for each of them
(lab.Point). Every operation is cut in every way, with the good release and with a dead one. Before READY the
five dead ones take turns: each is cut at every operation; `make prove` has every way with every release.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from otaboards import runtime
from otaboards.loader import Board
from otasim import lab, points, prove
from otasim.lab import Point, Survey, Update, Verdict
from otaspec import partition
from otaspec.partition import Row

from tests.power import bench
from tests.spec.slots_page import table

pytestmark = pytest.mark.slow

IN_ORDER = ("before", "after", "prefix")
OUT_OF_ORDER = ("subset", "bits")
DEAD = ("self_test", "import", "hang", "hang_late", "offline")
LISTED = {row["name"] for row in table("8.", "Residual") if "encrypted flash" not in row["write"]}
SECTOR = 4096
READY = 6  # operations before the arming: the head, KNOWN, TRIAL READY, TRIAL count
SEEDS = 24  # ways to tear one write: of eight words that it changes, the state word is one


async def survey(update: Update) -> Survey:
    base = await lab.survey(runtime.find(), update)
    assert base.outcome == update.expected(), base.why
    return base


async def cut(update: Update, base: Survey, where: Sequence[Point], trace: bool = False) -> list[Verdict]:
    return await prove.run(runtime.find(), update, base, where, trace=trace)


def ready(base: Survey) -> int:
    """The first operation that a boot rule depends on; until then all releases are alike."""
    return bench.REGIONS.first(base.trace, "otadata") - READY


def unexpected(update: Update, verdicts: Sequence[Verdict]) -> list[Verdict]:
    return [replace(v, trace=()) for v in verdicts if v.outcome != update.expected()]


def on_otadata(base: Survey, seeds: int) -> list[Point]:
    """Every operation on otadata, torn in `seeds` ways that are out of order."""
    numbers = [n for n, operation in enumerate(base.trace, 1) if bench.REGIONS.of(*operation) == "otadata"]
    return [Point(n, "subset", n * 1000 + seed) for n in numbers for seed in range(seeds)]


# -- one cut


@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize("codec", ["image", "bsdiff"])
async def test_every_release_ends_where_it_belongs_whatever_is_cut(
    tmp_path: Path, codec: str, slot: int
) -> None:
    """Good: on the new image, confirmed. Dead: at home, but for the listed residual. Never a brick."""
    update = bench.update(tmp_path, codec, slot)
    surveys = {name: await survey(update.for_release(name)) for name in lab.RELEASES}
    first = ready(surveys["good"])
    plan = points.of_releases(surveys, in_turn=first)
    verdicts = await prove.run_releases(runtime.find(), update, surveys, plan)
    judged = {name: [v for v in verdicts if v.point.release == name] for name in lab.RELEASES}
    assert_there(surveys["good"], judged["good"])
    for name in DEAD:
        assert cuts(judged[name], first) == everything(surveys[name], first)
        assert {v.point.operation for v in judged[name]} == set(range(1, surveys[name].operations + 1))
        assert_home(name, judged[name])
    alike = points.exhaustive(surveys["good"], last=surveys["good"].tried)
    assert {(p.operation, p.kind) for p in alike} <= set.union(*(cuts(judged[name]) for name in DEAD))


def cuts(verdicts: Sequence[Verdict], first: int = 1) -> set[tuple[int, str]]:
    return {(v.point.operation, v.point.kind) for v in verdicts if v.point.operation >= first}


def everything(base: Survey, first: int = 1) -> set[tuple[int, str]]:
    return {(p.operation, p.kind) for p in points.exhaustive(base, first=first)}


def assert_there(base: Survey, verdicts: Sequence[Verdict]) -> None:
    """0 bricks, 100 % on the new image and confirmed; one sector fetched again, one erase more."""
    assert cuts(verdicts) == everything(base)
    assert len(verdicts) > 4 * base.operations
    assert {v.outcome for v in verdicts} == {"new"}
    assert_cheap(base, verdicts)


def assert_home(release: str, verdicts: Sequence[Verdict]) -> None:
    """In order: always. Out of order: but for the listed residual, and for "hang" alone; never a brick."""
    found = [v for v in verdicts if v.outcome != "old"]
    assert {v.outcome for v in found} <= {"unmonitored"}
    assert {v.point.kind for v in found} <= set(OUT_OF_ORDER)
    assert {h for v in found for h in v.holes} <= LISTED
    assert not found or release == "hang"  # the agent of any other release puts it right


def assert_cheap(base: Survey, verdicts: Sequence[Verdict]) -> None:
    """What one cut may cost: a sector of download, an erase, and no sector that was right."""
    assert max(v.extra_bytes for v in verdicts) <= SECTOR
    assert max(v.extra_erases for v in verdicts) <= 1
    assert {v.rewritten for v in verdicts} == {0}
    assert base.otadata_erases <= 5
    assert (
        max(v.otadata_erases for v in verdicts) <= base.otadata_erases + 3
    )  # its trial is counted, armed anew


@pytest.mark.parametrize(("unit", "flash_size"), [(16, 8 << 20), (32, 16 << 20)])
@pytest.mark.parametrize("codec", ["image", "bsdiff"])
async def test_flash_encryption(tmp_path: Path, codec: str, unit: int, flash_size: int) -> None:
    """Write units of 16 and 32 bytes, entries of otadata at once: a good release gets there as cheaply."""
    update = bench.update(tmp_path, codec, board=encrypted(flash_size), write_unit=unit)
    base = await survey(update)
    verdicts = await cut(update, base, points.stratified(base, bench.REGIONS, 80, seed=unit))
    assert unexpected(update, verdicts) == []
    assert_cheap(base, verdicts)


def encrypted(flash_size: int) -> Board:
    """A board whose slots and otadata are encrypted."""
    rows = [Row(*row.key()) for row in bench.BOARD.rows]
    for row in rows:
        if row.type == partition.APP or row.subtype == partition.OTA:
            row.flags = partition.ENCRYPTED
    return replace(bench.BOARD, rows=tuple(rows), flash_size=flash_size)


@pytest.mark.parametrize("codec", ["image", "bsdiff"])
async def test_sectors_that_are_right_are_left_alone(tmp_path: Path, codec: str) -> None:
    """The backup slot holds nearly the new image already: erased is what differs, and the head's sector."""
    update = bench.update(tmp_path, codec, backup=nearly_the_new_image())
    base = await survey(update)
    new, there = bench.images()[1], nearly_the_new_image()
    starts = range(0, len(new), SECTOR)
    different = {at for at in starts if new[at : at + SECTOR] != there[at : at + SECTOR]} | {0}
    staged = base.bytes // SECTOR + 1 if codec == "bsdiff" else 0
    assert base.erases == len(different) + staged
    verdicts = await cut(update, base, points.exhaustive(base, ("before", "prefix", "bits")))
    assert unexpected(update, verdicts) == []
    assert_cheap(base, verdicts)


@cache
def nearly_the_new_image() -> bytes:
    image, dice = bytearray(bench.images()[1]), random.Random(3)
    for at in range(2 * SECTOR, bench.SIZE - SECTOR, 30_000):
        image[at : at + 500] = dice.randbytes(500)
    return bytes(image)


async def test_no_run_depends_on_what_the_lab_remembers(tmp_path: Path) -> None:
    """Hashes and signatures of the same bytes are computed once. A sample without that comes to the same."""
    update = bench.update(tmp_path)
    base = await survey(update)
    some = points.stratified(base, bench.REGIONS, 60, seed=5)
    assert await cut(update, base, some) == await cut(replace(update, remember=False), base, some)


async def test_no_run_depends_on_those_that_it_shares_its_beginning_with(tmp_path: Path) -> None:
    """Releases and second cuts fork from a common run. Each by itself comes to the same."""
    update = bench.update(tmp_path)
    surveys = {name: await survey(update.for_release(name)) for name in lab.RELEASES}
    base = surveys["good"]
    at = [9, 200, base.tried - 8, base.tried - 3, base.tried]
    alike = [Point(n, kind, 1, release=name) for n in at for kind in points.SINGLE for name in surveys]
    together = await prove.run(runtime.find(), update, base, alike, others=surveys)
    for name, own in surveys.items():
        alone = await cut(update.for_release(name), own, [p for p in alike if p.release == name])
        assert alone == [v for v in together if v.point.release == name]
    twice = [Point(100, "bits", 3, (after, "subset", 5)) for after in range(2, 520, 60)]
    assert await cut(update, base, twice) == [(await cut(update, base, [p]))[0] for p in twice]


# -- the residual, by its names


async def test_the_residual_of_a_stock_bootloader_is_the_one_that_is_listed(tmp_path: Path) -> None:
    """Dead before its agent starts, torn out of order, stock: each listed hole is there, and no other."""
    update = bench.update(tmp_path, release="hang")
    base = await survey(update)
    found = unexpected(update, await cut(update, base, on_otadata(base, SEEDS)))
    assert {v.outcome for v in found} == {"unmonitored"}
    assert {" ".join(v.holes) for v in found} == LISTED


async def test_where_the_agent_lives_there_is_no_residual(tmp_path: Path) -> None:
    for release in ("good", *DEAD):
        if release != "hang":
            update = bench.update(tmp_path / release, release=release)
            base = await survey(update)
            assert unexpected(update, await cut(update, base, on_otadata(base, SEEDS // 4))) == []


@pytest.mark.parametrize("slot", [0, 1])
async def test_on_the_reference_bootloader_there_is_no_residual(tmp_path: Path, slot: int) -> None:
    """All tears of all writes of the trial, all kinds of release; and otadata torn in many more ways."""
    for release in ("good", "hang") if slot else lab.RELEASES:
        update = bench.update(tmp_path / release, "bsdiff", slot, release=release, variant="reference")
        base = await survey(update)
        regions = [bench.REGIONS.of(*o) for o in base.trace]
        written = len(regions) - regions[::-1].index("slot")  # its first boot makes otadata its own
        where = points.exhaustive(base, first=written)
        if release in ("good", "hang"):
            where += on_otadata(base, SEEDS)
        assert unexpected(update, await cut(update, base, where)) == []


# -- two cuts, and an NVS that is lost or rolled back


@pytest.mark.parametrize(
    ("release", "variant", "kinds"),
    [
        ("good", "stock", points.SINGLE),
        ("self_test", "stock", IN_ORDER),
        ("hang", "stock", ("before", "prefix")),  # "after" leaves what "before" the next one does
        ("hang", "reference", ("subset",)),
    ],
)
async def test_every_second_cut_on_otadata(
    tmp_path: Path, release: str, variant: str, kinds: Sequence[str]
) -> None:
    """The first cut at any operation from READY on, the second at every otadata operation after it."""
    update = bench.update(tmp_path, release=release, variant=variant)
    base = await survey(update)
    first = len(base.trace) + 1 - 60 if variant == "reference" else ready(base)
    once = await cut(update, base, points.exhaustive(base, kinds, first=first), trace=True)
    doubles = points.seconds_on_otadata(once, bench.REGIONS, kinds)
    verdicts = await cut(update, base, doubles)
    assert len(verdicts) > 100
    assert {v.cuts for v in verdicts} == {2}
    assert unexpected(update, verdicts) == []


@pytest.mark.parametrize("release", lab.RELEASES)
async def test_an_nvs_that_is_lost_or_rolled_back_costs_time(tmp_path: Path, release: str) -> None:
    """At the restart after a cut: NVS as provisioned, one commit old, or as old as any that was."""
    update = bench.update(tmp_path, release=release)
    base = await survey(update)
    where = points.exhaustive(base, ("before",), first=ready(base) if release != "good" else 1)
    where = [p for p in where if p.operation % 16 == 0 or p.operation >= ready(base)]
    faults = [replace(p, nvs=fault) for p in where for fault in lab.NVS_FAULTS[1:]]
    assert unexpected(update, await cut(update, base, faults)) == []
