"""Each device's place in a rollout: joined by event, offered behind the gate, settled by what it reports."""

from sqlalchemy import exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud.models import Device, Release, Rollout, Target
from otacloud.offers import Gate

OPEN = ("waiting", "offered", "deferred")  # states that may still lead to an offer

Place = tuple[Target, Rollout, Release]


async def admit(session: AsyncSession, device: Device, now: int) -> None:
    """A device that has just been approved joins what is rolled out to all of its product."""
    if device.access != "approved":
        return
    joined = exists().where(Target.rollout_id == Rollout.id, Target.device_id == device.id)
    query = select(Rollout.id).where(
        Rollout.product_id == device.product_id,
        Rollout.audience == "all",
        Rollout.state.in_(("running", "paused")),
        ~joined,
    )
    for rollout_id in (await session.scalars(query)).all():
        session.add(Target(rollout_id=rollout_id, device_id=device.id, state="waiting", updated_at=now))


async def open_place(session: AsyncSession, device_id: int) -> Place | None:
    """The device's place in the running rollout of the newest release; one indexed query."""
    query = (
        select(Target, Rollout, Release)
        .join(Rollout, Rollout.id == Target.rollout_id)
        .join(Release, Release.id == Rollout.release_id)
        .where(Target.device_id == device_id, Target.state.in_(OPEN), Rollout.state == "running")
        .order_by(Release.seq.desc())
        .limit(1)
    )
    row = (await session.execute(query)).first()
    return None if row is None else (row[0], row[1], row[2])


async def gate(session: AsyncSession, rollout: Rollout, now: int, offer_timeout: int) -> Gate:
    """Counts no further than the decision needs: never the whole fleet."""
    here = Target.rollout_id == rollout.id
    confirmed = select(Target.device_id).where(here, Target.state == "confirmed").limit(rollout.canary)
    alive = Target.active_at > now - offer_timeout
    most = max(rollout.parallel, rollout.canary)
    in_flight = select(Target.device_id).where(here, Target.state == "offered", alive).limit(most)
    return Gate(
        canary=rollout.canary,
        parallel=rollout.parallel,
        confirmed=await _count(session, confirmed.subquery()),
        in_flight=await _count(session, in_flight.subquery()),
    )


async def _count(session: AsyncSession, rows: object) -> int:
    return await session.scalar(select(func.count()).select_from(rows)) or 0  # type: ignore[arg-type]


async def claim(
    session: AsyncSession, place: Place, package_sha256: str, now: int, offer_timeout: int
) -> bool:
    """Takes the place in flight, unless another board was faster. In a write session."""
    target, rollout, _release = place
    locked = await session.get(Rollout, rollout.id, with_for_update=True)
    current = await session.get(Target, (target.rollout_id, target.device_id))
    if locked is None or locked.state != "running" or current is None or current.state not in OPEN:
        return False
    if not (await gate(session, locked, now, offer_timeout)).is_open():
        return False
    current.state = "offered"
    current.attempts += 1
    current.package_sha256 = package_sha256
    current.active_at = current.updated_at = now
    return True


async def settle(
    session: AsyncSession, rollout_id: int, device: Device, state: str, code: int, words: str, now: int
) -> None:
    """Writes how the device fared, and ends or stops the rollout where that follows.

    A place that is confirmed or failed stays so; `state` deferred frees it until the retry time.
    """
    rollout = await session.get(Rollout, rollout_id, with_for_update=True)
    target = await session.get(Target, (rollout_id, device.id))
    if rollout is None or target is None or target.state not in OPEN:
        return
    target.state = state
    target.code = code
    target.updated_at = now
    if state == "deferred":
        target.not_before = now + rollout.retry_after
    await session.flush()
    if rollout.state in ("running", "paused"):
        await _stop_or_end(session, rollout, f"{device.dn}: {words}" if state == "failed" else "", now)


async def _stop_or_end(session: AsyncSession, rollout: Rollout, failure: str, now: int) -> None:
    """After a failure: enough of them stop the rollout. After the last place: it is done."""
    here = Target.rollout_id == rollout.id
    limit = rollout.stop_after_failures
    if failure and limit:
        failed = select(Target.device_id).where(here, Target.state == "failed").limit(limit)
        if await _count(session, failed.subquery()) >= limit:
            _finish(rollout, "stopped", failure, now)
            return
    if await session.scalar(select(Target.device_id).where(here, Target.state.in_(OPEN)).limit(1)) is None:
        _finish(rollout, "done", "", now)


def _finish(rollout: Rollout, state: str, why: str, now: int) -> None:
    rollout.state = state
    rollout.why = why[:256]
    rollout.finished_at = now
