"""Layer 1 of the proof: the power goes at every flash and NVS operation of a whole update, in every way.

The real agent and boot rules, the real bootloader decision, real packages, 128 KB images; every run is a
fork that goes on to its end and is judged by what stands in its flash. SLOTS.md section 8 names what a
stock bootloader cannot promise: these tests find that, and nothing else.

A release is good or dead only once it runs: until then all six share a run, which then forks for each of them
(lab.Point). Every operation is cut in every way, and from READY on with every release. Before it releases are
alike: good ones are cut in two of the four updates, dead ones take turns in the other two, each at every
operation. `make prove` has every way with every release in all four. test_layer1_more has other boards.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest
from otaboards import runtime
from otasim import lab, points, prove
from otasim.lab import Survey, Verdict

from tests.power import bench
from tests.power.layer1 import DEAD, SEEDS, assert_cheap, cut, on_otadata, ready, survey, unexpected
from tests.spec.slots_page import table

pytestmark = pytest.mark.slow

IN_ORDER = ("before", "after", "prefix")
OUT_OF_ORDER = ("subset", "bits")
LISTED = {row["name"] for row in table("8.", "Residual") if "encrypted flash" not in row["write"]}


# -- one cut


# Where good releases are cut before READY too; in the other two updates dead ones are.
STRAIGHT = {("image", 0), ("bsdiff", 1)}


@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize("codec", ["image", "bsdiff"])
async def test_every_release_ends_where_it_belongs_whatever_is_cut(
    tmp_path: Path, codec: str, slot: int
) -> None:
    """Good: on the new image, confirmed. Dead: at home, but for the listed residual. Never a brick."""
    update = bench.update(tmp_path, codec, slot)
    surveys = {name: await survey(update.for_release(name)) for name in lab.RELEASES}
    first = ready(surveys["good"])
    straight = (codec, slot) in STRAIGHT
    plan = {
        name: [p for p in some if p.operation >= first or (p.release == "good") is straight]
        for name, some in points.of_releases(surveys, in_turn=first).items()
    }
    verdicts = await prove.run_releases(runtime.find(), update, surveys, plan)
    judged = {name: [v for v in verdicts if v.point.release == name] for name in lab.RELEASES}
    assert_there(surveys["good"], judged["good"], 1 if straight else first)
    for name in DEAD:
        assert cuts(judged[name], first) == everything(surveys[name], first)
        assert_home(name, judged[name])
        if not straight:
            assert {v.point.operation for v in judged[name]} == set(range(1, surveys[name].operations + 1))
    if not straight:
        alike = points.exhaustive(surveys["good"], last=surveys["good"].tried)
        assert {(p.operation, p.kind) for p in alike} <= set.union(*(cuts(judged[name]) for name in DEAD))


def cuts(verdicts: Sequence[Verdict], first: int = 1) -> set[tuple[int, str]]:
    return {(v.point.operation, v.point.kind) for v in verdicts if v.point.operation >= first}


def everything(base: Survey, first: int = 1) -> set[tuple[int, str]]:
    return {(p.operation, p.kind) for p in points.exhaustive(base, first=first)}


def assert_there(base: Survey, verdicts: Sequence[Verdict], first: int) -> None:
    """0 bricks, 100 % on the new image and confirmed; one sector fetched again, one erase more."""
    assert cuts(verdicts) == everything(base, first)
    ways = [2 if what == "nvs" else len(points.SINGLE) for what, _ in base.trace[first - 1 :]]
    assert len(verdicts) == sum(ways)
    assert {v.outcome for v in verdicts} == {"new"}
    assert_cheap(base, verdicts)


def assert_home(release: str, verdicts: Sequence[Verdict]) -> None:
    """In order: always. Out of order: but for the listed residual, and for "hang" alone; never a brick."""
    found = [v for v in verdicts if v.outcome != "old"]
    assert {v.outcome for v in found} <= {"unmonitored"}
    assert {v.point.kind for v in found} <= set(OUT_OF_ORDER)
    assert {h for v in found for h in v.holes} <= LISTED
    assert not found or release == "hang"  # the agent of any other release puts it right


# -- the residual, by its names


async def test_the_residual_of_a_stock_bootloader_is_the_one_that_is_listed(tmp_path: Path) -> None:
    """Dead before its agent starts, torn out of order, stock: each listed hole is there, and no other."""
    update = bench.update(tmp_path, release="hang")
    base = await survey(update)
    found = unexpected(update, await cut(update, base, on_otadata(base, SEEDS)))
    assert {v.outcome for v in found} == {"unmonitored"}
    assert {" ".join(v.holes) for v in found} == LISTED


# -- two cuts


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
