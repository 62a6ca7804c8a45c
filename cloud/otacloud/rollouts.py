"""Rollouts: a release goes to all devices of a product, to a group or to a list, in phases."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from sqlalchemy import ColumnElement, func, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud import audit, jobs, targets
from otacloud.auth import Caller, Manager, Operator, Viewer
from otacloud.db import LOCK
from otacloud.errors import describe, refuse
from otacloud.events import Event
from otacloud.groups import find_group
from otacloud.models import Device, Group, Member, Package, Product, Release, Rollout, Target
from otacloud.products import find
from otacloud.releases import find_release
from otacloud.schemas import (
    Counts,
    Name,
    RolloutDetail,
    RolloutIn,
    RolloutOut,
    TargetOut,
    TargetState,
)
from otacloud.services import Cloud, Services

router = APIRouter(prefix="/api/v1/products/{pk}/rollouts", tags=["rollouts"])

RolloutId = Annotated[int, Path(ge=1, lt=2**53)]

FAILURES_SHOWN = 50


async def find_rollout(
    session: AsyncSession, product: Product, rollout_id: int, lock: bool = False
) -> Rollout:
    """The product's rollout; NOT_FOUND. `lock`: nobody else changes it until the end of the session."""
    rollout = await session.get(Rollout, rollout_id, with_for_update=LOCK if lock else None)
    if rollout is None or rollout.product_id != product.id:
        raise refuse("NOT_FOUND", f"rollout {rollout_id}")
    return rollout


async def out(session: AsyncSession, rollout: Rollout) -> RolloutOut:
    release = await session.get_one(Release, rollout.release_id)
    product = await session.get_one(Product, rollout.product_id)
    group = await session.get(Group, rollout.group_id) if rollout.group_id else None
    counted = select(Target.state, func.count()).where(Target.rollout_id == rollout.id).group_by(Target.state)
    counts = Counts(**{row[0]: row[1] for row in await session.execute(counted)})
    sent = (
        select(func.sum(Package.size))
        .join(Target, (Target.package_sha256 == Package.sha256) & (Package.release_id == release.id))
        .where(Target.rollout_id == rollout.id, Target.state == "confirmed")
    )
    made: dict[str, Any] = {
        "product": product.pk,
        "group": group.name if group else None,
        "approvals_needed": product.approvals,
        "counts": counts,
        "package_bytes": await session.scalar(sent) or 0,
        "image_bytes": counts.confirmed * release.image_size,
        **{name: getattr(release, name) for name in ("version", "seq", "board")},
    }
    own = {name: getattr(rollout, name) for name in RolloutOut.model_fields if name not in made}
    return RolloutOut(**own, **made)


@router.post("", status_code=201)
async def create_rollout(cloud: Cloud, caller: Operator, pk: Name, given: RolloutIn) -> RolloutOut:
    """Starts at once, unless it is a draft or the product wants others to agree first."""
    async with cloud.db.write() as session:
        product = await find(session, caller, pk)
        release = await find_release(session, product, given.version, given.board)
        if await jobs.full_failed(session, release):
            raise refuse("STATE_CONFLICT", f"no package of {release.version} could be made")
        rollout = await _new(session, caller, product, release, given, cloud.now())
        await _refuse_unverified(session, product, release, rollout)
        said = {"version": release.version, "audience": rollout.audience, "phases": rollout.phases}
        await audit.record(session, caller, "rollout.create", f"{pk}/{rollout.id}", cloud.now(), **said)
        if not given.draft and not product.approvals:
            await _start(session, rollout, release, cloud.now())
        shown = await out(session, rollout)
    return _tell(cloud, caller, shown, rollout.product_id)


async def _new(
    session: AsyncSession, caller: Caller, product: Product, release: Release, given: RolloutIn, now: int
) -> Rollout:
    group = await find_group(session, product, given.group) if given.group else None
    if given.devices is not None:
        await _refuse_unknown(session, product.id, given.devices)
    _refuse_channel(release, given)
    same = ("parallel", "per_minute", "start_at", "stop_after_failures", "stop_at_percent", "retry_after")
    rollout = Rollout(
        tenant_id=caller.tenant_id,
        product_id=product.id,
        release_id=release.id,
        audience="group" if group else "all" if given.devices is None else "list",
        group_id=group.id if group else None,
        devices=given.devices or [],
        phases=[phase.model_dump() for phase in given.plan()],
        window=list(given.window or ()),
        created_by=caller.title,
        state="draft",
        created_at=now,
        **given.model_dump(include={*same, "user_applies"}),
    )
    session.add(rollout)
    await session.flush()
    return rollout


def _refuse_channel(release: Release, given: RolloutIn) -> None:
    """What is not for everybody goes to those that are named."""
    if release.channel != "stable" and given.devices is None and given.group is None:
        where = f"{release.version} is in the channel {release.channel}"
        raise refuse("STATE_CONFLICT", f"{where}: name a group or devices, or move it to stable")


async def _refuse_unknown(session: AsyncSession, product_id: int, names: list[str]) -> None:
    query = select(Device.dn).where(
        Device.product_id == product_id, Device.access == "approved", Device.dn.in_(names)
    )
    missing = sorted(set(names) - set(await session.scalars(query)))
    if missing:
        raise refuse("NOT_FOUND", "no approved device " + ", ".join(missing))


async def _refuse_unverified(
    session: AsyncSession, product: Product, release: Release, rollout: Rollout
) -> None:
    """Where the product asks for it, test devices come before everybody else."""
    if not product.verify_first or release.verified_at is not None:
        return
    if rollout.audience == "group":
        testing = (await session.get_one(Group, rollout.group_id)).test
    elif rollout.audience == "list":
        testers = (
            select(Device.dn)
            .join(Member, Member.device_id == Device.id)
            .join(Group, Group.id == Member.group_id)
            .where(Device.product_id == product.id, Device.dn.in_(rollout.devices), Group.test.is_(True))
        )
        testing = set(rollout.devices) <= set(await session.scalars(testers))
    else:
        testing = False
    if not testing:
        raise refuse("STATE_CONFLICT", f"no test device has confirmed {release.version} yet")


async def _start(session: AsyncSession, rollout: Rollout, release: Release, now: int) -> None:
    rollout.state = "running"
    rollout.started_at = now
    rollout.total = await targets.fill(session, rollout, release, now)
    await jobs.add_jobs(session, release, await jobs.versions_in_use(session, release), now)
    await session.flush()


@router.get("")
async def list_rollouts(
    cloud: Cloud, caller: Viewer, pk: Name, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> list[RolloutOut]:
    """Newest first."""
    async with cloud.db.read() as session:
        product = await find(session, caller, pk)
        query = (
            select(Rollout).where(Rollout.product_id == product.id).order_by(Rollout.id.desc()).limit(limit)
        )
        return [await out(session, rollout) for rollout in (await session.scalars(query)).all()]


@router.get("/{rollout_id}")
async def show_rollout(cloud: Cloud, caller: Viewer, pk: Name, rollout_id: RolloutId) -> RolloutDetail:
    """Counts, and the boards that failed or cannot take it yet, with cause and remedy."""
    async with cloud.db.read() as session:
        rollout = await find_rollout(session, await find(session, caller, pk), rollout_id)
        shown = await out(session, rollout)
        failures = await _targets(session, rollout.id, Target.state == "failed", 0, FAILURES_SHOWN)
        release = await session.get_one(Release, rollout.release_id)
        # (Without a bundle no board is held: a hundred thousand that wait need not be looked through.)
        held: list[TargetOut] = []
        if release.bundle_sha256:
            held = await _targets(session, rollout.id, targets.HELD, 0, FAILURES_SHOWN)
    return RolloutDetail(**shown.model_dump(), failures=failures, held=held)


@router.get("/{rollout_id}/targets")
async def list_targets(
    cloud: Cloud,
    caller: Viewer,
    pk: Name,
    rollout_id: RolloutId,
    state: Annotated[TargetState | None, Query()] = None,
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> list[TargetOut]:
    """Where each device stands in it, by name."""
    async with cloud.db.read() as session:
        rollout = await find_rollout(session, await find(session, caller, pk), rollout_id)
        return await _targets(session, rollout.id, Target.state == state if state else true(), offset, limit)


async def _targets(
    session: AsyncSession, rollout_id: int, which: ColumnElement[bool], offset: int, limit: int
) -> list[TargetOut]:
    query = select(Target, Device.dn, Device.detail).join(Device, Device.id == Target.device_id)
    query = query.where(Target.rollout_id == rollout_id, which)
    rows = await session.execute(query.order_by(Device.dn).offset(offset).limit(limit))
    return [
        TargetOut(
            dn=dn,
            state=target.state,
            attempts=target.attempts,
            updated_at=target.updated_at,
            error=describe(target.code, "" if targets.is_held(target) else detail),
        )
        for target, dn, detail in rows
    ]


@router.post("/{rollout_id}/approve")
async def approve_rollout(cloud: Cloud, caller: Manager, pk: Name, rollout_id: RolloutId) -> RolloutOut:
    """Agrees to a draft. It starts when as many as the product asks for have; its maker does not count."""
    async with cloud.db.write() as session:
        product = await find(session, caller, pk)
        rollout = await find_rollout(session, product, rollout_id, lock=True)
        if rollout.state != "draft":
            raise refuse("STATE_CONFLICT", f"the rollout is {rollout.state}")
        if caller.title in (rollout.created_by, *rollout.approved_by):
            raise refuse("NOT_ALLOWED", "somebody else must agree")
        rollout.approved_by = [*rollout.approved_by, caller.title]
        await audit.record(session, caller, "rollout.approve", f"{pk}/{rollout_id}", cloud.now())
        if len(rollout.approved_by) >= product.approvals:
            await _start(session, rollout, await session.get_one(Release, rollout.release_id), cloud.now())
        shown = await out(session, rollout)
    return _tell(cloud, caller, shown, rollout.product_id)


@router.post("/{rollout_id}/start")
async def start_rollout(cloud: Cloud, caller: Operator, pk: Name, rollout_id: RolloutId) -> RolloutOut:
    """Starts a draft that needs nobody's approval."""
    async with cloud.db.write() as session:
        product = await find(session, caller, pk)
        rollout = await find_rollout(session, product, rollout_id, lock=True)
        if rollout.state != "draft":
            raise refuse("STATE_CONFLICT", f"the rollout is {rollout.state}")
        if len(rollout.approved_by) < product.approvals:
            raise refuse("STATE_CONFLICT", f"{product.approvals} must agree, {len(rollout.approved_by)} did")
        await _start(session, rollout, await session.get_one(Release, rollout.release_id), cloud.now())
        await audit.record(session, caller, "rollout.start", f"{pk}/{rollout_id}", cloud.now())
        shown = await out(session, rollout)
    return _tell(cloud, caller, shown, rollout.product_id)


@router.post("/{rollout_id}/pause")
async def pause_rollout(cloud: Cloud, caller: Operator, pk: Name, rollout_id: RolloutId) -> RolloutOut:
    """No further offers; boards that are under way go on."""
    return await _move(cloud, caller, pk, rollout_id, ("running",), "paused")


@router.post("/{rollout_id}/resume")
async def resume_rollout(cloud: Cloud, caller: Operator, pk: Name, rollout_id: RolloutId) -> RolloutOut:
    """Goes on, also after it stopped by itself; the next failure stops it again."""
    return await _move(cloud, caller, pk, rollout_id, ("paused", "stopped"), "running")


@router.post("/{rollout_id}/stop")
async def stop_rollout(cloud: Cloud, caller: Operator, pk: Name, rollout_id: RolloutId) -> RolloutOut:
    """No further offers."""
    return await _move(cloud, caller, pk, rollout_id, ("draft", "running", "paused"), "stopped")


@router.post("/{rollout_id}/retry")
async def retry_rollout(cloud: Cloud, caller: Operator, pk: Name, rollout_id: RolloutId) -> RolloutOut:
    """Offers it to the boards that failed once more, and goes on."""
    before = ("running", "paused", "stopped", "done")
    return await _move(cloud, caller, pk, rollout_id, before, "running", retry=True)


async def _move(
    cloud: Services,
    caller: Caller,
    pk: str,
    rollout_id: int,
    before: tuple[str, ...],
    after: str,
    retry: bool = False,
) -> RolloutOut:
    async with cloud.db.write() as session:
        rollout = await find_rollout(session, await find(session, caller, pk), rollout_id, lock=True)
        if rollout.state not in before or (rollout.started_at is None and after == "running"):
            raise refuse("STATE_CONFLICT", f"the rollout is {rollout.state}")
        if retry:
            failed = (Target.rollout_id == rollout_id, Target.state == "failed")
            await session.execute(update(Target).where(*failed).values(state="waiting", code=0, not_before=0))
        rollout.state = after
        rollout.why = f"stopped by {caller.name}" if after == "stopped" else ""
        rollout.finished_at = cloud.now() if after == "stopped" else None
        await session.flush()
        act = "retry" if retry else after
        await audit.record(session, caller, f"rollout.{act}", f"{pk}/{rollout_id}", cloud.now())
        shown = await out(session, rollout)
    return _tell(cloud, caller, shown, rollout.product_id)


def _tell(cloud: Services, caller: Caller, shown: RolloutOut, product_id: int) -> RolloutOut:
    cloud.runner.kick()
    cloud.hub.publish(caller.tenant_id, Event("rollout", shown.id), Event("plan", product_id))
    return shown
