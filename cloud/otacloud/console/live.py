"""One event stream per page: its live parts, rendered anew when something changed, sent where they differ."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud.console.pages import render
from otacloud.events import Event, Subscription
from otacloud.services import Services

GATHER = 0.25  # seconds in which changes are gathered before they are sent
SHARE = 5  # a page that takes 0.2 s to make is made anew once a second at most
LONGEST = 2.0  # seconds of such a wait
ALIVE = 15.0  # seconds after which it is looked at anyway: last-seen and soaking change without an event


def anything(_event: Event) -> bool:
    return True


@dataclass
class Part:
    """A piece of a page that changes: an element with an id of its own. `inside`: a child of the frame."""

    template: str
    values: dict[str, Any] = field(default_factory=dict)
    inside: bool = False


@dataclass
class View:
    """One look at what a page shows.

    parts: by element id. frame: the id and template of the element around the parts; it is sent whole when
    parts come or go. wants: the events after which it is worth a new look.
    """

    template: str
    values: dict[str, Any]
    parts: dict[str, Part] = field(default_factory=dict)
    frame: tuple[str, str] | None = None
    wants: Callable[[Event], bool] = anything

    def drawn(self) -> dict[str, Markup]:
        """The HTML of every part."""
        return {
            name: Markup(render(part.template, **{**self.values, **part.values}))  # noqa: S704 - of ours
            for name, part in self.parts.items()
        }


Load = Callable[[AsyncSession], Awaitable[View]]


def digest(parts: dict[str, Markup]) -> str:
    """What a page had when it was made: the stream begins with the difference, mostly nothing."""
    return hashlib.sha256("".join(parts.values()).encode()).hexdigest()[:16]


def message(html: Mapping[str, str]) -> bytes:
    """One server-sent event that puts each element in the place of the one with its id."""
    lines: list[str] = []
    for name, text in html.items():
        lines.append(f'<hx-partial hx-target="#{name}" hx-swap="outerMorph">')
        lines += [line for line in text.splitlines() if line.strip()]
        lines.append("</hx-partial>")
    return ("".join(f"data: {line}\n" for line in lines) + "\n").encode()


async def stream(
    cloud: Services, tenant_id: int, load: Load, seen: str, may_look: Callable[[], Awaitable[bool]]
) -> AsyncIterator[bytes]:
    """What changed since the page was made (`seen` is its digest), then what changes.

    It ends when the viewer `may_look` no longer.
    """
    with cloud.hub.subscribe(tenant_id) as subscription:
        yield b"retry: 2000\n\n"
        before: dict[str, Markup] | None = None
        while not subscription.closed:
            began = time.monotonic()
            view = await _look(cloud, load, may_look)
            if view is None:
                return
            now = view.drawn()
            html = _changed(view, before, now, seen)
            before = now
            yield message(html) if html else b": alive\n\n"
            await _next(subscription, view.wants, time.monotonic() - began)


_looking: set[asyncio.Task[View | None]] = set()


async def _look(cloud: Services, load: Load, may_look: Callable[[], Awaitable[bool]]) -> View | None:
    """None where the viewer may no longer look.

    In a task of its own: a viewer who leaves in the middle must not tear a database connection apart.
    """

    async def look() -> View | None:
        if not await may_look():
            return None
        async with cloud.db.read() as session:
            return await load(session)

    task = asyncio.create_task(look())
    _looking.add(task)
    task.add_done_callback(_looking.discard)
    return await asyncio.shield(task)


def _changed(
    view: View, before: dict[str, Markup] | None, now: dict[str, Markup], seen: str
) -> Mapping[str, str]:
    if before is None and digest(now) == seen:
        return {}
    if view.frame and (before is None or list(before) != list(now)):
        name, template = view.frame
        outside = {part: html for part, html in now.items() if not view.parts[part].inside}
        return {name: render(template, **view.values, parts=now), **outside}
    return {name: html for name, html in now.items() if before is None or before.get(name) != html}


async def _next(subscription: Subscription, wants: Callable[[Event], bool], took: float) -> None:
    """Until something has changed that the page wants, or it is time to look anyway."""
    deadline = time.monotonic() + ALIVE
    while not subscription.closed and (left := deadline - time.monotonic()) > 0:
        if any(map(wants, await subscription.take(left))):
            break
    if not subscription.closed:
        await asyncio.sleep(min(max(GATHER, SHARE * took), LONGEST))
