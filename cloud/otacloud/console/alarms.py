"""What went wrong and whom it was told to."""

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import Response
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud import channels
from otacloud.console import actions
from otacloud.console.live import Part, View
from otacloud.console.shell import Here, PageRoute, to
from otacloud.schemas import AlarmKind, AlarmOut, ChannelIn, ChannelKind, Name

router = APIRouter(include_in_schema=False, route_class=PageRoute)

WORDS = {
    "device.reverted": "A device went back",
    "device.silent": "A device is silent",
    "rollout.stopped": "A rollout stopped by itself",
    "job.failed": "A package could not be made",
}


@router.get("/products/{pk}/alarms")
async def alarms_page(here: Here) -> Response:
    async def load(session: AsyncSession) -> View:
        product = await here.product(session)
        found = await channels.list_alarms(here.cloud, here.viewer)
        mine = [alarm for alarm in found.alarms if alarm.product == product.pk]
        told = []
        if actions.allowed(here.viewer, "channel.list"):
            told = (await channels.list_channels(here.cloud, here.viewer)).channels
        values = {
            "product": product,
            "alarms": mine,
            "words": WORDS,
            "channels": [channel for channel in told if not channel.disabled],
            "secret": None,
            "links": {alarm.id: _link(alarm) for alarm in mine},
        }
        return await here.view(session, "alarms", "alarms.html", values, {"alarms": Part("_alarms.html")})

    return await here.show(load)


def _link(alarm: AlarmOut) -> str:
    """The page of what it is about."""
    kind, last = alarm.kind.split(".")[0], alarm.object.rsplit("/", 1)[-1]
    folder = {"device": "devices", "rollout": "rollouts", "job": "releases"}[kind]
    return f"/products/{alarm.product}/{folder}/{last}"


@router.post("/products/{pk}/alarms/{alarm_id}/acknowledge")
async def acknowledge(here: Here, pk: Name, alarm_id: int) -> Response:
    await actions.act(channels.acknowledge_alarm, here.cloud, here.viewer, alarm_id)
    return to("products", pk, "alarms")


@router.post("/products/{pk}/channels")
async def add_channel(
    here: Here,
    pk: Name,
    kind: Annotated[ChannelKind, Form()],
    target: Annotated[str, Form(max_length=512)],
    kinds: Annotated[list[AlarmKind], Form()] = [],  # noqa: B006 - never changed
) -> Response:
    """The secret of a webhook is shown this once."""
    await here.must_be_there()
    given = actions.filled(ChannelIn, {"kind": kind, "target": target.strip(), "kinds": kinds})
    made = await actions.act(channels.create_channel, here.cloud, here.viewer, given)
    if made.secret is None:
        return to("products", pk, "alarms")
    return await here.once(
        title="The webhook is set up",
        words="Your receiver checks the header Driblet-Signature with this secret: "
        "t=TIME,v1=HMAC-SHA256(secret, TIME.BODY).",
        secret=made.secret,
        back=f"/products/{pk}/alarms",
    )


@router.post("/products/{pk}/channels/{channel_id}/disable")
async def disable_channel(here: Here, pk: Name, channel_id: int) -> Response:
    await actions.act(channels.disable_channel, here.cloud, here.viewer, channel_id)
    return to("products", pk, "alarms")
