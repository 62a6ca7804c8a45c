"""The whole story in a real browser: from signing in to a fleet that was taken back.

The service is a real process; the boards are real MicroPython over flash files, as the demo starts them.
"""

import asyncio
import json
import os
import shlex
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from otaboards import runtime
from otacloud.client import Client
from otasim.fleet import Fleet
from playwright.async_api import Browser, BrowserContext, Page, expect

from driblet.demo import cast, service
from tests.story.browser import Eyes, running

pytestmark = pytest.mark.story

PATIENCE = 180_000  # milliseconds that a step may take on a loaded machine
PASSWORD = "correct horse battery"
expect.set_options(timeout=PATIENCE)


@dataclass
class Stage:
    """What is running. `owner` and `ada` look at pages of their own."""

    client: Client
    folder: Path
    owner: Page
    ada: Page
    eyes: Eyes
    times: dict[str, float] = field(default_factory=dict)
    rollouts: dict[str, str] = field(default_factory=dict)  # version: path of its page

    def at(self, pk: str, path: str = "") -> str:
        return f"{self.client.server}/products/{pk}{path}"


async def test_the_whole_story(tmp_path: Path) -> None:
    async with running() as browser, service.running(tmp_path / "cloud") as (client, token):
        stage = await sign_in(browser, client, token, tmp_path)
        steps: list[tuple[str, Callable[[Stage], Awaitable[None]]]] = [
            ("the guide ends with a confirmed board", guide),
            ("a team of two", team),
            ("two releases, three boards, a delta", main_story),
            ("real images", real_images),
            ("every page", every_page),
        ]
        for name, step in steps:
            began = time.monotonic()
            await step(stage)
            stage.times[name] = round(time.monotonic() - began, 1)
    print(json.dumps(stage.times, indent=1))
    assert stage.eyes.wrong == []


async def sign_in(browser: Browser, client: Client, token: str, folder: Path) -> Stage:
    context = await new_context(browser, client)
    page = await context.new_page()
    await page.goto("/")
    await page.get_by_label("Password").fill("drb_wrong")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    await page.get_by_label("Password").fill(token)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Welcome")).to_be_visible()
    eyes = await Eyes.of(browser, client.server, context)
    await eyes.look("welcome", "/new-product")
    ada = await (await new_context(browser, client)).new_page()
    return Stage(client, folder, page, ada, eyes)


async def new_context(browser: Browser, client: Client) -> BrowserContext:
    context = await browser.new_context(
        base_url=client.server, viewport={"width": 1200, "height": 800}, reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE)
    return context


# the first update


async def guide(stage: Stage) -> None:
    """Every step on the page; the board is started by the command that the page shows."""
    page = stage.owner
    await page.get_by_label("Name").fill("Lamp")
    await page.get_by_role("button", name="Make the product").click()
    await page.get_by_role("button", name="Use the sample release").click()
    await expect(page.locator("#step-release .badge")).to_have_text("done")
    await page.get_by_role("button", name="Start a simulated board").click()
    command = await page.get_by_label("Command").inner_text()
    async with typed(command, stage.folder):
        await expect(page.locator("#step-board")).to_contain_text("board-1 is here")
        await page.get_by_role("button", name="Roll 1.0.0 out").click()
        await stage.eyes.look("guide", "/products/lamp/guide")
        await expect(page.locator("#step-done .badge")).to_have_text("confirmed")


@asynccontextmanager
async def typed(command: str, folder: Path) -> AsyncIterator[None]:
    """The command as somebody types it into a terminal; Ctrl-C at the end."""
    program, *words = shlex.split(command)
    assert program == "driblet"
    with (folder / "sim.log").open("w") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "driblet", *words), cwd=folder, stdout=log, stderr=log, env=environment()
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.wait(), 20)


def environment() -> dict[str, str]:
    roots = [str(Path(path).resolve()) for path in sys.path if path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(roots)}


# people


async def team(stage: Stage) -> None:
    page = stage.owner
    await page.goto("/team")
    await page.get_by_text("Add a person").click()
    await page.locator("#name").fill("ada")
    await page.locator("#role").select_option("manager")
    await page.locator("#password").fill(PASSWORD)
    await page.get_by_role("button", name="Add", exact=True).click()
    await expect(page.get_by_role("cell", name="ada")).to_be_visible()
    await stage.ada.goto("/sign-in")
    await stage.ada.get_by_label("Name").fill("ada")
    await stage.ada.get_by_label("Password").fill(PASSWORD)
    await stage.ada.get_by_role("button", name="Sign in").click()
    await expect(stage.ada.get_by_role("heading", name="Overview")).to_be_visible()


# a good release, a bad one, and the way back


async def main_story(stage: Stage) -> None:
    good, bad = await asyncio.to_thread(plays, stage.folder)
    await new_product(stage, "Thermostat")
    await upload(stage, "thermostat", good.old_version, good.old)
    async with boards(stage, "thermostat", good):
        await require_approval(stage)
        await upload(stage, "thermostat", good.new_version, good.new)
        await expect(stage.owner.locator("#release-jobs")).to_contain_text("Served: address-aware")
        await roll_out(stage, good.new_version)
        await watch_bars(stage)
        await upload(stage, "thermostat", bad.new_version, bad.new)
        await roll_out(stage, bad.new_version)
        await expect(stage.owner.locator("#rollout-now")).to_contain_text("Why it stopped")
        await expect(stage.owner.locator("#rollout-boards")).to_contain_text("SELF_TEST_FAILED")
        await stage.eyes.look("rollout-stopped", stage.rollouts[bad.new_version])
        await go_back(stage, good)


def plays(folder: Path) -> tuple[cast.Play, cast.Play]:
    """The demo's releases: 1.0.0 and 1.1.0, and a 1.1.1 that fails its self-test."""
    return cast.own_play(folder / "good", ""), cast.own_play(folder / "bad", "self-test")


async def new_product(stage: Stage, name: str) -> None:
    page = stage.owner
    await page.goto("/new-product")
    await page.get_by_label("Name").fill(name)
    await page.get_by_role("button", name="Make the product").click()
    await expect(page.get_by_role("heading", name="Your first update")).to_be_visible()


async def upload(stage: Stage, pk: str, version: str, image: bytes) -> None:
    """By the form; then its packages are made while the page looks on."""
    page = stage.owner
    file = stage.folder / f"{pk}-{version}.bin"
    file.write_bytes(image)
    await page.goto(stage.at(pk, "/releases"))
    await page.get_by_text("Upload a release").click()
    await page.get_by_label("App image").set_input_files(file)
    await page.get_by_label("Version", exact=True).fill(version)
    await page.get_by_label("What is new").fill(f"What {version} brings.")
    await page.get_by_role("button", name="Upload").click()
    await expect(page.locator("#release-head .badge")).to_have_text("ready")
    await expect(page.locator("#release-jobs .badge.queued, #release-jobs .badge.running")).to_have_count(0)


@asynccontextmanager
async def boards(
    stage: Stage, pk: str, play: cast.Play, names: tuple[str, ...] = cast.NAMES
) -> AsyncIterator[Fleet]:
    """Real MicroPython boards on the old image; they are there once the page shows them all."""
    product = await asyncio.to_thread(stage.client.product_secret, pk)
    settings: dict[str, str | bytes | int] = {
        "pk": pk,
        "ps": bytes.fromhex(product.ps),
        "server": stage.client.server,
        "keys": bytes.fromhex(product.public_key),
        "board": play.kind.name,
    }
    found, folder = runtime.find(), stage.folder / pk
    folder.mkdir()
    made = [cast.board(play, folder, found, n, settings, on_event=lambda _: None) for n in names]
    await stage.owner.goto(stage.at(pk, "/devices"))
    async with Fleet(made) as fleet:
        for name in names:
            row = stage.owner.locator("tr", has_text=name)
            await expect(row).to_contain_text(play.old_version)
        yield fleet
        fleet.check()


async def require_approval(stage: Stage) -> None:
    await stage.owner.goto(stage.at("thermostat", "/settings"))
    await stage.owner.get_by_label("A rollout starts").select_option("1")
    await stage.owner.get_by_role("button", name="Save").click()


async def roll_out(stage: Stage, version: str) -> None:
    """The owner asks, ada agrees; the owner's page, left open, shows that it begins."""
    page = stage.owner
    await page.get_by_role("link", name="Roll out").click()
    await expect(page.get_by_label("Release")).to_have_value(version)
    await page.get_by_text("More", exact=True).click()
    await page.get_by_label("asked again").fill("2")
    await page.get_by_role("button", name="Ask for approval").click()
    await expect(page.locator("#rollout-now")).to_contain_text("somebody else must agree")
    await expect(page.locator("#live")).to_have_text("Live")
    stage.rollouts[version] = urlsplit(page.url).path
    await page.evaluate(SAMPLER)
    await approve(stage)


async def approve(stage: Stage) -> None:
    await stage.ada.goto(stage.at("thermostat", "/approvals"))
    await stage.eyes.look("approvals", "/products/thermostat/approvals")
    await stage.ada.get_by_role("button", name="Approve").click()
    await expect(stage.ada.locator("#approvals")).to_contain_text("No rollout waits")


SAMPLER = """
window.seen = {counts: [], steps: []};
setInterval(() => {
  const counts = document.querySelector("#rollout-now .legend")?.innerText;
  if (counts && seen.counts.at(-1) !== counts) seen.counts.push(counts);
  for (const bar of document.querySelectorAll("#rollout-boards progress"))
    if (bar.value && seen.steps.at(-1) !== bar.value) seen.steps.push(bar.value);
}, 20);
"""


async def watch_bars(stage: Stage) -> None:
    """Nobody reloads the page: what it shows of the boards moves by itself, to the end."""
    page = stage.owner
    await page.locator("#rollout-boards progress").first.wait_for()
    await stage.eyes.look("rollout-running", urlsplit(page.url).path)
    await stage.eyes.look("overview-running", "/products/thermostat")
    await expect(page.locator("#rollout-now .badge").first).to_have_text("done")
    await expect(page.locator("#rollout-now")).to_contain_text("3 confirmed")
    await expect(page.locator("#rollout-now .pairs")).to_contain_text("Saved")
    seen = await page.evaluate("window.seen")  # gone with a reload
    assert len(seen["counts"]) >= 3, seen
    assert len(set(seen["steps"])) >= 2, seen


async def go_back(stage: Stage, good: cast.Play) -> None:
    """To 1.0.0: released once more with a new number; every board ends on that image."""
    page = stage.owner
    await page.get_by_label("To", exact=True).select_option(good.old_version)
    await page.get_by_label("one board first").uncheck()
    await page.get_by_role("button", name="Revert the fleet").click()
    await expect(page.locator("h1")).to_contain_text("1.0.0-again")
    await approve(stage)
    await expect(page.locator("#rollout-now .badge").first).to_have_text("done")
    devices = (await asyncio.to_thread(stage.client.devices, "thermostat")).devices
    old = (await asyncio.to_thread(stage.client.release, "thermostat", "1.0.0")).image_sha256
    assert {device.image_sha256 for device in devices} == {old}


# firmware of other people


async def real_images(stage: Stage) -> None:
    """A pair of the corpus through upload and delta to a board of its chip; without a corpus, said so."""
    corpus = os.environ.get("CORPUS_DIR")
    if not corpus:
        print("CORPUS_DIR is not set: the story has the sample images only")
        return
    pair = next(p for p in json.loads(Path(corpus, "pairs.json").read_text()) if p["name"] == "s2-png")
    old, new = (next(Path(corpus).rglob(pair[name])) for name in ("old", "new"))
    play = await asyncio.to_thread(cast.given_play, old, new, stage.folder / "pair", runtime.find())
    await new_product(stage, "Gateway")
    await upload(stage, "gateway", play.old_version, play.old)
    async with boards(stage, "gateway", play, ("hall",)):
        await upload(stage, "gateway", play.new_version, play.new)
        page = stage.owner
        await page.get_by_role("link", name="Roll out").click()
        await page.get_by_role("button", name="Roll out").click()
        await expect(page.locator("#rollout-now .badge").first).to_have_text("done")
        await expect(page.locator("#rollout-now")).to_contain_text("1 confirmed")


# every page


async def every_page(stage: Stage) -> None:
    page, at = stage.owner, "/products/thermostat"
    await page.goto(stage.at("thermostat", "/groups"))
    await page.get_by_label("Name").fill("new-image")
    await page.get_by_label("Rule").fill("version = 1.0.0-again4")
    await page.get_by_role("button", name="Make the group").click()
    bad = int(stage.rollouts["1.1.1"].rsplit("/", 1)[-1])
    unlucky = (await asyncio.to_thread(stage.client.rollout, "thermostat", bad)).failures[0].dn
    pages = {
        **{"overview": at, "devices": f"{at}/devices", "device": f"{at}/devices/{unlucky}"},
        **{"releases": f"{at}/releases", "release": f"{at}/releases/1.1.0", "rollouts": f"{at}/rollouts"},
        **{"rollout": stage.rollouts["1.1.0"], "new-rollout": f"{at}/rollouts/new", "groups": f"{at}/groups"},
        **{"alarms": f"{at}/alarms", "settings": f"{at}/settings", "team": "/team", "audit": "/audit"},
        **{"not-here": f"{at}/rollouts/999"},
    }
    for name, path in pages.items():
        await stage.eyes.look(name, path)
    await sign_in_page(stage)
    await without_javascript(stage, pages)


async def sign_in_page(stage: Stage) -> None:
    for page in stage.eyes.pages.values():
        await page.context.clear_cookies()
    await stage.eyes.look("sign-in", "/sign-in")


async def without_javascript(stage: Stage, pages: dict[str, str]) -> None:
    """Every page says what it has to say, and search works."""
    context = stage.owner.context
    assert context.browser is not None
    plain = await context.browser.new_context(
        storage_state=await context.storage_state(), base_url=stage.client.server, java_script_enabled=False
    )
    page = await plain.new_page()
    for name, path in pages.items():
        await page.goto(path)
        assert await page.locator("h1").inner_text(), name
    await page.goto("/products/thermostat/devices")
    await page.get_by_label("Name").first.fill("nor")
    await page.get_by_role("button", name="Search").click()
    assert await page.locator("tbody tr").count() == 1
    assert "q=nor" in page.url
    await page.goto("/products/lamp")
    await page.get_by_role("link", name="Rollouts").click()
    assert "/products/lamp/rollouts" in page.url
