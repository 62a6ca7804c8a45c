"""Layer 1 elsewhere: encrypted flash, a slot nearly right, the reference bootloader, an NVS that is lost.

And of the lab itself: no run depends on what others did.
"""

import random
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from otaboards import runtime
from otaboards.loader import Board
from otasim import lab, points, prove
from otasim.lab import Point
from otaspec import partition
from otaspec.partition import Row

from tests.power import bench
from tests.power.layer1 import DEAD, SECTOR, SEEDS, assert_cheap, cut, on_otadata, ready, survey, unexpected

pytestmark = pytest.mark.slow


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


@pytest.mark.parametrize("release", lab.RELEASES)
async def test_an_nvs_that_is_lost_or_rolled_back_costs_time(tmp_path: Path, release: str) -> None:
    """At the restart after a cut: NVS as provisioned, one commit old, or as old as any that was."""
    update = bench.update(tmp_path, release=release)
    base = await survey(update)
    where = points.exhaustive(base, ("before",), first=ready(base) if release != "good" else 1)
    where = [p for p in where if p.operation % 16 == 0 or p.operation >= ready(base)]
    faults = [replace(p, nvs=fault) for p in where for fault in lab.NVS_FAULTS[1:]]
    assert unexpected(update, await cut(update, base, faults)) == []
