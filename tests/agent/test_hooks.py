"""Hooks: each answer at each point, and the power goes while a hook has the update put off."""

import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from .service import Service
from .station import Station, full, image, reported
from .test_updates import app

pytestmark = pytest.mark.slow

# The hooks answer as plan.json says, once for each point; the next time they are content.
APP = app(
    """
from otaagent.updates import STAGES
ota = Updates()
try:
    plan = json.load(open("plan.json"))
except (OSError, ValueError):
    plan = {}
def hook(point):
    async def ask(about):
        answer = plan.pop(point, None)
        with open("plan.json", "w") as f:
            json.dump(plan, f)
        say(point=point, answer=answer, at=time.time(), about=about)
        return {"later": Later(2), "fail": Fail("because")}.get(answer)
    return ask
for stage in STAGES:
    ota.before(stage)(hook("before " + stage))
    ota.after(stage)(hook("after " + stage))
async def main(agent):
    await ota.start()
"""
)
OLD, NEW = image("1.0.0", APP), image("1.1.0", APP)
UPDATING = [
    f"{when} {stage}" for stage in ("check", "download", "apply", "verify") for when in ("before", "after")
]
TRIED = ["before trial", "after trial", "before confirm", "after confirm"]


def plan(board: Station, answers: dict[str, str]) -> None:
    (board.files.vfs / "plan.json").write_text(json.dumps(answers))


def asked(board: Station) -> list[dict[str, Any]]:
    """Each question, in order."""
    return [e.data for e in board.events if e.kind == "report" and "point" in e.data]


async def run_with_cuts(board: Station, until: Any, points: list[str]) -> None:
    """Cut the power as soon as a hook at one of `points` has said later."""
    left = dict.fromkeys(points, 0.0)

    def watch(s: Station) -> bool:
        for question in asked(s):
            point = question["point"]
            if question["answer"] == "later" and point in left:
                left[point] = left[point] or time.monotonic() + 0.3  # it was answered, and that was kept
                if time.monotonic() > left[point]:
                    del left[point]
                    s.board.cut_power()
        return bool(until(s))

    await board.run(watch, seconds=60)
    assert not left


def waited(board: Station, point: str) -> bool:
    """It was asked again, and not before its time."""
    times = [(q["at"], q["answer"]) for q in asked(board) if q["point"] == point]
    # (A clock of whole seconds takes up to one off.)
    return any(a[1] == "later" and b[0] - a[0] >= 1 for a, b in pairwise(times))


async def test_later_at_every_point_outlives_a_power_cut(tmp_path: Path) -> None:
    points = [*UPDATING, "before arm", "after arm", *TRIED]
    with Service() as service:
        service.release(full(NEW))
        board = Station(tmp_path, service, OLD)
        plan(board, dict.fromkeys(points, "later"))
        # One cut on trial, as three would be the end of it; after "after arm" a cut begins the trial.
        cuts = [*UPDATING, "before arm", "before trial", "after confirm"]
        await run_with_cuts(board, lambda s: reported("confirmed")(s) and waited(s, "after confirm"), cuts)
    for point in points:
        assert waited(board, point), point
    assert board.slot(1, len(NEW)) == NEW
    put_off = {r["detail"].partition(":")[0] for r in service.reports if r["state"] == "deferred"}
    assert put_off >= {"before download", "after apply", "before arm"}


@pytest.mark.codes(410)
async def test_fail_before_the_reset_is_reported_and_changes_nothing(tmp_path: Path) -> None:
    with Service() as service:
        board = Station(tmp_path, service, OLD)
        for seq, point in enumerate([*UPDATING[1:], "before arm", "after arm"], 7):
            service.release(full(NEW, seq), seq=seq, rollout=seq)
            plan(board, {point: "fail"})
            await board.run(reported("failed", 410))
            assert service.reports[-1]["detail"] == point + ": because"
            service.reports.clear()
            board.service.logs.clear()
            assert board.runs() == "ota_0"
        # and then, none failing, it is installed after all
        service.release(full(NEW, 99), seq=99)
        await board.run(reported("confirmed"))


@pytest.mark.parametrize("point", TRIED[:3])
async def test_fail_on_trial_sends_the_release_back(tmp_path: Path, point: str) -> None:
    with Service() as service:
        service.release(full(NEW))
        board = Station(tmp_path, service, OLD)
        plan(board, {point: "fail", "before revert": "later", "after revert": "later"})
        await run_with_cuts(
            board, lambda s: reported("reverted", 410)(s) and waited(s, "after revert"), ["after revert"]
        )
    assert waited(board, "before revert") or [q["point"] for q in asked(board)].count("before revert") == 2
    assert board.runs() == "ota_0"
    report = next(r for r in service.reports if r["state"] == "reverted")
    assert report["detail"] == point + ": because"


async def test_fail_at_the_end_is_only_told(tmp_path: Path) -> None:
    with Service() as service:
        service.release(full(NEW))
        board = Station(tmp_path, service, OLD)
        plan(board, {"after confirm": "fail", "before check": "fail"})
        await board.run(
            lambda s: reported("confirmed")(s) and any("because" in log for log in s.service.logs)
        )
    assert board.runs() == "ota_1"
