"""The list of a hundred thousand devices, as a browser meets it."""

import time
from pathlib import Path

import pytest
from otacloud.client import Client
from otacloud.schemas import ProductIn
from playwright.async_api import Page

from driblet.demo import service
from tests.console import many
from tests.story.browser import running

pytestmark = pytest.mark.story

DEVICES = 100_000
PAINT_MS = 300
BYTES = 100 * 1024
REQUESTS = 6
LOOKS = {
    "the list": "",
    "the last page": "?offset=99950",
    "found by name": "?q=0042",
    "by state": "?state=failed",
    "by version, newest state first": "?version=1.1.0&sort=state&desc=1",
    "sorted by last seen": "?sort=seen&desc=1",
}


async def test_first_paint_bytes_and_requests(tmp_path: Path) -> None:
    async with service.running(tmp_path) as (client, token):
        client.create_product(ProductIn(pk="many", name="Many", board="LINUX_HOST"))
    many.fill(tmp_path / "cloud.sqlite", DEVICES, int(time.time()))
    async with running() as browser, service.running(tmp_path, token) as (client, _):
        context = await browser.new_context(base_url=client.server)
        page = await context.new_page()
        await page.goto("/sign-in")
        await page.get_by_label("Password").fill(token)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url("**/products/many")
        found = {
            name: await measure(page, client, f"/products/many/devices{query}")
            for name, query in LOOKS.items()
        }
        found["the overview"] = await measure(page, client, "/products/many")
    for name, (paint, size, requests) in found.items():
        print(f"{name:32} first paint {paint:4.0f} ms, {size / 1024:5.1f} KiB, {requests} requests")
    for name, (paint, size, requests) in found.items():
        assert paint < PAINT_MS, name
        assert size <= BYTES, name
        assert requests <= REQUESTS, name


async def measure(page: Page, client: Client, path: str) -> tuple[float, int, int]:
    """First contentful paint (ms, the best of three), bytes and requests up to then with an empty cache."""
    paints = []
    session = await page.context.new_cdp_session(page)
    for _attempt in range(3):
        await session.send("Network.clearBrowserCache")
        await page.goto(path)
        await page.wait_for_timeout(400)
        entry = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
        paints.append(float(await page.evaluate(entry)))
    sizes = await page.evaluate(
        "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
        ".map(e => [e.name, e.transferSize])"
    )
    await session.detach()
    return min(paints), sum(size for _name, size in sizes), len(sizes)
