"""The run itself: service, releases, boards, rollout, and what must be true at the end."""

import asyncio
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from otaboards import console
from otaboards.runtime import Runtime
from otasim.board import Board, Event
from otasim.faults import NONE
from otasim.fleet import Fleet

from driblet.demo import cast, evidence, service
from driblet.demo.cast import Play
from driblet.demo.summary import BoardResult, Summary, show
from driblet.demo.view import Line, View, view

PATIENCE_SECONDS = 240  # a run that takes longer is called failed
SETTLE_SECONDS = 4  # how long a stopped rollout must leave the other boards alone

# What each bad release must be reported as.
EXPECTED = {
    "self-test": "SELF_TEST_FAILED",
    "import": "TRIAL_CRASHED",
    "hang": "TRIAL_WATCHDOG",
    "hang-late": "TRIAL_WATCHDOG",
    "offline": "TRIAL_NO_SERVER",
}


@dataclass
class Scene:
    """Everything that is running."""

    play: Play
    service: service.Service
    product: dict[str, Any]
    boards: list[Board]
    lines: dict[str, Line]
    rollout: dict[str, Any] = field(default_factory=dict)
    devices: dict[str, dict[str, Any]] = field(default_factory=dict)
    reverts: dict[str, str] = field(default_factory=dict)  # board: name of the error of its last revert
    tries: dict[str, int] = field(default_factory=dict)  # board: reverts seen

    @property
    def pk(self) -> str:
        return str(self.product["pk"])


async def run(play: Play, runtime: Runtime, build: Path, keep: bool) -> Summary:
    """Plays it to its end; with `keep` everything goes on until it is interrupted."""
    folder = build / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    async with service.running(folder / "cloud") as cloud:
        console.err.print(f"cloud at {cloud.url} (token {cloud.token})")
        product = await _releases(cloud, play)
        scene = _stage(play, cloud, product, folder, runtime)
        async with Fleet(scene.boards):
            began = time.monotonic()
            await _roll_out(scene)
            seconds = time.monotonic() - began
            summary = await _summary(scene, seconds)
            summary.write(build / "demo.json")
            if keep:
                await _keep(scene, summary)
    return summary


async def _releases(cloud: service.Service, play: Play) -> dict[str, Any]:
    """A product with both releases; the deltas are made when boards and rollout are there."""
    product = await cloud.create_product(play.kind.name)
    for version, image in ((play.old_version, play.old), (play.new_version, play.new)):
        with console.err.status(f"release {version}: packages are being made and tried"):
            await cloud.upload(product["pk"], version, image)
            await cloud.packages_made(product["pk"], version)
    return product


def _stage(
    play: Play, cloud: service.Service, product: Mapping[str, Any], folder: Path, runtime: Runtime
) -> Scene:
    lines = {name: Line(name, version=play.old_version) for name in cast.NAMES}
    settings: dict[str, str | bytes | int] = {
        "pk": product["pk"],
        "ps": bytes.fromhex(product["ps"]),
        "server": cloud.url,
        "keys": bytes.fromhex(product["public_key"]),
        "board": play.kind.name,
    }
    faults = [NONE, NONE if play.bad else cast.cut_in_the_middle(play), NONE]

    def on_event(event: Event) -> None:
        if event.kind == "exit" and event.data["why"] == "power-cut":
            lines[event.board].power_cuts += 1
            lines[event.board].note = "power was cut here"

    boards = cast.boards(play, folder, runtime, settings, faults, on_event)
    return Scene(play, cloud, dict(product), boards, lines)


async def _roll_out(scene: Scene) -> None:
    """Waits for the boards to register, starts the rollout, watches it to its end."""
    play = scene.play
    title = f"rollout of {play.new_version} to {play.kind.name}"
    with view(list(scene.lines.values()), title, console.err) as v:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(scene.devices) < len(scene.boards) and time.monotonic() < deadline:
            await _look(scene, v)
        scene.rollout = await scene.service.start_rollout(
            scene.pk, play.new_version, canary=1, retry_after=2, devices=list(scene.lines)
        )
        while not _over(scene) and time.monotonic() < deadline:
            await _look(scene, v)
        settle = time.monotonic() + (SETTLE_SECONDS if play.bad else 0)
        while time.monotonic() < settle:
            await _look(scene, v)


async def _look(scene: Scene, shown: View) -> None:
    """One look at the service, as an operator would have it."""
    await asyncio.sleep(0.25)
    for device in await scene.service.devices(scene.pk):
        if device["version"] is None:
            continue
        name = device["dn"]
        scene.devices[name] = device
        line = scene.lines[name]
        line.state, line.step = device["state"], device["step"]
        line.version, line.slot = device["version"], device["slot"] or ""
        problem = device["error"]
        if problem:
            line.note = problem["name"]
    if scene.rollout:
        scene.rollout = await scene.service.rollout(scene.pk, scene.rollout["id"])
    if scene.play.bad:
        await _reverts(scene)
    shown.refresh()


async def _reverts(scene: Scene) -> None:
    for name in scene.devices:
        told = await scene.service.timeline(scene.pk, name)
        ends = [r for r in told if r["state"] == "reverted"]
        scene.tries[name] = len(ends)
        if ends and ends[0]["error"]:
            scene.reverts[name] = ends[0]["error"]["name"]
            scene.lines[name].note = f"back on {scene.play.old_version}: {scene.reverts[name]}"[:60]


def _over(scene: Scene) -> bool:
    if scene.play.bad == "offline":  # never stops by itself: seen to be tried again is enough
        return max(scene.tries.values(), default=0) >= 2
    return bool(scene.rollout["state"] != "running")


async def _summary(scene: Scene, seconds: float) -> Summary:
    """What the flash files say, beside what the service says."""
    play = scene.play
    results = [evidence.read_board(board, play, scene.devices[board.name]) for board in scene.boards]
    jobs = await scene.service.packages_made(scene.pk, play.new_version)
    base = evidence.digest(play.old)
    delta = next((job for job in jobs if job["base_sha256"] == base), jobs[0])
    ends = [await evidence.last_end(scene.service, scene.pk, board.name) for board in scene.boards]
    return Summary(
        product=scene.pk,
        target=play.new_version,
        image_size=len(play.new),
        package_size=delta["size"],
        patch_size=delta["payload_size"],
        codec=evidence.codec_name(delta["codec"]),
        bytes_sent=sum(end.get("bytes_received", 0) for end in ends),
        seconds=round(seconds, 1),
        heap_peak=max((end.get("heap_peak", 0) for end in ends), default=0),
        agent_mpy=evidence.agent_size(),
        rollout_state=scene.rollout["state"],
        rollout_reason=scene.rollout["why"],
        ok=_went_as_promised(scene, results),
        boards=results,
    )


def _went_as_promised(scene: Scene, results: list[BoardResult]) -> bool:
    play = scene.play
    new, old = evidence.digest(play.new), evidence.digest(play.old)
    if not play.bad:
        return all(r.state == "confirmed" and r.image_sha256 == new and r.slot == "ota_1" for r in results)
    at_home = all(r.image_sha256 == old and r.version == play.old_version for r in results)
    told = set(scene.reverts.values()) == {EXPECTED[play.bad]}
    if play.bad == "offline":
        return bool(told and scene.rollout["state"] == "running" and max(scene.tries.values()) >= 2)
    return bool(at_home and told and len(scene.reverts) == 1 and scene.rollout["state"] == "stopped")


async def _keep(scene: Scene, summary: Summary) -> None:
    show(summary, console.err)
    console.err.print(f"everything goes on at {scene.service.url}; Ctrl-C ends it")
    await asyncio.Event().wait()
