"""The geometry of the pictures, and what forms and reports become: no service needed."""

from typing import Any

import pytest
from otacloud.console import charts, forms, story
from otacloud.phases import Phase
from otacloud.schemas import ReportOut
from otaspec.errors import OtaError


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "-"),
        (0, "0 s"),
        (90, "90 s"),
        (130, "2 min"),
        (7_000, "117 min"),
        (10_000, "3 h"),
        (200_000, "2 d"),
    ],
)
def test_lasting(seconds: float | None, words: str) -> None:
    assert charts.lasting(seconds) == words


def test_slices_fill_the_bar_and_leave_out_nothing_that_is_there() -> None:
    made = charts.slices([("a", 1), ("b", 0), ("c", 3)])
    assert [(s.name, s.x, s.width) for s in made] == [("a", 0, 25), ("c", 25, 75)]
    assert charts.slices([("a", 0)]) == []


def test_a_part_that_is_there_can_be_seen() -> None:
    assert charts.width(1, 10**9) == 0.6
    assert charts.width(0, 10) == charts.width(1, 0) == 0
    assert charts.width(20, 10) == 100


def test_steps_of_a_rollout_in_its_second_phase() -> None:
    planned = [Phase(count=1), Phase(percent=10, soak=60)]
    made = charts.steps(planned, [1, 4, 5], 100, 1, 1000, 1020)
    assert [(s.title, s.state, s.settled, s.size, s.soak_left) for s in made] == [
        ("1 board", "done", 1, 1, 0),
        ("10 %", "now", 4, 10, 40),
        ("everyone", "next", 5, 100, 0),
    ]
    assert made[1].gate == "100 % confirmed, then 60 s"


def test_forecast_is_the_rest_at_the_pace_so_far_and_the_soaking_to_come() -> None:
    assert charts.forecast(25, 100, 50, 10) == 160
    assert charts.forecast(0, 100, 50, 10) is None
    planned = [Phase(count=1, soak=30), Phase(percent=50, soak=60)]
    assert charts.soak_to_come(planned, 0, 100, 110) == 80
    assert charts.soak_to_come(planned, 2, None, 110) == 0


def test_devices_by_days_behind() -> None:
    days = {0: 90, 3: 5, 40: 4, None: 2}
    assert [(b.title, b.count) for b in charts.bands(days)][:2] == [("up to date", 90), ("up to 7 days", 5)]
    assert charts.bands(days)[-1].count == 2
    assert (charts.percentile(days, 0.5), charts.percentile(days, 0.99)) == (0, 40)
    assert charts.percentile({}, 0.5) is None


def report(state: str, at: int, version: str = "1", step: int = 1, **more: Any) -> ReportOut:
    fields = {"id": at, "at": 0, "received_at": at, "rollout": 1, "seq": 1, "error": None, "data": {}}
    return ReportOut(**{**fields, "version": version, "state": state, "step": step, **more})


def test_reports_become_attempts_with_the_time_of_each_stage() -> None:
    told = [report("downloading", 10), report("downloading", 14, step=40), report("applying", 15)]
    told += [report("confirmed", 25, data={"erases": 3}), report("downloading", 50, "2")]
    made = story.attempts(told[::-1])
    assert [(a.version, a.state, a.seconds) for a in made] == [
        ("2", "downloading", 0),
        ("1", "confirmed", 15),
    ]
    assert [(s.state, s.seconds) for s in made[1].stages] == [
        ("downloading", 5),
        ("applying", 10),
        ("confirmed", None),
    ]
    assert made[1].facts == {"erases": 3}


def test_a_second_try_of_the_same_release_is_an_attempt_of_its_own() -> None:
    told = [report("downloading", 1), report("reverted", 5), report("downloading", 9)]
    assert [a.state for a in story.attempts(told[::-1])] == ["downloading", "reverted"]


def test_phases_as_they_are_typed() -> None:
    assert forms.phases("1%:3600, 20:60 5") == [
        {"percent": 1.0, "soak": 3600},
        {"count": 20, "soak": 60},
        {"count": 5, "soak": 0},
    ]
    for wrong in ("x", "5%:soon", ":"):
        with pytest.raises(OtaError, match="REQUEST_INVALID"):
            forms.phases(wrong)


def test_times_as_they_are_typed() -> None:
    assert forms.moment("1970-01-02T00:01") == 86_460
    assert forms.window("22:00", "04:30") == (1320, 270)
    assert forms.window("", "") is None
    for begin, end in (("22:00", ""), ("soon", "later")):
        with pytest.raises(OtaError):
            forms.window(begin, end)
