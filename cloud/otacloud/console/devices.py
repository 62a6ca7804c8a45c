"""The devices of a product: found among any number, and each with its story."""

from dataclasses import asdict
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import UploadFile

from otacloud import devices as api
from otacloud.console import actions, forms, queries, story
from otacloud.console.live import Part, View
from otacloud.console.queries import Look, Sort
from otacloud.console.shell import Here, PageRoute, to
from otacloud.errors import refuse
from otacloud.events import Event
from otacloud.models import Device
from otacloud.schemas import DeviceChange, DeviceIn, DeviceOut, Name

router = APIRouter(include_in_schema=False, route_class=PageRoute)

# What can be chosen to look at, in the words of the page.
STATES = {
    "": "any state",
    "busy": "being updated",
    "bad": "failed or went back",
    "confirmed": "confirmed",
    "idle": "idle",
    "deferred": "put off",
    "failed": "failed",
    "reverted": "went back",
    "pending": "wait for approval",
    "revoked": "revoked",
}

Text = Annotated[str, Query(max_length=64)]


def link(look: Look, **change: object) -> str:
    """The same look with something changed, as a query."""
    wanted = {**asdict(look), "offset": 0, **change}
    return "?" + urlencode({name: int(v) if v is True else v for name, v in wanted.items() if v})


@router.get("/products/{pk}/devices")
async def devices_page(
    here: Here,
    q: Text = "",
    state: Text = "",
    version: Text = "",
    group: Text = "",
    sort: Sort = "name",
    desc: bool = False,
    offset: Annotated[int, Query(ge=0, lt=2**53)] = 0,
) -> Response:
    look = Look(q, state, version, group, sort, desc, offset)

    async def load(session: AsyncSession) -> View:
        product = await here.product(session)
        found = await queries.find_devices(session, product.id, look)
        ids = {device.id for device in found.rows}
        values = {
            "product": product,
            "look": look,
            "link": lambda **change: link(look, **change),
            "total": found.total,
            "shown": len(found.rows),
            "page": queries.PAGE,
            "states": STATES,
            "versions": await queries.versions(session, product.id),
            "groups": await queries.group_names(session, product.id),
        }
        parts = {f"device-{d.id}": _row(here, d) for d in found.rows}

        def wants(event: Event) -> bool:
            return event.kind == "device" and (event.id in ids or len(ids) < queries.PAGE)

        return await here.view(
            session, "devices", "devices.html", values, parts, frame=("devices", "_devices.html"), wants=wants
        )

    return await here.show(load)


def _row(here: Here, device: Device) -> Part:
    shown = DeviceOut(**api.out(here.cloud, device))
    return Part("_device_row.html", {"id": device.id, "d": shown}, inside=True)


@router.get("/products/{pk}/devices/{dn}")
async def device_page(here: Here, dn: Name) -> Response:
    async def load(session: AsyncSession) -> View:
        product = await here.product(session)
        device = await api.find_device(session, product, dn)
        shown = await api.show_device(here.cloud, here.viewer, product.pk, dn)
        attempts = story.attempts(shown.reports)
        values = {
            "product": product,
            "d": shown,
            "group_names": await queries.group_names(session, product.id, static=True),
            "attempts": attempts,
            "told": _told(here, product.pk, device),
            "slots": await _slots(session, device, shown.board, attempts),
        }
        names = ("device_now", "device_slots", "device_timeline", "device_log")
        parts = {name.replace("_", "-"): Part(f"_{name}.html") for name in names}
        wanted = Event("device", device.id)
        return await here.view(
            session, "devices", "device.html", values, parts, wants=lambda event: event == wanted
        )

    return await here.show(load)


def _told(here: Here, pk: str, device: Device) -> str:
    """How it hears of an update."""
    outlet = here.cloud.notifier.outlet
    listens = outlet.connected(pk, device.dn) if outlet and outlet.up else False
    if listens:
        return "told by MQTT, connected"
    polls = f"polls every {device.poll_interval or here.cloud.settings.poll_interval} s"
    return polls if listens is False else f"{polls}; whether MQTT tells it, only the broker knows"


async def _slots(
    session: AsyncSession, device: Device, board: str | None, attempts: list[story.Attempt]
) -> story.Flash | None:
    running = await queries.release_of(session, device.product_id, device.image_sha256)
    base = await queries.base_version(session, device, attempts[0].rollout) if attempts else ""
    named = (base, *(tried.version for tried in attempts[:5]))
    sizes = await queries.image_sizes(session, device.product_id, named)
    return story.flash(device, board, running.image_size if running else 0, attempts, sizes, base)


# buttons


@router.post("/products/{pk}/devices")
async def add_device(
    here: Here,
    pk: Name,
    dn: Annotated[str, Form(max_length=64)],
    tags: Annotated[str, Form(max_length=512)] = "",
) -> Response:
    given = actions.filled(DeviceIn, {"dn": dn.strip(), "tags": forms.words(tags)})
    made = await actions.act(api.create_device, here.cloud, here.viewer, pk, given)
    return await here.once(
        title=f"{made.dn} is made",
        words="This is its device secret. Put it into the board; the service keeps it sealed.",
        secret=made.ds,
        back=f"/products/{pk}/devices/{made.dn}",
    )


@router.post("/products/{pk}/devices/import")
async def import_devices(here: Here, request: Request, pk: Name) -> Response:
    here.needs("device.import")
    async with request.form(max_files=1, max_fields=4) as form:
        given = form.get("list")
        if not isinstance(given, UploadFile):
            raise refuse("REQUEST_INVALID", "list: no file")
        text = await given.read()
    await api.import_list(here.cloud, here.viewer, pk, text)
    return to("products", pk, "devices")


@router.post("/products/{pk}/devices/{dn}/approve")
async def approve(here: Here, pk: Name, dn: Name, back: Annotated[str, Form()] = "device") -> Response:
    await actions.act(api.approve_device, here.cloud, here.viewer, pk, dn)
    return to("products", pk, "approvals") if back == "approvals" else to("products", pk, "devices", dn)


@router.post("/products/{pk}/devices/{dn}/revoke")
async def revoke(here: Here, pk: Name, dn: Name, back: Annotated[str, Form()] = "device") -> Response:
    await actions.act(api.revoke_device, here.cloud, here.viewer, pk, dn)
    return to("products", pk, "approvals") if back == "approvals" else to("products", pk, "devices", dn)


@router.post("/products/{pk}/devices/{dn}/reissue")
async def reissue(here: Here, pk: Name, dn: Name) -> Response:
    made = await actions.act(api.reissue_device, here.cloud, here.viewer, pk, dn)
    return await here.once(
        title=f"A new secret for {dn}",
        words="The old one no longer holds. Put this one into the board.",
        secret=made.ds,
        back=f"/products/{pk}/devices/{dn}",
    )


@router.post("/products/{pk}/devices/{dn}/change")
async def change(
    here: Here,
    pk: Name,
    dn: Name,
    group: Annotated[str, Form(max_length=64)] = "",
    tags: Annotated[str, Form(max_length=1200)] = "",
) -> Response:
    given = actions.filled(DeviceChange, {"group": group or None, "tags": forms.words(tags)})
    await actions.act(api.change_device, here.cloud, here.viewer, pk, dn, given)
    return to("products", pk, "devices", dn)
