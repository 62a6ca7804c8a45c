"""The whole story in a real browser: from signing in to a fleet that was taken back.

The service is a real process; the boards are real MicroPython over flash files, as the demo starts them.
Every wait is for a state of a page.
"""

import asyncio
import json
import os
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from otaboards import linux_host, runtime
from otacloud.client import Client
from otasim.link import Link
from playwright.async_api import Browser, expect

from driblet.demo import cast, service
from tests.story.browser import DESKTOP, Eyes, new_context, running
from tests.story.stage import (
    PASSWORD,
    Part,
    Stage,
    approve,
    ask_for,
    boards,
    ended,
    new_product,
    seen_on,
    typed,
    upload,
)

pytestmark = pytest.mark.story

AT = "/products/thermostat"
FAST, SLOW = 24_000, 1_500  # bytes per second over the link of the board far away
THEN_SLOW = 60_000  # bytes: a third of an image


async def test_the_whole_story(tmp_path: Path) -> None:
    async with running() as browser, service.running(tmp_path / "cloud") as (client, token):
        stage = await sign_in(browser, client, token, tmp_path)
        steps: list[tuple[str, Callable[[Stage], Awaitable[None]]]] = [
            ("the guide ends with a confirmed board", guide),
            ("a team of two", team),
            ("two releases, three boards, a delta, a bad release, the way back", main_story),
            ("every page", every_page),
            ("firmware of other people", real_images),
        ]
        for name, step in steps:
            began = time.monotonic()
            await step(stage)
            stage.times[name] = round(time.monotonic() - began, 1)
        print(json.dumps(stage.times, indent=1))
        assert stage.eyes.wrong == []
        stage.eyes.album.close()
        print(f"pictures: {len(stage.eyes.album.new)} pages, written anew: {stage.eyes.album.written}")


async def sign_in(browser: Browser, client: Client, token: str, folder: Path) -> Stage:
    context = await new_context(browser, client.server, viewport=DESKTOP)
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
    ada = await (await new_context(browser, client.server, viewport=DESKTOP)).new_page()
    return Stage(client, folder, page, ada, eyes)


async def guide(stage: Stage) -> None:
    """Every step on the page; the board is started by the command that the page shows."""
    page = stage.owner
    await page.get_by_label("Name").fill("Lamp")
    await page.get_by_role("button", name="Make the product").click()
    await stage.eyes.look("guide", stage.here())
    await page.get_by_role("button", name="Use the sample release").click()
    await expect(page.locator("#step-release .badge")).to_have_text("done")
    await page.get_by_role("button", name="Start a simulated board").click()
    command = await page.get_by_label("Command").inner_text()
    async with typed(command, stage.folder):
        await expect(page.locator("#step-board")).to_contain_text("board-1 is here")
        await page.get_by_role("button", name="Roll 1.0.0 out").click()
        await expect(page.locator("#step-done .badge")).to_have_text("confirmed")
        await stage.eyes.look("guide-confirmed", stage.here())


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
    good, bad, factory = await asyncio.to_thread(plays, stage.folder)
    await new_product(stage, "Thermostat")
    await upload(stage, "thermostat", good.old_version, good.old, "The first one.")
    async with AsyncExitStack() as stack:
        port = urlsplit(stage.client.server).port
        link = await stack.enter_async_context(Link("127.0.0.1", port or 0))
        far = f"http://127.0.0.1:{link.port}"
        parts = [Part("north", good), Part("east", good), Part("west", factory, far)]
        await stack.enter_async_context(boards(stage, "thermostat", parts))
        await seen_on(stage, "thermostat", parts)
        await stage.eyes.look("devices-new", f"{AT}/devices")
        await stricter(stage)
        await a_stranger(stage, good)
        await good_release(stage, good, link)
        await bad_release(stage, bad)
        await go_back(stage, good)


def plays(folder: Path) -> tuple[cast.Play, cast.Play, cast.Play]:
    """The demo's releases: 1.0.0 and 1.1.0; a 1.1.1 that fails its self-test; and what the factory wrote."""
    good = cast.own_play(folder / "good", "")
    blink = linux_host.firmware_folder() / "examples" / "blink"
    image = linux_host.build_image(blink, version="0.9.0", out=folder / "0.9.0.bin").read_bytes()
    bad = cast.own_play(folder / "bad", "self-test")
    return good, bad, replace(good, old=image, old_version="0.9.0")


async def stricter(stage: Stage) -> None:
    """Somebody else must agree to a rollout; unknown devices wait; alarms are told."""
    page = stage.owner
    await page.goto(stage.at("thermostat", "/settings"))
    await page.get_by_label("A rollout starts").select_option("1")
    await page.get_by_label("A device with the product secret").select_option("approval")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_label("A rollout starts")).to_have_value("1")


async def a_stranger(stage: Stage, good: cast.Play) -> None:
    """A board that nobody announced waits, and is not let in."""
    async with boards(stage, "thermostat", [Part("attic", good)]):
        await stage.ada.goto(stage.at("thermostat", "/approvals"))
        await expect(stage.ada.locator("#approvals")).to_contain_text("attic")
    await stage.eyes.look("approvals", f"{AT}/approvals")
    await stage.ada.get_by_role("button", name="Refuse").click()
    await expect(stage.ada.locator("#approvals")).to_contain_text("No device waits")


async def good_release(stage: Stage, good: cast.Play, link: Link) -> None:
    """One board first, by a delta; then the others: the one far away takes its time over a full image."""
    await upload(stage, "thermostat", good.new_version, good.new, "Blinks more evenly.")
    await expect(stage.owner.locator("#release-jobs")).to_contain_text("Served: address-aware")
    link.up = False
    await ask_for(stage, good.new_version)
    await stage.eyes.look("rollout-waiting", stage.here())
    await approve(stage)
    await expect(stage.owner.locator("#rollout-now")).to_contain_text("2 confirmed")
    link.rate, link.up = FAST, True
    await watch_bars(stage, link)


async def watch_bars(stage: Stage, link: Link) -> None:
    """Nobody reloads the page: what it shows of the boards moves by itself, to the end."""
    page = stage.owner
    begun = link.down_bytes
    while link.down_bytes < begun + THEN_SLOW:  # counted here: on a loaded machine the page says so late
        await asyncio.sleep(0.02)
    link.rate = SLOW
    await expect(page.locator("#rollout-boards progress")).to_have_attribute("value", re.compile("^[2-9].$"))
    await stage.eyes.look("rollout-running", stage.here())
    await stage.eyes.look("overview-running", AT)
    await stage.eyes.look("device-updating", f"{AT}/devices/west")
    link.rate = None
    await ended(stage, "done")
    await expect(page.locator("#rollout-now")).to_contain_text("3 confirmed")
    await expect(page.locator("#rollout-now .pairs")).to_contain_text("Saved")
    seen = await page.evaluate("window.seen")  # gone with a reload
    assert len(seen["counts"]) >= 3, seen
    assert len(set(seen["steps"])) >= 2, seen


async def bad_release(stage: Stage, bad: cast.Play) -> None:
    """It fails its self-test on the first board, which goes back; no other board is offered it."""
    await upload(stage, "thermostat", bad.new_version, bad.new, "Cannot read its sensor.")
    await ask_for(stage, bad.new_version)
    await approve(stage)
    await ended(stage, "stopped")
    await expect(stage.owner.locator("#rollout-now")).to_contain_text("Why it stopped")
    await expect(stage.owner.locator("#rollout-boards")).to_contain_text("SELF_TEST_FAILED")
    number = int(stage.rollouts[bad.new_version].rsplit("/", 1)[-1])
    unlucky = (await asyncio.to_thread(stage.client.rollout, "thermostat", number)).failures[0].dn
    await stage.ada.goto(stage.at("thermostat", f"/devices/{unlucky}"))
    await expect(stage.ada.locator("#device-log")).to_contain_text("Log of the last failure")
    await stage.eyes.look("rollout-stopped", stage.here())
    await stage.eyes.look("device", f"{AT}/devices/{unlucky}")
    await stage.eyes.look("overview-stopped", AT)
    await stage.eyes.look("alarms", f"{AT}/alarms")


async def go_back(stage: Stage, good: cast.Play) -> None:
    """To 1.0.0: released once more with a new number; every board ends on that image."""
    page = stage.owner
    await page.get_by_label("To", exact=True).select_option(good.old_version)
    await page.get_by_label("one board first").uncheck()
    await page.get_by_role("button", name="Revert the fleet").click()
    await expect(page.locator("h1")).to_contain_text("1.0.0-again")
    await expect(page.locator("#live")).to_have_text("Live")
    await approve(stage)
    await ended(stage, "done")
    devices = (await asyncio.to_thread(stage.client.devices, "thermostat")).devices
    old = (await asyncio.to_thread(stage.client.release, "thermostat", "1.0.0")).image_sha256
    assert {device.image_sha256 for device in devices if device.access == "approved"} == {old}


# firmware of other people: last, so that the pages before it are the same with a corpus and without


async def real_images(stage: Stage) -> None:
    """A pair of the corpus through upload and delta to a board of its chip; without a corpus, said so."""
    corpus = os.environ.get("CORPUS_DIR")
    if not corpus:
        print("CORPUS_DIR is not set: the images are those that the project makes itself")
        return
    pair = next(p for p in json.loads(Path(corpus, "pairs.json").read_text()) if p["name"] == "s2-png")
    old, new = (next(Path(corpus).rglob(pair[name])) for name in ("old", "new"))
    play = await asyncio.to_thread(cast.given_play, old, new, stage.folder / "pair", runtime.find())
    await new_product(stage, "Gateway")
    await upload(stage, "gateway", play.old_version, play.old, "MicroPython for the ESP32-S2.")
    parts = [Part("hall", play)]
    async with boards(stage, "gateway", parts):
        await seen_on(stage, "gateway", parts)
        await upload(stage, "gateway", play.new_version, play.new, "One module mended.")
        page = stage.owner
        await page.get_by_role("link", name="Roll out").click()
        await page.get_by_role("button", name="Roll out").click()
        await ended(stage, "done")
        await expect(page.locator("#rollout-now")).to_contain_text("1 confirmed")


# every page


async def every_page(stage: Stage) -> None:
    page = stage.owner
    await page.goto(stage.at("thermostat", "/groups"))
    await page.get_by_label("Name").fill("back")
    await page.get_by_label("Rule").fill("seq >= 4 and board = LINUX_HOST")
    await page.get_by_role("button", name="Make the group").click()
    await expect(page.locator("#groups")).to_contain_text("back")
    pages = {
        **{"overview": AT, "devices": f"{AT}/devices", "devices-none": f"{AT}/devices?q=cellar"},
        **{"releases": f"{AT}/releases", "release": f"{AT}/releases/1.1.0", "rollouts": f"{AT}/rollouts"},
        **{"rollout": stage.rollouts["1.1.0"], "new-rollout": f"{AT}/rollouts/new", "groups": f"{AT}/groups"},
        **{"settings": f"{AT}/settings", "team": "/team", "audit": "/audit"},
        **{"not-here": f"{AT}/rollouts/999"},
    }
    for name, path in pages.items():
        await stage.eyes.look(name, path)
    await by_keyboard(stage)
    await without_javascript(stage, pages)
    for look in stage.eyes.pages.values():
        await look.context.clear_cookies()
    await stage.eyes.look("sign-in", "/sign-in")


async def by_keyboard(stage: Stage) -> None:
    """The first Tab offers to skip the frame; a menu opens with Enter and closes with Escape."""
    page = stage.owner
    await page.goto(stage.at("thermostat", "/devices"))
    await page.keyboard.press("Tab")
    await expect(page.locator(":focus")).to_have_text("Skip to content")
    menu = page.locator("details.account")
    await menu.locator("summary").focus()
    await page.keyboard.press("Enter")
    await expect(menu).to_have_attribute("open", "")
    await page.keyboard.press("Escape")
    await expect(menu).not_to_have_attribute("open", "")


async def without_javascript(stage: Stage, pages: dict[str, str]) -> None:
    """Every page says what it has to say, and search works."""
    context = stage.owner.context
    assert context.browser is not None
    state = await context.storage_state()
    plain = await new_context(
        context.browser, stage.client.server, storage_state=state, java_script_enabled=False
    )
    page = await plain.new_page()
    for name, path in pages.items():
        await page.goto(path)
        assert await page.locator("h1").inner_text(), name
    await page.goto(f"{AT}/devices")
    await page.get_by_label("Name").first.fill("nor")
    await page.get_by_role("button", name="Search").click()
    await page.wait_for_url("**q=nor**")
    assert await page.locator("tbody tr").count() == 1
    await page.goto("/products/lamp")
    await page.get_by_role("link", name="Rollouts").click()
    await page.wait_for_url("**/products/lamp/rollouts")
