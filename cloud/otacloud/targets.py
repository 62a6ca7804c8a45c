"""Each device's place in a rollout: joined by event, offered behind the gate, settled by what it reports."""

from collections.abc import Sequence
from math import ceil

from sqlalchemy import BigInteger, Select, exists, func, insert, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud import phases
from otacloud.alarms import sound
from otacloud.db import LOCK
from otacloud.models import Device, Group, Member, Product, Release, Rollout, Target
from otacloud.offers import Gate

OPEN = ("waiting", "offered", "deferred")  # states that may still lead to an offer
UNDER_WAY = ("running", "paused")

Place = tuple[Target, Rollout, Release]


# who is in


async def fill(session: AsyncSession, rollout: Rollout, release: Release, now: int) -> int:
    """Gives every device of the audience its place; one statement, however large the fleet."""
    chosen = select(Device.id).where(Device.product_id == rollout.product_id, Device.access == "approved")
    if rollout.audience == "list":
        chosen = chosen.where(Device.dn.in_(rollout.devices))
    else:
        chosen = chosen.where(or_(Device.board.is_(None), Device.board == release.board))
    if rollout.audience == "group":
        chosen = chosen.join(Member, Member.device_id == Device.id).where(Member.group_id == rollout.group_id)
    await _join(session, rollout, chosen, 0, now)
    return await _count(session, select(Target.device_id).where(Target.rollout_id == rollout.id))


async def _join(session: AsyncSession, rollout: Rollout, devices: Select[int], first: int, now: int) -> None:
    """Places for `devices` that have none yet, ranked from `first` on by a hash of device and rollout."""
    ids = devices.subquery()
    mixed = (ids.c.id * literal(2654435761, BigInteger) + rollout.id * 40503) % 4294967296
    rank = func.row_number().over(order_by=(mixed, ids.c.id)) + (first - 1)
    known = exists().where(Target.rollout_id == rollout.id, Target.device_id == ids.c.id)
    columns = ("rollout_id", "device_id", "rank", "state", "code", "attempts", "offered_at", "active_at")
    zeros = [literal(0) for _ in range(4)]
    rows = select(
        literal(rollout.id), ids.c.id, rank, literal("waiting"), *zeros, literal(0), literal(now)
    ).where(~known)
    rows = rows.order_by(ids.c.id)  # as the indexes are: a quarter of the time
    await session.execute(
        insert(Target).from_select([*columns, "not_before", "updated_at"], rows, include_defaults=False)
    )


async def admit(session: AsyncSession, device_ids: Sequence[int], product_id: int, now: int) -> None:
    """Devices that were approved, or came into a group, join what is being rolled out to their like."""
    query = select(Rollout).where(
        Rollout.product_id == product_id,
        Rollout.audience.in_(("all", "group")),
        Rollout.state.in_(UNDER_WAY),
    )
    for rollout in (await session.scalars(query)).all():
        release = await session.get_one(Release, rollout.release_id)
        chosen = select(Device.id).where(Device.id.in_(device_ids), Device.access == "approved")
        chosen = chosen.where(or_(Device.board.is_(None), Device.board == release.board))
        if rollout.audience == "group":
            member = Member.group_id == rollout.group_id
            chosen = chosen.join(Member, Member.device_id == Device.id).where(member)
        await _join(session, rollout, chosen, rollout.total, now)
        own = select(Target.device_id).where(Target.rollout_id == rollout.id)
        rollout.total = await _count(session, own)


async def dismiss(session: AsyncSession, device_id: int, now: int, below_seq: int | None = None) -> None:
    """The device leaves the places that are still open for it, and the rollouts go on without it.

    All of them when it is revoked; those of releases below `below_seq` when a newer one is settled.
    """
    open_here = (Target.device_id == device_id, Target.state.in_(OPEN))
    query = select(Rollout).join(Target, Target.rollout_id == Rollout.id).where(*open_here)
    if below_seq is not None:
        query = query.join(Release, Release.id == Rollout.release_id).where(Release.seq < below_seq)
    rollouts = (
        await session.scalars(query.order_by(Rollout.id).with_for_update(of=Rollout, key_share=True))
    ).all()
    mine = Target.rollout_id.in_([rollout.id for rollout in rollouts])
    closed = update(Target).where(mine, *open_here).values(state="unneeded", updated_at=now)
    await session.execute(closed.execution_options(synchronize_session=False))
    for rollout in rollouts:
        if rollout.state in UNDER_WAY:
            await _move(session, rollout, "", now)


async def open_places(session: AsyncSession, device_id: int, rollout_id: int | None = None) -> list[Place]:
    """Its places in running rollouts, or in that one, the newest release first; one indexed query."""
    query = (
        select(Target, Rollout, Release)
        .join(Rollout, Rollout.id == Target.rollout_id)
        .join(Release, Release.id == Rollout.release_id)
        .where(Target.device_id == device_id, Target.state.in_(OPEN), Rollout.state == "running")
        .order_by(Release.seq.desc())
    )
    if rollout_id is not None:
        query = query.where(Rollout.id == rollout_id)
    return [(row[0], row[1], row[2]) for row in await session.execute(query)]


async def hold(session: AsyncSession, rollout_id: int, device_id: int, code: int, now: int) -> None:
    """The open place waits for more than its turn: `code` says for what; 0: no longer."""
    mine = (Target.rollout_id == rollout_id, Target.device_id == device_id, Target.state.in_(OPEN))
    change = update(Target).where(*mine).values(state="waiting", code=code, updated_at=now)
    await session.execute(change.execution_options(synchronize_session=False))


HELD = (Target.state == "waiting") & (Target.code != 0)  # is_held, in a query


def is_held(target: Target) -> bool:
    return target.state == "waiting" and target.code != 0


# the gate


def phase_now(rollout: Rollout, now: int) -> int:
    """The phase in force: a phase that has soaked is over, whether or not anybody has written that down."""
    planned = phases.read(rollout.phases)
    if rollout.phase < len(planned) and phases.has_soaked(planned[rollout.phase], rollout.reached_at, now):
        return rollout.phase + 1
    return rollout.phase


async def gate(session: AsyncSession, rollout: Rollout, rank: int, now: int, offer_timeout: int) -> Gate:
    """Counts no further than the decision needs: never the whole fleet."""
    here = Target.rollout_id == rollout.id
    planned, at = phases.read(rollout.phases), phase_now(rollout, now)
    phase = planned[at] if at < len(planned) else None
    quota = phase.count if phase and phase.count else None
    most = max(rollout.parallel, quota or 0)
    confirmed = select(Target.device_id).where(here, Target.state == "confirmed").limit(quota or 0)
    alive = (here, Target.state == "offered", Target.active_at > now - offer_timeout)
    last_minute = select(Target.device_id).where(here, Target.offered_at > now - 60)
    return Gate(
        rank=rank,
        limit=phase.size(rollout.total) if phase and not phase.count else None,
        quota=quota,
        confirmed=await _count(session, confirmed),
        in_flight=await _count(session, select(Target.device_id).where(*alive).limit(most)),
        parallel=rollout.parallel or None,
        last_minute=await _count(session, last_minute.limit(rollout.per_minute)),
        per_minute=rollout.per_minute or None,
    )


async def _count(session: AsyncSession, rows: Select[int]) -> int:
    if rows._limit == 0:
        return 0
    return await session.scalar(select(func.count()).select_from(rows.subquery())) or 0


def is_time(rollout: Rollout, now: int) -> bool:
    return now >= rollout.start_at and phases.in_window(rollout.window, now)


async def claim(
    session: AsyncSession, place: Place, package_sha256: str, now: int, offer_timeout: int
) -> bool:
    """Takes the place in flight, unless another board was faster. In a write session."""
    target, rollout, _release = place
    locked = await session.get(Rollout, rollout.id, with_for_update=LOCK)
    current = await session.get(Target, (target.rollout_id, target.device_id))
    if locked is None or locked.state != "running" or current is None or current.state not in OPEN:
        return False
    if not (await gate(session, locked, current.rank, now, offer_timeout)).is_open():
        return False
    if locked.phase != phase_now(locked, now):
        locked.phase, locked.reached_at = phase_now(locked, now), None
    current.state = "offered"
    current.attempts += 1
    current.package_sha256 = package_sha256
    current.offered_at = current.active_at = current.updated_at = now
    return True


# how it ends


async def settle(
    session: AsyncSession, rollout_id: int, device: Device, state: str, code: int, words: str, now: int
) -> None:
    """Writes how the device fared, and moves, ends or stops the rollout where that follows.

    A place that is confirmed or failed stays so; `state` deferred frees it until the retry time.
    """
    rollout = await session.get(Rollout, rollout_id, with_for_update=LOCK)
    target = await session.get(Target, (rollout_id, device.id))
    if rollout is None or target is None or target.state not in OPEN:
        return
    target.state = state
    target.code = code
    target.updated_at = now
    if state == "deferred":
        target.not_before = now + rollout.retry_after
    await session.flush()
    if state == "confirmed":
        await _verify(session, rollout, device, now)
    if state in ("confirmed", "unneeded"):
        release = await session.get_one(Release, rollout.release_id)
        await dismiss(session, device.id, now, below_seq=release.seq)
    if rollout.state in UNDER_WAY:
        await _move(session, rollout, f"{device.dn}: {words}" if state == "failed" else "", now)


async def _verify(session: AsyncSession, rollout: Rollout, device: Device, now: int) -> None:
    """The first test device that confirms a release verifies it."""
    testers = select(Member.group_id).join(Group, Group.id == Member.group_id)
    tester = testers.where(Member.device_id == device.id, Group.test.is_(True)).limit(1)
    if await session.scalar(tester) is not None:
        first = (Release.id == rollout.release_id, Release.verified_at.is_(None))
        await session.execute(update(Release).where(*first).values(verified_at=now))


async def _move(session: AsyncSession, rollout: Rollout, failure: str, now: int) -> None:
    """After a failure: enough of them stop the rollout. Else the next phase, or the end."""
    here = Target.rollout_id == rollout.id
    if failure:
        limits = [rollout.stop_after_failures, ceil(rollout.stop_at_percent * rollout.total / 100)]
        limit = min((each for each in limits if each), default=0)
        failed = select(Target.device_id).where(here, Target.state == "failed").limit(limit)
        if limit and await _count(session, failed) >= limit:
            _finish(rollout, "stopped", failure, now)
            await _sound_stop(session, rollout, failure, now)
            return
    if await session.scalar(select(Target.device_id).where(here, Target.state.in_(OPEN)).limit(1)) is None:
        _finish(rollout, "done", "", now)
        return
    planned = phases.read(rollout.phases)
    while rollout.phase < len(planned) and await _is_over(session, rollout, planned[rollout.phase], now):
        rollout.phase, rollout.reached_at = rollout.phase + 1, None


async def _is_over(session: AsyncSession, rollout: Rollout, phase: phases.Phase, now: int) -> bool:
    if rollout.reached_at is None:
        here = Target.rollout_id == rollout.id
        good: tuple[str, ...] = ("confirmed",)
        if not phase.count:
            here = here & (Target.rank < phase.size(rollout.total))
            good = ("confirmed", "unneeded")
        settled = select(Target.device_id).where(here, Target.state.in_(good))
        open_ = select(Target.device_id).where(here, Target.state.in_(OPEN)).limit(1)
        progress = phases.Progress(
            await _count(session, settled.limit(phase.needed(rollout.total))), await _count(session, open_)
        )
        if phases.is_reached(phase, rollout.total, progress):
            rollout.reached_at = now
    return phases.has_soaked(phase, rollout.reached_at, now)


async def _sound_stop(session: AsyncSession, rollout: Rollout, failure: str, now: int) -> None:
    product = await session.get_one(Product, rollout.product_id)
    release = await session.get_one(Release, rollout.release_id)
    text = f"{product.pk}: the rollout of {release.version} stopped by itself: {failure}"
    named = f"{product.pk}/{rollout.id}"
    data = {"rollout": rollout.id, "version": release.version, "why": failure}
    await sound(session, rollout.tenant_id, product.id, "rollout.stopped", named, text, now, **data)


def _finish(rollout: Rollout, state: str, why: str, now: int) -> None:
    rollout.state = state
    rollout.why = why[:256]
    rollout.finished_at = now
