"""Groups of devices: static ones (at most one per device), and dynamic ones that a rule fills."""

from fastapi import APIRouter
from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud import audit, membership, rules
from otacloud.auth import Operator, Viewer
from otacloud.errors import refuse
from otacloud.models import Device, Group, Member, Product, Rollout
from otacloud.products import find
from otacloud.schemas import GroupChange, GroupIn, GroupList, GroupOut, Name
from otacloud.services import Cloud, Services

router = APIRouter(prefix="/api/v1/products/{pk}/groups", tags=["groups"])


async def find_group(session: AsyncSession, product: Product, name: str) -> Group:
    group = await session.scalar(select(Group).where(Group.product_id == product.id, Group.name == name))
    if group is None:
        raise refuse("NOT_FOUND", f"group {name}")
    return group


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
    return await _filled(cloud, group)


async def _filled(cloud: Services, group: Group) -> GroupOut:
    """The group with its members, once they are found."""
    if group.filling:
        await membership.fill(cloud.db, cloud.hub, group, cloud.now)
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
    return await _filled(cloud, group)


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
