"""Debian's chromium, four ways to look at a page, and what must be true of every page."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page, Request, async_playwright

SHOTS = Path(__file__).parents[2] / "docs" / "screenshots"
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--hide-scrollbars", "--font-render-hinting=none"),
]
DESKTOP, PHONE = {"width": 1200, "height": 800}, {"width": 375, "height": 740}
LOOKS: dict[str, dict[str, Any]] = {
    "desktop-light": {"viewport": DESKTOP, "color_scheme": "light"},
    "desktop-dark": {"viewport": DESKTOP, "color_scheme": "dark"},
    "phone-light": {"viewport": PHONE, "color_scheme": "light"},
    "phone-dark": {"viewport": PHONE, "color_scheme": "dark"},
}


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
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Eyes:
    """Looks at pages as somebody who is signed in: for screenshots, and for axe."""

    server: str
    pages: dict[str, Page]
    folder: Path = SHOTS
    axe: Axe = field(default_factory=Axe)
    wrong: list[str] = field(default_factory=list)  # what was found, page by page
    seen: set[str] = field(default_factory=set)

    @classmethod
    async def of(cls, browser: Browser, server: str, context: BrowserContext) -> "Eyes":
        state = await context.storage_state()
        pages = {}
        for look, options in LOOKS.items():
            mine = await browser.new_context(
                storage_state=state, base_url=server, reduced_motion="reduce", **options
            )
            pages[look] = await mine.new_page()
        eyes = cls(server, pages)
        for look, page in pages.items():
            page.on("request", partial(eyes.asked, look))
            page.on("pageerror", partial(eyes.erred, look))
        return eyes

    def asked(self, look: str, request: Request) -> None:
        if not request.url.startswith(self.server):
            self.wrong.append(f"{look}: a request to {request.url}")

    def erred(self, look: str, error: object) -> None:
        self.wrong.append(f"{look}: {error}")

    async def look(self, name: str, path: str) -> None:
        """Four screenshots; axe in light and dark; nothing sticks out at 375 px; nothing of a third party."""
        self.seen.add(name)
        for look, page in self.pages.items():
            await page.goto(path)
            await page.wait_for_timeout(150)
            self.folder.mkdir(parents=True, exist_ok=True)
            await page.screenshot(path=self.folder / f"{name}-{look}.png", animations="disabled")
            wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
            if wide > 0:
                self.wrong.append(f"{name} {look}: {wide} px wider than the screen")
            if look in ("desktop-light", "phone-dark"):
                await self._check(f"{name} {look}", page)

    async def _check(self, name: str, page: Page) -> None:
        found = await self.axe.run(page)
        for violation in found.response["violations"]:
            nodes = [" ".join(map(str, node["target"])) for node in violation["nodes"][:3]]
            self.wrong.append(f"{name}: {violation['id']}: {violation['help']} at {'; '.join(nodes)}")
