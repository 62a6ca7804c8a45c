"""The long proof in small: one phase, twice, and the page that it writes."""

import json
from pathlib import Path

import pytest
from otasim import lab, points

from driblet import reliability
from tests.power import bench


def test_the_phases_are_what_the_page_promises() -> None:
    names = [phase.name for phase in reliability.PHASES]
    assert len(set(names)) == len(names)
    assert {name for phase in reliability.PHASES for name in phase.releases} == set(lab.RELEASES)
    assert {phase.codec for phase in reliability.PHASES} == {"image", "bsdiff"}
    assert {phase.slot for phase in reliability.PHASES} == {0, 1}


@pytest.mark.slow
async def test_a_phase_is_run_kept_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reliability, "_DOCS", tmp_path)
    monkeypatch.setattr(reliability, "build_folder", lambda name: tmp_path / name)
    choose = reliability._sample(12)
    phase = reliability.Phase("a few cuts", "LINUX_HOST", bench.SIZE, "image", ["good"], choose)
    assert await reliability.everything([phase], 2) == 0
    page, figures = (tmp_path / f"reliability.{kind}" for kind in ("md", "json"))
    found = json.loads(figures.read_text())
    assert found["runs"] in (11, 12)
    assert found["bricks"] == found["wrong"] == found["not_converged"] == 0
    assert "a few cuts" in page.read_text()
    assert "Not run yet: full package" in page.read_text()
    (kept,) = (tmp_path / "prove").glob("*/verdicts.jsonl")
    before = kept.read_text()
    assert await reliability.everything([phase], 2) == 0
    assert kept.read_text() == before


def test_points_of_a_phase_are_the_same_in_each_run() -> None:
    base = points.Survey("new", "", 2, 0, 0, 0, "", [], [("program", 0x90000)] * 50)
    some = [reliability._sample(20)({"good": base}, bench.REGIONS) for _ in range(2)]
    assert some[0] == some[1]
