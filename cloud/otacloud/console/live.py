"""One event stream per page: fragments of HTML, rendered anew when what the page shows has changed."""

import asyncio
from collections.abc import AsyncIterator

from otacloud.console import views
from otacloud.console.pages import render
from otacloud.events import Event, Subscription
from otacloud.services import Services

GATHER = 0.25  # seconds in which changes are gathered before they are sent
ALIVE = 15.0  # seconds of silence after which a comment keeps proxies from closing


def message(html: str) -> bytes:
    """One server-sent event; each line is a data field of its own."""
    lines = "".join(f"data: {line}\n" for line in html.splitlines() if line.strip())
    return f"{lines}\n".encode()


async def stream(cloud: Services, tenant_id: int, look: views.Look) -> AsyncIterator[bytes]:
    """First everything, so that a page that was cut off catches up; then what changes."""
    with cloud.hub.subscribe(tenant_id) as subscription:
        yield b"retry: 2000\n\n"
        shown, html = await _everything(cloud, look)
        yield message(html)
        while not subscription.closed:
            events = await _changes(subscription)
            if not events:
                yield b": alive\n\n"
                continue
            # A page that is full has no room for a new device, and need not be made anew for each.
            if len(shown) < views.PAGE and any(e.kind == "device" and e.id not in shown for e in events):
                shown, html = await _everything(cloud, look)
            else:
                html = await _changed(cloud, look, shown, events)
            if html:
                yield message(html)


async def _changes(subscription: Subscription) -> list[Event]:
    events = await subscription.take(ALIVE)
    if events and not subscription.closed:
        await asyncio.sleep(GATHER)
        events += await subscription.take(0)
    return events


async def _everything(cloud: Services, look: views.Look) -> tuple[set[int], str]:
    async with cloud.db.read() as session:
        found = await views.device_list(cloud, session, look)
        html = render("_devices.html", devices=found)
        html += render("_rollouts.html", rollouts=await views.rollout_list(session, look.product_id))
        html += render("_releases.html", releases=await views.release_list(session, look.product_id))
    return found.ids, html


async def _changed(cloud: Services, look: views.Look, shown: set[int], events: list[Event]) -> str:
    kinds = {event.kind for event in events}
    parts = []
    async with cloud.db.read() as session:
        ids = shown & {event.id for event in events if event.kind == "device"}
        for row in await views.device_rows(cloud, session, ids):
            parts.append(render("_device.html", row=row))
        if "rollout" in kinds:
            rollouts = await views.rollout_list(session, look.product_id)
            parts.append(render("_rollouts.html", rollouts=rollouts))
        if "release" in kinds:
            releases = await views.release_list(session, look.product_id)
            parts.append(render("_releases.html", releases=releases))
    return "".join(parts)
