"""Who is in which group. A device joins and leaves by events: when it says something new, when it is tagged,
when a rule changes. No poll and no rollout ever scans the fleet for members."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud import rules
from otacloud.db import Database
from otacloud.events import Event, Hub
from otacloud.models import Device, Group, Member
from otacloud.targets import admit

CHUNK = 2000


def facts(device: Device) -> dict[str, object]:
    """What rules see of a device."""
    return {name: getattr(device, name) for name in (*rules.ATTRIBUTES, "inventory")}


async def place(session: AsyncSession, device: Device, now: int, new: bool = False) -> None:
    """Puts a device that has changed into the groups that it fits now, and into their rollouts.

    `new`: it has just been approved, so what goes to all is for it too.
    """
    found = (await session.scalars(select(Group).where(Group.product_id == device.product_id))).all()
    joined = False
    if found:
        mine = set(await session.scalars(select(Member.group_id).where(Member.device_id == device.id)))
        fits = {g.id for g in found if g.rule and rules.holds(rules.parse(g.rule), facts(device))}
        fits |= {device.group_id} if device.group_id is not None else set()
        session.add_all(Member(group_id=group_id, device_id=device.id) for group_id in fits - mine)
        if mine - fits:
            gone = (Member.device_id == device.id, Member.group_id.in_(mine - fits))
            await session.execute(delete(Member).where(*gone))
        if fits != mine:
            intervals = [g.poll_interval for g in found if g.id in fits and g.poll_interval]
            device.poll_interval = min(intervals, default=None)
        joined = bool(fits - mine)
    await session.flush()
    if new or joined:
        await admit(session, [device.id], device.product_id, now)


async def place_new(session: AsyncSession, devices: Sequence[Device], product_id: int, now: int) -> None:
    """As place, for many at once: one by one only where there are groups to look at."""
    if await session.scalar(select(Group.id).where(Group.product_id == product_id).limit(1)) is not None:
        for device in devices:
            await place(session, device, now, new=True)
        return
    for start in range(0, len(devices), CHUNK):
        await admit(session, [device.id for device in devices[start : start + CHUNK]], product_id, now)


async def fill(db: Database, hub: Hub, group: Group, now: Callable[[], int]) -> None:
    """Looks through the fleet for the members of a group whose rule is new, a piece at a time.

    `group.filling` stays set until the end, so that a killed service goes on with it at its next start.
    """
    after: int | None = 0
    while after is not None:
        async with db.write() as session:
            after, changed = await _fill_piece(session, group, after, now())
        hub.publish(group.tenant_id, *(Event("device", device_id) for device_id in changed))


async def _fill_piece(
    session: AsyncSession, group: Group, after: int, now: int
) -> tuple[int | None, list[int]]:
    """The next CHUNK devices behind the id `after`: the last id of them (None: the end), and who changed."""
    names = [getattr(Device, name) for name in (*rules.ATTRIBUTES, "inventory", "group_id", "id")]
    own = (Device.product_id == group.product_id, Device.id > after)
    rows = (await session.execute(select(*names).where(*own).order_by(Device.id).limit(CHUNK))).all()
    if not rows:
        await session.execute(update(Group).where(Group.id == group.id).values(filling=False))
        return None, []
    ids = [row.id for row in rows]
    here = (Member.group_id == group.id, Member.device_id.in_(ids))
    before = set(await session.scalars(select(Member.device_id).where(*here)))
    rule = rules.parse(group.rule) if group.rule else None
    fits = {row.id for row in rows if _fits(group, rule, row)}
    if before - fits:
        gone = (Member.group_id == group.id, Member.device_id.in_(before - fits))
        await session.execute(delete(Member).where(*gone))
    if fits - before:
        joined = [{"group_id": group.id, "device_id": device_id} for device_id in fits - before]
        await session.execute(insert(Member), joined)
    await _set_intervals(session, sorted(fits | before))
    await admit(session, sorted(fits - before), group.product_id, now)
    return int(ids[-1]), sorted(fits | before)


def _fits(group: Group, rule: rules.Rule | None, row: Row[Any]) -> bool:
    if rule is None:
        return bool(row.group_id == group.id)
    return rules.holds(rule, row._asdict())


async def _set_intervals(session: AsyncSession, ids: list[int]) -> None:
    """The shortest interval that the groups of each device ask for."""
    shortest = (
        select(func.min(Group.poll_interval))
        .join(Member, Member.group_id == Group.id)
        .where(Member.device_id == Device.id)
        .scalar_subquery()
    )
    changed = update(Device).where(Device.id.in_(ids)).values(poll_interval=shortest)
    await session.execute(changed.execution_options(synchronize_session=False))


async def resume(db: Database, hub: Hub, now: Callable[[], int]) -> None:
    """Goes on with groups whose filling was cut off."""
    async with db.read() as session:
        cut = (await session.scalars(select(Group).where(Group.filling.is_(True)))).all()
    for group in cut:
        await fill(db, hub, group, now)
