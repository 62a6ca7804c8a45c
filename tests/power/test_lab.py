"""The fault lab itself, in small: what it counts, that it judges, and that it can fail."""

from dataclasses import replace
from pathlib import Path

import pytest
from otaboards import runtime
from otasim import lab, points, prove
from otasim.lab import Point, Survey, Verdict

from tests.power import bench


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lab")


async def test_an_uncut_update_and_its_operations(folder: Path) -> None:
    base = await lab.survey(runtime.find(), bench.update(folder / "full"))
    assert (base.outcome, base.boots) == ("new", 2)
    assert base.reports[-1] == ["confirmed", 0]
    regions = [bench.REGIONS.of(*operation) for operation in base.trace]
    assert regions.count("slot") == 31 * 17  # sectors of one erase and 16 pages; sector 0 is "head"
    assert base.erases == 32
    assert base.otadata_erases <= 5
    assert base.bytes == len(bench.package("image"))


@pytest.mark.slow
async def test_cuts_are_judged_and_counted(folder: Path) -> None:
    update = bench.update(folder / "cuts")
    base = await lab.survey(runtime.find(), update)
    some = [Point(o, kind, o) for o in (1, 30, 100, base.operations) for kind in ("before", "after", "bits")]
    verdicts = await prove.run(runtime.find(), update, base, some)
    assert [v.point for v in verdicts] == sorted(some, key=Point.order)
    assert {(v.outcome, v.cuts) for v in verdicts} == {("new", 1)}
    assert max(v.extra_erases for v in verdicts) <= 1
    assert max(v.extra_bytes for v in verdicts) <= 4096 + 1024


@pytest.mark.slow
async def test_a_double_cut_cuts_twice(folder: Path) -> None:
    update = bench.update(folder / "double")
    base = await lab.survey(runtime.find(), update)
    verdicts = await prove.run(runtime.find(), update, base, [Point(200, "bits", 1, (15, "subset", 2))])
    assert [(v.outcome, v.cuts) for v in verdicts] == [("new", 2)]


@pytest.mark.parametrize("codec", ["image", "bsdiff"])
async def test_a_head_whose_cells_were_poisoned_is_programmed_after_all(folder: Path, codec: str) -> None:
    """Noise cleared bits that the head needs: its sector is written anew, and nothing is fetched again."""
    update = bench.update(folder / f"poison-{codec}", codec)
    base = await lab.survey(runtime.find(), update)
    regions = [bench.REGIONS.of(*operation) for operation in base.trace]
    head = len(regions) - regions[::-1].index("head")
    verdicts = await prove.run(
        runtime.find(), update, base, [Point(head, "poison", seed) for seed in range(6)]
    )
    assert {v.outcome for v in verdicts} == {"new"}
    assert max(v.extra_erases for v in verdicts) == 1
    assert {v.extra_bytes for v in verdicts} == {0}


@pytest.mark.parametrize("release", ["self_test", "import", "hang", "hang_late", "offline"])
async def test_a_dead_release_is_sent_back(folder: Path, release: str) -> None:
    base = await lab.survey(runtime.find(), bench.update(folder / release, release=release))
    assert (base.outcome, base.why) == ("old", "")


async def test_the_lab_sees_a_brick(folder: Path) -> None:
    """A board whose old image is broken before the update, so that no slot boots."""
    update = bench.update(folder / "brick")
    chip = bytearray(update.flash.read_bytes())
    chip[0x10000 + 5000] ^= 1
    update.flash.write_bytes(chip)
    base = await lab.survey(runtime.find(), update)
    assert (base.outcome, base.why) == ("brick", "no image verifies")


async def test_the_lab_sees_an_update_that_never_comes(folder: Path) -> None:
    """The package is damaged: the board stays on the old image."""
    update = bench.update(folder / "damaged")
    raw = bytearray(update.package.read_bytes())
    raw[-1] ^= 1
    update.package.write_bytes(raw)
    base = await lab.survey(runtime.find(), update)
    assert base.outcome == "not_converged"


def survey_of(trace: list[tuple[str, int]]) -> Survey:
    return Survey("new", "", 2, 0, 0, 0, 0, [], trace)


def test_points_exhaustive_and_sampled() -> None:
    otadata, slot = 0xD000, 0x90000
    trace = [("nvs", 0), ("erase", otadata), ("erase", slot)] + [("program", slot + 4096)] * 100
    base = survey_of(trace)
    every = points.exhaustive(base)
    assert len(every) == 2 + 102 * 5
    assert {p.kind for p in every if p.operation == 1} == {"before", "after"}
    some = points.stratified(base, bench.REGIONS, 60)
    assert 55 <= len(some) <= 60
    assert {p.operation for p in some} >= {1, 2, 3}  # small strata are taken whole
    assert some == points.stratified(base, bench.REGIONS, 60)
    doubles = points.random_doubles(base, 50)
    assert len(set(doubles)) >= 50


def test_a_summary_counts_what_went_wrong() -> None:
    def verdict(outcome: str) -> Verdict:
        return Verdict(Point(1, "bits"), outcome, "", 2, 1, 1, 3, 10, False)

    summary = prove.Summary(100)
    for outcome in ("new", "brick", "old", "unmonitored", "not_converged", "lost"):
        summary.add(verdict(outcome), "new")
    found = summary.as_json()
    assert [found[n] for n in ("runs", "bricks", "unmonitored", "not_converged", "wrong")] == [6, 1, 1, 1, 2]


@pytest.mark.slow
async def test_a_proof_goes_on_where_it_was_stopped(folder: Path) -> None:
    update = bench.update(folder / "store")
    base = await lab.survey(runtime.find(), update)
    some = [Point(o, "before") for o in (3, 9)]
    store = folder / "verdicts.jsonl"
    first = await prove.run(runtime.find(), update, base, some[:1], store=store)
    kept = prove.Store(store, runtime.find(), update)
    kept.add(replace(first[0], point=some[1], outcome="lost"))  # no verdict: it is tried again
    assert kept.known() == {some[0]: first[0]}
    seen: list[Verdict] = []
    both = await prove.run(runtime.find(), update, base, some, store=store, on_verdict=seen.append)
    assert [v.point for v in both] == some
    assert len(store.read_text().splitlines()) == 2
    other = bench.update(folder / "other", release="hang")
    assert not prove.Store(store, runtime.find(), other).known()
