"""Rollouts: a release goes to all devices of a product or to a list, first to a canary."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from sqlalchemy import func, insert, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud import audit, jobs
from otacloud.auth import Caller, Operator, Viewer
from otacloud.errors import describe, refuse
from otacloud.events import Event
from otacloud.models import Device, Package, Product, Release, Rollout, Target
from otacloud.products import find
from otacloud.releases import find_release
from otacloud.schemas import Counts, Name, RolloutDetail, RolloutIn, RolloutOut, TargetOut, TargetState
from otacloud.services import Cloud, Services

router = APIRouter(prefix="/api/v1/products/{pk}/rollouts", tags=["rollouts"])

RolloutId = Annotated[int, Path(ge=1, lt=2**53)]

FAILURES_SHOWN = 50


async def find_rollout(session: AsyncSession, product: Product, rollout_id: int) -> Rollout:
    rollout = await session.get(Rollout, rollout_id)
    if rollout is None or rollout.product_id != product.id:
        raise refuse("NOT_FOUND", f"rollout {rollout_id}")
    return rollout


async def out(session: AsyncSession, rollout: Rollout) -> RolloutOut:
    release = await session.get_one(Release, rollout.release_id)
    product = await session.get_one(Product, rollout.product_id)
    counted = select(Target.state, func.count()).where(Target.rollout_id == rollout.id).group_by(Target.state)
    counts = Counts(**{row[0]: row[1] for row in await session.execute(counted)})
    sent = (
        select(func.sum(Package.size))
        .join(Target, (Target.package_sha256 == Package.sha256) & (Package.release_id == release.id))
        .where(Target.rollout_id == rollout.id, Target.state == "confirmed")
    )
    own = ("id", "state", "why", "audience", "canary", "parallel", "stop_after_failures", "retry_after")
    fields = {name: getattr(rollout, name) for name in (*own, "created_at", "finished_at")}
    named = {name: getattr(release, name) for name in ("version", "seq", "board")}
    return RolloutOut(
        **fields,
        **named,
        product=product.pk,
        counts=counts,
        package_bytes=await session.scalar(sent) or 0,
        image_bytes=counts.confirmed * release.image_size,
    )


@router.post("", status_code=201)
async def create_rollout(cloud: Cloud, caller: Operator, pk: Name, given: RolloutIn) -> RolloutOut:
    """Starts at once. Deltas from versions that came into use since the upload are queued too."""
    async with cloud.db.write() as session:
        product = await find(session, caller, pk)
        release = await find_release(session, product, given.version, given.board)
        await _refuse_failed(session, release)
        options = given.model_dump(include={"canary", "parallel", "stop_after_failures", "retry_after"})
        rollout = Rollout(
            tenant_id=caller.tenant_id,
            product_id=product.id,
            release_id=release.id,
            audience="all" if given.devices is None else "list",
            state="running",
            created_at=cloud.now(),
            **options,
        )
        session.add(rollout)
        await session.flush()
        await _add_targets(session, rollout, release, given.devices, cloud.now())
        await jobs.add_jobs(session, release, await jobs.versions_in_use(session, release), cloud.now())
        await session.flush()
        said = {"version": release.version, "audience": rollout.audience, **options}
        await audit.record(session, caller, "rollout.create", f"{pk}/{rollout.id}", cloud.now(), **said)
        shown = await out(session, rollout)
    cloud.runner.kick()
    cloud.hub.publish(caller.tenant_id, Event("rollout", rollout.id))
    return shown


async def _refuse_failed(session: AsyncSession, release: Release) -> None:
    failed = await jobs.full_failed(session, release)
    if failed:
        raise refuse("STATE_CONFLICT", f"no package of {release.version} could be made")


async def _add_targets(
    session: AsyncSession, rollout: Rollout, release: Release, names: list[str] | None, now: int
) -> None:
    """One statement, however large the fleet."""
    columns = (
        "rollout_id",
        "device_id",
        "state",
        "code",
        "attempts",
        "active_at",
        "not_before",
        "updated_at",
    )
    values = [literal(v) for v in ("waiting", 0, 0, 0, 0, now)]
    chosen = select(literal(rollout.id), Device.id, *values).where(
        Device.product_id == release.product_id, Device.access == "approved"
    )
    if names is None:
        chosen = chosen.where(Device.board.is_(None) | (Device.board == release.board))
    else:
        await _refuse_unknown(session, release.product_id, names)
        chosen = chosen.where(Device.dn.in_(names))
    await session.execute(insert(Target).from_select(columns, chosen, include_defaults=False))


async def _refuse_unknown(session: AsyncSession, product_id: int, names: list[str]) -> None:
    query = select(Device.dn).where(
        Device.product_id == product_id, Device.access == "approved", Device.dn.in_(names)
    )
    missing = sorted(set(names) - set(await session.scalars(query)))
    if missing:
        raise refuse("NOT_FOUND", "no approved device " + ", ".join(missing))


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
    """Counts, and the boards that failed with cause and remedy."""
    async with cloud.db.read() as session:
        rollout = await find_rollout(session, await find(session, caller, pk), rollout_id)
        shown = await out(session, rollout)
        failures = await _targets(session, rollout.id, "failed", 0, FAILURES_SHOWN)
    return RolloutDetail(**shown.model_dump(), failures=failures)


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
        return await _targets(session, rollout.id, state, offset, limit)


async def _targets(
    session: AsyncSession, rollout_id: int, state: str | None, offset: int, limit: int
) -> list[TargetOut]:
    query = select(Target, Device.dn, Device.detail).join(Device, Device.id == Target.device_id)
    query = query.where(Target.rollout_id == rollout_id)
    if state:
        query = query.where(Target.state == state)
    rows = await session.execute(query.order_by(Device.dn).offset(offset).limit(limit))
    return [
        TargetOut(
            dn=dn,
            state=target.state,
            attempts=target.attempts,
            updated_at=target.updated_at,
            error=describe(target.code, detail),
        )
        for target, dn, detail in rows
    ]


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
    return await _move(cloud, caller, pk, rollout_id, ("running", "paused"), "stopped")


async def _move(
    cloud: Services,
    caller: Caller,
    pk: str,
    rollout_id: int,
    before: tuple[str, ...],
    after: str,
) -> RolloutOut:
    async with cloud.db.write() as session:
        rollout = await find_rollout(session, await find(session, caller, pk), rollout_id)
        await session.refresh(rollout, with_for_update=True)
        if rollout.state not in before:
            raise refuse("STATE_CONFLICT", f"the rollout is {rollout.state}")
        rollout.state = after
        rollout.why = f"stopped by {caller.name}" if after == "stopped" else ""
        rollout.finished_at = cloud.now() if after == "stopped" else None
        await session.flush()
        await audit.record(session, caller, f"rollout.{after}", f"{pk}/{rollout_id}", cloud.now())
        shown = await out(session, rollout)
    cloud.hub.publish(caller.tenant_id, Event("rollout", rollout_id))
    return shown
