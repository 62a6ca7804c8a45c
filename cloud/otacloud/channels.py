"""Where alarms go, and what they were."""

import secrets
from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy import select

from otacloud import audit, outgoing
from otacloud.auth import Manager, Operator, Viewer
from otacloud.errors import refuse
from otacloud.models import Alarm, Channel, Delivery, Product
from otacloud.products import visible
from otacloud.schemas import (
    AlarmList,
    AlarmOut,
    ChannelIn,
    ChannelList,
    ChannelOut,
    ChannelSecret,
    DeliveryOut,
)
from otacloud.services import Cloud

router = APIRouter(prefix="/api/v1", tags=["alarms"])


def _out(channel: Channel) -> ChannelOut:
    return ChannelOut(
        id=channel.id,
        kind=channel.kind,
        target=channel.target,
        kinds=channel.kinds,
        disabled=channel.disabled_at is not None,
    )


@router.get("/channels")
async def list_channels(cloud: Cloud, caller: Manager) -> ChannelList:
    """Where alarms go."""
    caller.must_be_for_all()
    async with cloud.db.read() as session:
        query = select(Channel).where(Channel.tenant_id == caller.tenant_id).order_by(Channel.id)
        return ChannelList(channels=[_out(channel) for channel in await session.scalars(query)])


@router.post("/channels", status_code=201)
async def create_channel(cloud: Cloud, caller: Manager, given: ChannelIn) -> ChannelSecret:
    """A webhook gets each alarm as JSON, signed with the secret that is shown this once."""
    caller.must_be_for_all()
    if given.kind == "webhook":
        outgoing.check_url(given.target, cloud.settings.outgoing_hosts)
    elif "@" not in given.target or any(c in given.target for c in " \r\n,;<>"):
        raise refuse("REQUEST_INVALID", "target: not one e-mail address")
    secret = secrets.token_bytes(32)
    async with cloud.db.write() as session:
        channel = Channel(
            tenant_id=caller.tenant_id,
            kind=given.kind,
            target=given.target,
            kinds=sorted(set(given.kinds)),
            secret_sealed=cloud.vault.seal(secret, "webhook"),
            created_at=cloud.now(),
        )
        session.add(channel)
        await session.flush()
        said = {"kind": given.kind, "kinds": channel.kinds}
        await audit.record(session, caller, "channel.create", given.target[:256], cloud.now(), **said)
        shown = _out(channel)
    return ChannelSecret(secret=secret.hex() if given.kind == "webhook" else None, **shown.model_dump())


@router.delete("/channels/{channel_id}", status_code=204)
async def disable_channel(cloud: Cloud, caller: Manager, channel_id: int) -> None:
    """Sends nothing there any more; what was sent stays in the log."""
    caller.must_be_for_all()
    async with cloud.db.write() as session:
        channel = await session.get(Channel, channel_id)
        if channel is None or channel.tenant_id != caller.tenant_id:
            raise refuse("NOT_FOUND", f"channel {channel_id}")
        channel.disabled_at = channel.disabled_at or cloud.now()
        await audit.record(session, caller, "channel.disable", channel.target[:256], cloud.now())


@router.get("/alarms")
async def list_alarms(
    cloud: Cloud,
    caller: Viewer,
    open_only: Annotated[bool, Query(description="Only those that nobody has acknowledged.")] = False,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> AlarmList:
    """Newest first, with how far their deliveries are."""
    async with cloud.db.read() as session:
        products = {product.id: product.pk for product in await visible(session, caller)}
        query = select(Alarm).where(Alarm.tenant_id == caller.tenant_id, Alarm.product_id.in_(products))
        if open_only:
            query = query.where(Alarm.acknowledged_by.is_(None))
        alarms = (await session.scalars(query.order_by(Alarm.id.desc()).limit(limit))).all()
        sent = select(Delivery, Channel.target).join(Channel, Channel.id == Delivery.channel_id)
        rows = await session.execute(sent.where(Delivery.alarm_id.in_([alarm.id for alarm in alarms])))
        deliveries: dict[int, list[DeliveryOut]] = {}
        for delivery, target in rows:
            shown = DeliveryOut(
                target=target, state=delivery.state, attempts=delivery.attempts, problem=delivery.problem
            )
            deliveries.setdefault(delivery.alarm_id, []).append(shown)
    return AlarmList(alarms=[_alarm(a, products[a.product_id], deliveries.get(a.id, [])) for a in alarms])


def _alarm(alarm: Alarm, pk: str, deliveries: list[DeliveryOut]) -> AlarmOut:
    same = ("id", "kind", "object", "text", "data", "created_at", "acknowledged_by")
    return AlarmOut(product=pk, deliveries=deliveries, **{name: getattr(alarm, name) for name in same})


@router.post("/alarms/{alarm_id}/acknowledge", status_code=204)
async def acknowledge_alarm(cloud: Cloud, caller: Operator, alarm_id: int) -> None:
    """Says that somebody looks after it."""
    async with cloud.db.write() as session:
        alarm = await session.get(Alarm, alarm_id)
        product = await session.get(Product, alarm.product_id) if alarm else None
        if alarm is None or product is None or alarm.tenant_id != caller.tenant_id:
            raise refuse("NOT_FOUND", f"alarm {alarm_id}")
        if caller.product_id not in (None, alarm.product_id):
            raise refuse("NOT_FOUND", f"alarm {alarm_id}")
        alarm.acknowledged_by = alarm.acknowledged_by or caller.title
        await audit.record(session, caller, "alarm.acknowledge", f"{product.pk}/{alarm_id}", cloud.now())
