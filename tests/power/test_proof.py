"""Layer 1 of the proof: the power goes at every flash and NVS operation of a whole update, in every way.

The real agent and boot rules, the real bootloader decision, real packages, 128 KB images; every run is a
fork that goes on to its end and is judged by what stands in its flash. SLOTS.md section 8 names what a
stock bootloader cannot promise: these tests find that, and nothing else.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest
from otaboards import runtime
from otasim import lab, points, prove
from otasim.lab import Survey, Update, Verdict

from tests.power import bench

pytestmark = pytest.mark.proof

IN_ORDER = ("before", "after", "prefix")
OUT_OF_ORDER = ("subset", "bits")
DEAD = ("self_test", "import", "hang", "hang_late", "offline")
SECTOR = 4096


async def cut_everywhere(
    update: Update, kinds: Sequence[str], since: str = ""
) -> tuple[Survey, list[Verdict]]:
    """Every operation; `since` "otadata": from the arming on; until then all releases are alike.

    "written": from the last sector of the image on. A reference bootloader writes otadata at its first boot.
    """
    base = await lab.survey(runtime.find(), update)
    assert base.outcome == update.expected(), base.why
    regions = [bench.REGIONS.of(*o) for o in base.trace]
    first = {
        "": 1,
        "otadata": regions.index("otadata"),
        "written": len(regions) - regions[::-1].index("slot"),
    }
    return base, await prove.run(
        runtime.find(), update, base, points.exhaustive(base, kinds, first=first[since])
    )


def unexpected(update: Update, verdicts: Sequence[Verdict]) -> list[Verdict]:
    return [v for v in verdicts if v.outcome != update.expected()]


@pytest.mark.parametrize("slot", [0, 1])
@pytest.mark.parametrize("codec", ["image", "bsdiff"])
async def test_a_good_release_gets_there_whatever_is_cut(tmp_path: Path, codec: str, slot: int) -> None:
    """0 bricks, 100 % on the new image and confirmed; one sector fetched again, one erase more."""
    update = bench.update(tmp_path, codec, slot)
    base, verdicts = await cut_everywhere(update, points.SINGLE)
    assert len(verdicts) > 4 * base.operations
    assert unexpected(update, verdicts) == []
    assert max(v.extra_bytes for v in verdicts) <= SECTOR
    assert max(v.extra_erases for v in verdicts) <= 1
    assert base.otadata_erases <= 5


@pytest.mark.parametrize("release", DEAD)
@pytest.mark.parametrize("slot", [0, 1])
async def test_a_dead_release_cut_in_order_comes_home(tmp_path: Path, release: str, slot: int) -> None:
    update = bench.update(tmp_path, "image", slot, release=release)
    _, verdicts = await cut_everywhere(update, IN_ORDER, since="otadata")
    assert unexpected(update, verdicts) == []


@pytest.mark.parametrize("release", DEAD)
async def test_the_residual_of_a_stock_bootloader_is_the_one_that_is_listed(
    tmp_path: Path, release: str
) -> None:
    """Out of order x dead before its agent starts x stock: nothing else, and never a brick."""
    update = bench.update(tmp_path, release=release)
    base, verdicts = await cut_everywhere(update, OUT_OF_ORDER, since="otadata")
    found = unexpected(update, verdicts)
    assert {v.outcome for v in found} <= {"unmonitored"}
    assert {bench.REGIONS.of(*base.trace[v.point.operation - 1]) for v in found} <= {"otadata"}
    assert not found or release == "hang"  # the agent of any other release puts it right


async def test_on_the_reference_bootloader_there_is_no_residual(tmp_path: Path) -> None:
    update = bench.update(tmp_path, release="hang", variant="reference")
    _, verdicts = await cut_everywhere(update, OUT_OF_ORDER, since="written")
    assert unexpected(update, verdicts) == []


@pytest.mark.parametrize("release", ["good", "hang", "self_test"])
async def test_every_second_cut_on_otadata(tmp_path: Path, release: str) -> None:
    """The first cut at any operation from the arming on, the second at every otadata operation after it."""
    update = bench.update(tmp_path, release=release)
    base = await lab.survey(runtime.find(), update)
    arming = [bench.REGIONS.of(*o) for o in base.trace].index("otadata")
    once = points.exhaustive(base, IN_ORDER, first=arming)
    traced = await prove.run(runtime.find(), update, base, once, trace=True)
    doubles = points.seconds_on_otadata(traced, bench.REGIONS, IN_ORDER)
    verdicts = await prove.run(runtime.find(), update, base, doubles)
    assert len(verdicts) > 100
    assert unexpected(update, verdicts) == []
