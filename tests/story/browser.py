"""Debian's chromium, four ways to look at a page, and what must be true of every page."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page, Request, async_playwright

from tests.story.pictures import Album

PATIENCE = 300_000  # milliseconds that a step may take on a loaded machine, with a cold compile cache
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--hide-scrollbars", "--font-render-hinting=none"),
]
DESKTOP, PHONE = {"width": 1200, "height": 800}, {"width": 375, "height": 740}
TALLEST = 2000  # pixels of a picture
LOOKS: dict[str, dict[str, Any]] = {
    "desktop-light": {"viewport": DESKTOP, "color_scheme": "light"},
    "desktop-dark": {"viewport": DESKTOP, "color_scheme": "dark"},
    "phone-light": {"viewport": PHONE, "color_scheme": "light"},
    "phone-dark": {"viewport": PHONE, "color_scheme": "dark"},
}
CHECKED = ("desktop-light", "phone-dark")  # by axe: both colours, both layouts

# A page is whole once its stream is open; a page without one at once.
WHOLE = "#live.on, body:not(:has(#live[hx-sse\\:connect]))"


def chromium() -> str:
    """The browser's path; the test is skipped, and says so, where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no chromium here: apt-get install chromium")
    return found


@asynccontextmanager
async def running() -> AsyncIterator[Browser]:
    path = chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS, timeout=PATIENCE)
        try:
            yield browser
        finally:
            await browser.close()


async def new_context(browser: Browser, server: str, **options: Any) -> BrowserContext:
    """Waits as long as everything else here."""
    context = await browser.new_context(base_url=server, reduced_motion="reduce", **options)
    context.set_default_timeout(PATIENCE)
    return context


@dataclass
class Eyes:
    """Looks at pages as somebody who is signed in: for screenshots, and for axe."""

    server: str
    pages: dict[str, Page]
    album: Album = field(default_factory=Album)
    axe: Axe = field(default_factory=Axe)
    wrong: list[str] = field(default_factory=list)  # what was found, page by page

    @classmethod
    async def of(cls, browser: Browser, server: str, context: BrowserContext) -> "Eyes":
        state = await context.storage_state()
        pages = {}
        for look, options in LOOKS.items():
            mine = await new_context(browser, server, storage_state=state, **options)
            pages[look] = await mine.new_page()
        eyes = cls(server, pages)
        for look, page in pages.items():
            page.on("request", partial(eyes.asked, look))
            page.on("pageerror", partial(eyes.erred, look))
        return eyes

    def asked(self, look: str, request: Request) -> None:
        if not request.url.startswith((self.server, "about:")):
            self.wrong.append(f"{look}: a request to {request.url}")

    def erred(self, look: str, error: object) -> None:
        self.wrong.append(f"{look}: {error}")

    async def look(self, name: str, path: str) -> None:
        """Four pictures; axe in light and dark; nothing sticks out at 375 px; nothing of a third party."""
        seen = await asyncio.gather(*(self._see(name, look, path) for look in LOOKS))
        self.album.put(name, seen[0][0], {look: png for look, (_, png) in zip(LOOKS, seen, strict=True)})

    async def _see(self, name: str, look: str, path: str) -> tuple[str, bytes]:
        page = self.pages[look]
        await page.goto(path)
        await page.locator(WHOLE).first.wait_for(state="attached")
        html = await page.content()
        width, height = LOOKS[look]["viewport"].values()
        tall = await page.evaluate("document.documentElement.scrollHeight")
        clip: Any = {"x": 0, "y": 0, "width": width, "height": min(max(tall, height), TALLEST)}
        png = await page.screenshot(animations="disabled", full_page=True, clip=clip)
        wide = await page.evaluate("document.documentElement.scrollWidth") - width
        if wide > 0:
            self.wrong.append(f"{name} {look}: {wide} px wider than the screen")
        if look in CHECKED:
            await self._check(f"{name} {look}", page)
        await page.goto("about:blank")  # its stream ends: the service has enough to do
        return html, png

    async def _check(self, name: str, page: Page) -> None:
        found = await self.axe.run(page)
        for violation in found.response["violations"]:
            nodes = [" ".join(map(str, node["target"])) for node in violation["nodes"][:3]]
            self.wrong.append(f"{name}: {violation['id']}: {violation['help']} at {'; '.join(nodes)}")
