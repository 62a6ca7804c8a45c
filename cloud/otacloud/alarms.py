"""Alarms: raised in the transaction of what caused them, delivered afterwards until they arrive."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud.models import Alarm, Channel, Delivery

KINDS = ("device.reverted", "device.silent", "rollout.stopped", "job.failed")


async def sound(
    session: AsyncSession,
    tenant_id: int,
    product_id: int,
    kind: str,
    thing: str,
    text: str,
    now: int,
    **data: Any,
) -> None:
    """Writes an alarm and a delivery for every channel that wants its kind."""
    alarm = Alarm(
        tenant_id=tenant_id,
        product_id=product_id,
        kind=kind,
        object=thing[:128],
        text=text[:512],
        data=data,
        created_at=now,
    )
    session.add(alarm)
    await session.flush()
    channels = await session.scalars(
        select(Channel).where(Channel.tenant_id == tenant_id, Channel.disabled_at.is_(None))
    )
    for channel in channels:
        if kind in channel.kinds:
            session.add(
                Delivery(
                    tenant_id=tenant_id,
                    alarm_id=alarm.id,
                    channel_id=channel.id,
                    state="queued",
                    next_at=now,
                    created_at=now,
                )
            )
