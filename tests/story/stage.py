"""What the story is played on: two people at their browsers, real boards, what they do again and again."""

import asyncio
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from otaboards import runtime
from otacloud.client import Client
from otasim.fleet import Fleet
from playwright.async_api import Page, expect

from driblet.demo import cast
from tests.story.browser import PATIENCE, Eyes

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

    def here(self) -> str:
        """The path of the page that the owner looks at."""
        return urlsplit(self.owner.url).path


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
        await asyncio.wait_for(process.wait(), PATIENCE / 1000)


def environment() -> dict[str, str]:
    roots = [str(Path(path).resolve()) for path in sys.path if path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(roots)}


async def new_product(stage: Stage, name: str) -> None:
    page = stage.owner
    await page.goto("/new-product")
    await page.get_by_label("Name").fill(name)
    await page.get_by_role("button", name="Make the product").click()
    await expect(page.get_by_role("heading", name="Your first update")).to_be_visible()


async def upload(stage: Stage, pk: str, version: str, image: bytes, notes: str) -> None:
    """By the form; then its packages are made while the page looks on."""
    page = stage.owner
    file = stage.folder / f"{pk}-{version}.bin"
    file.write_bytes(image)
    await page.goto(stage.at(pk, "/releases"))
    await page.get_by_text("Upload a release").click()
    await page.get_by_label("App image").set_input_files(file)
    await page.get_by_label("Version", exact=True).fill(version)
    await page.get_by_label("What is new").fill(notes)
    await page.get_by_role("button", name="Upload").click()
    await expect(page.locator("#release-head .badge")).to_have_text("ready")
    await expect(page.locator("#release-jobs .badge.queued, #release-jobs .badge.running")).to_have_count(0)


@dataclass(frozen=True)
class Part:
    """One board of the cast: what it runs at first, and where it finds the service."""

    name: str
    play: cast.Play
    server: str = ""  # the service itself


@asynccontextmanager
async def boards(stage: Stage, pk: str, parts: Sequence[Part]) -> AsyncIterator[Fleet]:
    """Real MicroPython boards; a board's task that died of a fault of ours is an error at the end."""
    product = await asyncio.to_thread(stage.client.product_secret, pk)
    found, folder = runtime.find(), stage.folder / pk
    folder.mkdir(exist_ok=True)
    made = []
    for part in parts:
        settings: dict[str, str | bytes | int] = {
            "pk": pk,
            "ps": bytes.fromhex(product.ps),
            "server": part.server or stage.client.server,
            "keys": bytes.fromhex(product.public_key),
            "board": part.play.kind.name,
        }
        made.append(cast.board(part.play, folder, found, part.name, settings, on_event=lambda _: None))
    async with Fleet(made) as fleet:
        yield fleet
        fleet.check()


async def seen_on(stage: Stage, pk: str, parts: Sequence[Part]) -> None:
    """The page of devices shows them all by itself, each with what it runs."""
    await stage.owner.goto(stage.at(pk, "/devices"))
    for part in parts:
        row = stage.owner.locator("tr", has_text=part.name)
        await expect(row).to_contain_text(part.play.old_version)


SAMPLER = """
window.seen = {counts: [], steps: []};
setInterval(() => {
  const counts = document.querySelector("#rollout-now .legend")?.innerText;
  if (counts && seen.counts.at(-1) !== counts) seen.counts.push(counts);
  for (const bar of document.querySelectorAll("#rollout-boards progress"))
    if (bar.value && seen.steps.at(-1) !== bar.value) seen.steps.push(bar.value);
}, 20);
"""


async def ask_for(stage: Stage, version: str, **fields: str) -> None:
    """The owner asks for a rollout, by the page of its release; the page of the rollout is then open."""
    page = stage.owner
    await page.get_by_role("link", name="Roll out").click()
    await expect(page.get_by_label("Release")).to_have_value(version)
    await page.get_by_text("More", exact=True).click()
    for label, value in {"asked again": "2", **fields}.items():
        await page.get_by_label(label).fill(value)
    await page.get_by_role("button", name="Ask for approval").click()
    await expect(page.locator("#rollout-now")).to_contain_text("somebody else must agree")
    await expect(page.locator("#live")).to_have_text("Live")
    stage.rollouts[version] = stage.here()
    await page.evaluate(SAMPLER)


async def approve(stage: Stage) -> None:
    """Ada agrees; the owner's page, left open, shows that it begins."""
    await stage.ada.goto(stage.at("thermostat", "/approvals"))
    await stage.ada.get_by_role("button", name="Approve").click()
    await expect(stage.ada.locator("#approvals")).to_contain_text("No rollout waits")


async def ended(stage: Stage, state: str) -> None:
    """The rollout on the owner's page."""
    await expect(stage.owner.locator("#rollout-now .badge").first).to_have_text(state)
