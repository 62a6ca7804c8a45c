"""What tests of layer 1 share: runs, what to cut, and what a cut may cost."""

from collections.abc import Sequence
from dataclasses import replace

from otaboards import runtime
from otasim import lab, prove
from otasim.lab import Point, Survey, Update, Verdict

from tests.power import bench

DEAD = ("self_test", "import", "hang", "hang_late", "offline")
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


def assert_cheap(base: Survey, verdicts: Sequence[Verdict]) -> None:
    """What one cut may cost: a sector of download, an erase, and no sector that was right."""
    assert max(v.extra_bytes for v in verdicts) <= SECTOR
    assert max(v.extra_erases for v in verdicts) <= 1
    assert {v.rewritten for v in verdicts} == {0}
    assert base.otadata_erases <= 5
    assert (
        max(v.otadata_erases for v in verdicts) <= base.otadata_erases + 3
    )  # its trial is counted, armed anew
