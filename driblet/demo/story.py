"""The run itself: service, releases, boards, rollout, and what must be true at the end."""

import asyncio
import shutil
import time
from asyncio import to_thread
from dataclasses import dataclass, field
from pathlib import Path

from otaboards import console
from otaboards.runtime import Runtime
from otacloud.client import Client
from otacloud.schemas import DeviceOut, ProductIn, ProductSecret, RolloutDetail, RolloutIn
from otasim.board import Board, Event
from otasim.faults import NONE
from otasim.fleet import Fleet
from otaspec.errors import error

from driblet.demo import cast, evidence, heap, service
from driblet.demo.cast import Play
from driblet.demo.summary import BoardResult, Summary, show
from driblet.demo.view import Line, View, view

REGISTER_SECONDS = 60
PATIENCE_SECONDS = 240  # a run that takes longer is called failed
SETTLE_SECONDS = 3  # how long a stopped rollout must be seen to leave the other boards alone
LOOK_SECONDS = 0.2
UNLUCKY = "east"  # the board whose power is cut
RETRY_SECONDS = 2  # until a board that put an update off is offered it again

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
    """Everything that is running, and what was seen of it."""

    play: Play
    client: Client
    product: ProductSecret
    settings: dict[str, str | bytes | int]
    boards: list[Board]
    fleet: Fleet
    lines: dict[str, Line]
    rollout: RolloutDetail | None = None
    devices: dict[str, DeviceOut] = field(default_factory=dict)
    reverts: dict[str, list[str]] = field(default_factory=dict)  # board: errors of its reverts, newest first


async def run(play: Play, runtime: Runtime, build: Path, keep: bool) -> Summary:
    """Plays it to its end; with `keep` everything then goes on until it is interrupted."""
    folder = build / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    async with service.running(folder / "cloud") as (client, token):
        console.err.print(f"cloud at {client.server}  token {token}", soft_wrap=True)
        product = await to_thread(client.create_product, ProductIn(pk="demo", board=play.kind.name))
        await _release(client, product, folder, play.old_version, play.old)
        scene = _stage(play, client, product, folder, runtime)
        async with scene.fleet:
            await _all_registered(scene)
            await _release(client, product, folder, play.new_version, play.new)
            seconds = await _roll_out(scene)
            sent = await to_thread(service.bytes_sent, client)
            heap_peak = 0 if play.bad else await _working_heap(scene, token, folder, runtime)
            summary = await _summary(scene, runtime, seconds, sent, heap_peak)
            summary.write(build / "demo.json")
            if keep:
                show(summary, console.err)
                console.err.print(f"everything goes on at {client.server}; Ctrl-C ends it")
                await asyncio.Event().wait()
    return summary


async def _release(client: Client, product: ProductSecret, folder: Path, version: str, image: bytes) -> None:
    """A release: full package, and a delta from each version in use; each is tried before it is served."""
    path = folder / f"{version}.bin"
    path.write_bytes(image)
    with console.err.status(f"release {version}: packages are made and tried on the device's decoder"):
        await to_thread(client.upload_release, product.pk, version, path)
        await to_thread(client.wait_release, product.pk, version)


def _stage(play: Play, client: Client, product: ProductSecret, folder: Path, runtime: Runtime) -> Scene:
    lines = {name: Line(name, version=play.old_version) for name in cast.NAMES}
    settings: dict[str, str | bytes | int] = {
        "pk": product.pk,
        "ps": bytes.fromhex(product.ps),
        "server": client.server,
        "keys": bytes.fromhex(product.public_key),
        "board": play.kind.name,
    }

    def on_event(event: Event) -> None:
        if event.kind == "exit" and event.data["why"] == "power-cut":
            lines[event.board].note = "power was cut here"

    cut = NONE if play.bad else cast.cut_in_the_middle(play)
    boards = [
        cast.board(
            play, folder, runtime, name, settings, on_event=on_event, faults=cut if name == UNLUCKY else NONE
        )
        for name in lines
    ]
    return Scene(play, client, product, settings, boards, Fleet(boards), lines)


async def _all_registered(scene: Scene) -> None:
    """Until every board has registered, logged in and polled."""
    deadline = time.monotonic() + REGISTER_SECONDS
    with console.err.status("three boards start and register with the product secret"):
        while len(scene.devices) < len(scene.boards):
            if time.monotonic() > deadline:
                raise error(302, "a board did not register: see the logs in build/demo")
            await _look(scene)


async def _roll_out(scene: Scene) -> float:
    """Starts the rollout and watches it to its end; seconds it took."""
    play, client, pk = scene.play, scene.client, scene.product.pk
    deadline = time.monotonic() + PATIENCE_SECONDS
    title = f"rollout of {play.new_version} to {play.kind.name}"
    with view(list(scene.lines.values()), title, console.err) as shown:
        given = RolloutIn(
            version=play.new_version, devices=list(scene.lines), canary=1, retry_after=RETRY_SECONDS
        )
        began = time.monotonic()
        number = (await to_thread(client.create_rollout, pk, given)).id
        scene.rollout = await to_thread(client.rollout, pk, number)
        while not _over(scene) and time.monotonic() < deadline:
            await _look(scene, shown)
        seconds = time.monotonic() - began
        settled = time.monotonic() + (SETTLE_SECONDS if play.bad else 0)
        while time.monotonic() < settled:
            await _look(scene, shown)
    return seconds


async def _look(scene: Scene, shown: View | None = None) -> None:
    """One look at the service, as an operator would have it."""
    await asyncio.sleep(LOOK_SECONDS)
    scene.fleet.check()
    client, pk = scene.client, scene.product.pk
    if scene.rollout:  # before the devices: what ended the rollout is then seen on them too
        scene.rollout = await to_thread(client.rollout, pk, scene.rollout.id)
    for device in (await to_thread(client.devices, pk)).devices:
        if device.version is None:  # registered, but not yet polled
            continue
        scene.devices[device.dn] = device
        line = scene.lines[device.dn]
        line.state, line.step, line.version = device.state, device.step, device.version
        line.slot = device.slot or ""
        if device.error:
            line.note = device.error.name
    if scene.play.bad:
        for name in scene.devices:
            scene.reverts[name] = await _reverts(scene, name)
    if shown:
        shown.refresh()


async def _reverts(scene: Scene, name: str) -> list[str]:
    """Why the board went back, each time, newest first."""
    told = (await to_thread(scene.client.device, scene.product.pk, name)).reports
    return [r.error.name for r in told if r.state == "reverted" and r.error]


def _over(scene: Scene) -> bool:
    if scene.play.bad == "offline":  # never stops by itself: seen to be tried again is enough
        return max(map(len, scene.reverts.values()), default=0) >= 2
    return scene.rollout is not None and scene.rollout.state in ("done", "stopped")


async def _working_heap(scene: Scene, token: str, folder: Path, runtime: Runtime) -> int:
    """Measured beside the demo, on a copy of its service: what is shown there is the three boards alone."""
    with console.err.status("measuring the heap: the same update on boards with ever smaller heaps"):
        service.copy(folder / "cloud", folder / "heap" / "cloud")
        async with service.running(folder / "heap" / "cloud", token) as (client, _):
            settings = {**scene.settings, "server": client.server}
            bench = heap.Bench(scene.play, client, scene.product.pk, folder / "heap", runtime, settings)
            return await heap.working_heap(bench)


async def _summary(scene: Scene, runtime: Runtime, seconds: float, sent: int, heap_peak: int) -> Summary:
    """What the flash files say, beside what the service says."""
    play, client, pk = scene.play, scene.client, scene.product.pk
    if scene.rollout is None or len(scene.devices) < len(scene.boards):
        raise AssertionError("a board never came to the service: see its log in build/demo")
    results = [evidence.read_board(board, play, scene.devices[board.name]) for board in scene.boards]
    for result in results:
        result.error = result.error or next(iter(scene.reverts.get(result.name, [])), "")
    jobs = (await to_thread(client.release, pk, play.new_version)).jobs
    made = evidence.best_job(jobs, play)
    return Summary(
        product=pk,
        target=play.new_version,
        image_size=len(play.new),
        package_size=made.size or 0,
        patch_size=made.payload_size or 0,
        codec=evidence.codec_name(made.codec),
        bytes_sent=sent,
        seconds=round(seconds, 1),
        heap_peak=heap_peak,
        agent_mpy=evidence.agent_sizes(runtime),
        rollout_state=scene.rollout.state,
        rollout_reason=scene.rollout.why,
        ok=_went_as_promised(scene, scene.rollout, results),
        boards=results,
    )


def _went_as_promised(scene: Scene, rollout: RolloutDetail, results: list[BoardResult]) -> bool:
    play = scene.play
    if not play.bad:
        new = evidence.digest(play.new)
        cuts = sum(result.power_cuts for result in results)
        return cuts >= 1 and all(r.state == "confirmed" and r.image_sha256 == new for r in results)
    told = {name: errors for name, errors in scene.reverts.items() if errors}
    right = all(set(errors) == {EXPECTED[play.bad]} for errors in told.values())
    if play.bad == "offline":
        return right and rollout.state == "running" and max(map(len, told.values()), default=0) >= 2
    at_home = all(r.image_sha256 == evidence.digest(play.old) for r in results)
    return right and at_home and len(told) == 1 and rollout.state == "stopped"
