"""Groups of devices: static ones (at most one per device), and dynamic ones that a rule fills.

A device joins and leaves by events: when it says something new, when it is tagged, when a rule
changes. No poll and no rollout ever scans the fleet for members.
"""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud import audit, rules
from otacloud.auth import Operator, Viewer
from otacloud.db import Database
from otacloud.errors import refuse
from otacloud.models import Device, Group, Member, Product, Rollout
from otacloud.products import find
from otacloud.schemas import GroupChange, GroupIn, GroupList, GroupOut, Name
from otacloud.services import Cloud, Services
from otacloud.targets import admit

router = APIRouter(prefix="/api/v1/products/{pk}/groups", tags=["groups"])

CHUNK = 2000


def facts(device: Device) -> dict[str, object]:
    """What rules see of a device."""
    return {name: getattr(device, name) for name in (*rules.ATTRIBUTES, "inventory")}


async def find_group(session: AsyncSession, product: Product, name: str) -> Group:
    group = await session.scalar(select(Group).where(Group.product_id == product.id, Group.name == name))
    if group is None:
        raise refuse("NOT_FOUND", f"group {name}")
    return group


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


async def fill(db: Database, group: Group, now: Callable[[], int]) -> None:
    """Looks through the fleet for the members of a group whose rule is new, a piece at a time.

    `group.filling` stays set until the end, so that a killed service goes on with it at its next start.
    """
    after: int | None = 0
    while after is not None:
        async with db.write() as session:
            after = await _fill_piece(session, group, after, now())


async def _fill_piece(session: AsyncSession, group: Group, after: int, now: int) -> int | None:
    """The next CHUNK devices behind the id `after`; the last id of them, None at the end."""
    names = [getattr(Device, name) for name in (*rules.ATTRIBUTES, "inventory", "group_id", "id")]
    own = (Device.product_id == group.product_id, Device.id > after)
    rows = (await session.execute(select(*names).where(*own).order_by(Device.id).limit(CHUNK))).all()
    if not rows:
        await session.execute(update(Group).where(Group.id == group.id).values(filling=False))
        return None
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
    return int(ids[-1])


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


async def resume(db: Database, now: Callable[[], int]) -> None:
    """Goes on with groups whose filling was cut off."""
    async with db.read() as session:
        cut = (await session.scalars(select(Group).where(Group.filling.is_(True)))).all()
    for group in cut:
        await fill(db, group, now)


@router.get("")
async def list_groups(cloud: Cloud, caller: Viewer, pk: Name) -> GroupList:
    """The groups of a product with their sizes."""
    async with cloud.db.read() as session:
        product = await find(session, caller, pk)
        size = select(func.count()).where(Member.group_id == Group.id).scalar_subquery()
        query = select(Group, size).where(Group.product_id == product.id).order_by(Group.name)
        return GroupList(groups=[_out(group, count) for group, count in await session.execute(query)])


def _out(group: Group, count: int) -> GroupOut:
    return GroupOut(
        name=group.name,
        rule=group.rule,
        test=group.test,
        poll_interval=group.poll_interval,
        devices=count,
    )


def _check_rule(text: str | None) -> None:
    try:
        rules.parse(text or "dn = x")
    except rules.RuleWrong as problem:
        raise refuse("REQUEST_INVALID", f"rule: {problem}") from None


@router.post("", status_code=201)
async def create_group(cloud: Cloud, caller: Operator, pk: Name, given: GroupIn) -> GroupOut:
    """A static group, or with a rule a dynamic one, which is filled at once."""
    _check_rule(given.rule)
    async with cloud.db.write() as session:
        product = await find(session, caller, pk)
        taken = select(Group.id).where(Group.product_id == product.id, Group.name == given.name)
        if await session.scalar(taken) is not None:
            raise refuse("NAME_EXISTS", f"group {given.name}")
        group = Group(
            tenant_id=caller.tenant_id,
            product_id=product.id,
            created_at=cloud.now(),
            **given.model_dump(),
        )
        group.filling = group.rule is not None
        session.add(group)
        await session.flush()
        said = given.model_dump(exclude={"name"}, exclude_none=True)
        await audit.record(session, caller, "group.create", f"{pk}/{given.name}", cloud.now(), **said)
    if group.filling:
        await fill(cloud.db, group, cloud.now)
    return await _shown(cloud, group)


async def _shown(cloud: Services, group: Group) -> GroupOut:
    async with cloud.db.read() as session:
        query = select(func.count()).select_from(Member).where(Member.group_id == group.id)
        return _out(group, await session.scalar(query) or 0)


@router.patch("/{name}")
async def change_group(cloud: Cloud, caller: Operator, pk: Name, name: Name, change: GroupChange) -> GroupOut:
    """A new rule moves devices at once; what is rolled out to those that leave stays with them."""
    _check_rule(change.rule)
    async with cloud.db.write() as session:
        group = await find_group(session, await find(session, caller, pk), name)
        said = change.model_dump(exclude_unset=True)
        if "rule" in said and bool(change.rule) != bool(group.rule):
            raise refuse("STATE_CONFLICT", "a group stays static or dynamic")
        for field, value in said.items():
            setattr(group, field, value)
        group.filling = True
        await audit.record(session, caller, "group.change", f"{pk}/{name}", cloud.now(), **said)
    await fill(cloud.db, group, cloud.now)
    return await _shown(cloud, group)


@router.delete("/{name}", status_code=204)
async def delete_group(cloud: Cloud, caller: Operator, pk: Name, name: Name) -> None:
    """Takes the group away; its devices stay."""
    async with cloud.db.write() as session:
        group = await find_group(session, await find(session, caller, pk), name)
        await session.execute(delete(Member).where(Member.group_id == group.id))
        await session.execute(
            update(Device).where(Device.group_id == group.id).values(group_id=None, group_name=None)
        )
        await _let_rollouts_go(session, group)
        await session.delete(group)
        await audit.record(session, caller, "group.delete", f"{pk}/{name}", cloud.now())


async def _let_rollouts_go(session: AsyncSession, group: Group) -> None:
    """Rollouts that have ended forget the group; one that has not keeps it from being deleted."""
    mine = Rollout.group_id == group.id
    busy = select(Rollout.id).where(mine, Rollout.state.not_in(("stopped", "done")))
    if await session.scalar(busy.limit(1)) is not None:
        raise refuse("STATE_CONFLICT", "a rollout goes to this group: stop it first")
    await session.execute(update(Rollout).where(mine).values(group_id=None))
