"""What the pages ask the database beyond what the API gives: by index, however large the fleet."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import ColumnElement, UnaryExpression, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud.models import Alarm, Device, Group, Member, Package, Product, Release, Rollout, Target
from otacloud.phases import Phase, read

PAGE = 50
BUSY = ("downloading", "applying", "verifying", "rebooting", "pending-verify")
BAD = ("failed", "reverted")

Sort = Literal["name", "version", "state", "seen"]
_COLUMNS = {"name": Device.dn, "version": Device.version, "state": Device.state, "seen": Device.last_seen_at}


@dataclass(frozen=True)
class Look:
    """What a page of devices looks at; all of it is in its URL."""

    q: str = ""
    state: str = ""
    version: str = ""
    group: str = ""
    sort: Sort = "name"
    desc: bool = False
    offset: int = 0

    def filters(self) -> bool:
        return bool(self.q or self.state or self.version or self.group)


@dataclass(frozen=True)
class Found:
    rows: list[Device]
    total: int


async def find_devices(session: AsyncSession, product_id: int, look: Look) -> Found:
    """One page, and how many there are in all.

    Equals come in the order in which they joined: the index that counts a fleet then holds all that is asked,
    and no row of the table is read but those of the page.
    """
    wanted = _wanted(product_id, look)
    total = await session.scalar(select(func.count()).select_from(Device).where(*wanted)) or 0
    column = _COLUMNS[look.sort]
    order: list[UnaryExpression[Any]] = [column.desc() if look.desc else column.asc()]
    if look.sort != "name":
        order.append(Device.id.asc())
    query = select(Device.id).where(*wanted).order_by(*order).offset(look.offset).limit(PAGE)
    ids = list(await session.scalars(query))
    rows = {d.id: d for d in await session.scalars(select(Device).where(Device.id.in_(ids)))}
    return Found([rows[device_id] for device_id in ids], total)


def _wanted(product_id: int, look: Look) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = [Device.product_id == product_id]
    if look.q:
        wanted.append(Device.dn.contains(look.q, autoescape=True))
    if look.state in ("pending", "revoked"):
        wanted.append(Device.access == look.state)
    elif look.state == "busy":
        wanted += [Device.access == "approved", Device.state.in_(BUSY)]
    elif look.state == "bad":
        wanted += [Device.access == "approved", Device.state.in_(BAD)]
    elif look.state:
        wanted += [Device.access == "approved", Device.state == look.state]
    if look.version:
        wanted.append(Device.version == look.version)
    if look.group:
        group = select(Group.id).where(Group.product_id == product_id, Group.name == look.group)
        members = select(Member.device_id).where(Member.group_id.in_(group))
        wanted.append(Device.id.in_(members))
    return wanted


@dataclass
class Fleet:
    """How a product's devices stand, counted."""

    total: int = 0
    approved: int = 0
    states: Counter[str] = field(default_factory=Counter)  # pending and revoked count as such
    versions: Counter[str] = field(default_factory=Counter)
    behind: Counter[int | None] = field(default_factory=Counter)  # days


async def count_fleet(session: AsyncSession, product_id: int, now: int) -> Fleet:
    """One query over an index that holds all it needs; the releases tell how old the versions are."""
    keys = (Device.access, Device.state, Device.version, Device.seq)
    query = select(*keys, func.count()).where(Device.product_id == product_id).group_by(*keys)
    ages = await _ages(session, product_id, now)
    fleet = Fleet()
    for access, state, version, seq, count in await session.execute(query):
        fleet.total += count
        fleet.states[state if access == "approved" else access] += count
        fleet.approved += count if access == "approved" else 0
        if access == "approved" and version:
            fleet.versions[version] += count
            fleet.behind[ages.get(seq) if version != "0.0.0-example" else None] += count
    return fleet


async def _ages(session: AsyncSession, product_id: int, now: int) -> dict[int, int]:
    """{seq of a release: days since there is a newer one for its board; 0: it is the newest}."""
    query = select(Release.seq, Release.board, Release.created_at).where(Release.product_id == product_id)
    newer: dict[str, int] = {}
    ages: dict[int, int] = {}
    for seq, board, created_at in await session.execute(query.order_by(Release.seq.desc())):
        ages[seq] = -(-(now - newer[board]) // 86_400) if board in newer else 0
        newer[board] = created_at
    return ages


async def versions(session: AsyncSession, product_id: int) -> list[str]:
    """Versions that may be filtered by: the releases, newest first."""
    query = select(Release.version).where(Release.product_id == product_id).order_by(Release.seq.desc())
    return list(dict.fromkeys(await session.scalars(query.limit(100))))


@dataclass(frozen=True)
class Traffic:
    """Bytes that confirmed updates took, and what full images would have been."""

    sent: int = 0
    whole: int = 0
    updates: int = 0


_traffic: dict[int, tuple[int, Traffic]] = {}  # of a rollout, at a number of confirmed boards


async def traffic(session: AsyncSession, product_id: int) -> Traffic:
    """Over all rollouts of the product. What has not moved since the last look is not counted again."""
    query = (
        select(Target.rollout_id, func.count())
        .join(Rollout, Rollout.id == Target.rollout_id)
        .where(Rollout.product_id == product_id, Target.state == "confirmed")
        .group_by(Target.rollout_id)
    )
    found = []
    for rollout_id, count in (await session.execute(query)).all():
        kept = _traffic.get(rollout_id)
        if kept is None or kept[0] != count:
            kept = _traffic[rollout_id] = count, await _traffic_of(session, rollout_id, count)
        found.append(kept[1])
    return Traffic(*(sum(getattr(each, name) for each in found) for name in ("sent", "whole", "updates")))


async def _traffic_of(session: AsyncSession, rollout_id: int, count: int) -> Traffic:
    rollout = await session.get_one(Rollout, rollout_id)
    release = await session.get_one(Release, rollout.release_id)
    sent = (
        select(func.sum(Package.size))
        .join(Target, (Target.package_sha256 == Package.sha256) & (Package.release_id == release.id))
        .where(Target.rollout_id == rollout_id, Target.state == "confirmed")
    )
    return Traffic(await session.scalar(sent) or 0, count * release.image_size, count)


async def settled_by_phase(session: AsyncSession, rollout: Rollout) -> list[int]:
    """Boards that confirmed or needed nothing, for each phase and at last for everyone."""
    return [
        *[await _settled(session, rollout, phase) for phase in read(rollout.phases)],
        await _settled(session, rollout, None),
    ]


async def _settled(session: AsyncSession, rollout: Rollout, phase: Phase | None) -> int:
    """A phase of a count takes whoever comes first, and waits for confirmations only."""
    states = ("confirmed",) if phase and phase.count else ("confirmed", "unneeded")
    query = select(func.count()).where(Target.rollout_id == rollout.id, Target.state.in_(states))
    if phase and not phase.count:
        query = query.where(Target.rank < phase.size(rollout.total))
    return await session.scalar(query) or 0


async def rollout_rows(
    session: AsyncSession, product_id: int, states: Sequence[str] = (), limit: int = 50
) -> list[Rollout]:
    """Newest first."""
    query = select(Rollout).where(Rollout.product_id == product_id)
    if states:
        query = query.where(Rollout.state.in_(states))
    return list(await session.scalars(query.order_by(Rollout.id.desc()).limit(limit)))


@dataclass(frozen=True)
class Waiting:
    """What waits for somebody's word."""

    devices: int
    rollouts: int

    @property
    def total(self) -> int:
        return self.devices + self.rollouts


async def waiting(session: AsyncSession, product: Product) -> Waiting:
    pending = select(func.count()).where(Device.product_id == product.id, Device.access == "pending")
    drafts = select(func.count()).where(Rollout.product_id == product.id, Rollout.state == "draft")
    return Waiting(await session.scalar(pending) or 0, await session.scalar(drafts) or 0)


async def open_alarms(session: AsyncSession, product: Product) -> int:
    """Alarms that nobody looks after yet."""
    query = select(func.count()).select_from(Alarm).where(Alarm.product_id == product.id)
    return await session.scalar(query.where(Alarm.acknowledged_by.is_(None))) or 0


async def release_of(session: AsyncSession, product_id: int, image_sha256: str | None) -> Release | None:
    """The release that an image is."""
    query = select(Release).where(Release.product_id == product_id, Release.image_sha256 == image_sha256)
    return await session.scalar(query.order_by(Release.seq.desc()).limit(1))


async def base_version(session: AsyncSession, device: Device, rollout_id: int | None) -> str:
    """The version that the delta of a rollout was made from for this device; empty where it was none."""
    query = (
        select(Release.version)
        .join(Package, Package.base_sha256 == Release.image_sha256)
        .join(Target, Target.package_sha256 == Package.sha256)
        .where(Target.rollout_id == rollout_id, Target.device_id == device.id)
        .where(Release.product_id == device.product_id)
    )
    return await session.scalar(query.order_by(Release.seq.desc()).limit(1)) or ""


async def tried(session: AsyncSession, release_id: int) -> dict[str, dict[str, int]]:
    """{base hash: {codec: bytes}} of what was tried for a release's packages."""
    query = select(Package.base_sha256, Package.facts).where(Package.release_id == release_id)
    return {base: facts.get("tried", {}) for base, facts in await session.execute(query)}


async def bases(session: AsyncSession, product_id: int, hashes: Sequence[str]) -> Counter[str]:
    """How many devices run each of the images."""
    query = select(Device.image_sha256, func.count()).where(
        Device.product_id == product_id, Device.image_sha256.in_(hashes)
    )
    rows = (await session.execute(query.group_by(Device.image_sha256))).all()
    return Counter({str(row[0]): row[1] for row in rows})


async def has_confirmed(session: AsyncSession, product_id: int) -> bool:
    query = select(Target.device_id).join(Rollout, Rollout.id == Target.rollout_id)
    mine = (Rollout.product_id == product_id, Target.state == "confirmed")
    return await session.scalar(query.where(*mine).limit(1)) is not None


async def group_names(session: AsyncSession, product_id: int, static: bool = False) -> list[str]:
    query = select(Group.name).where(Group.product_id == product_id).order_by(Group.name)
    return list(await session.scalars(query.where(Group.rule.is_(None)) if static else query))


async def image_sizes(session: AsyncSession, product_id: int, versions: Iterable[str]) -> dict[str, int]:
    """{version: bytes} of those that are releases."""
    mine = (Release.product_id == product_id, Release.version.in_(set(versions)))
    rows = await session.execute(select(Release.version, Release.image_size).where(*mine))
    return {row[0]: row[1] for row in rows}


@dataclass(frozen=True)
class Moving:
    """A device that takes an update just now."""

    dn: str
    state: str
    step: int
    at: int | None


MOVING_SHOWN = 30


async def moving(session: AsyncSession, rollout_id: int) -> list[Moving]:
    """Devices under way, the furthest first; a handful however many there are."""
    query = (
        select(Device.dn, Device.state, Device.step, Device.state_at)
        .join(Target, Target.device_id == Device.id)
        .where(Target.rollout_id == rollout_id, Target.state == "offered")
        .order_by(Target.active_at.desc())
        .limit(MOVING_SHOWN)
    )
    rows = [Moving(*row) for row in await session.execute(query)]
    return sorted(rows, key=lambda row: -row.step)


async def pending_devices(session: AsyncSession, product_id: int) -> list[Device]:
    query = select(Device).where(Device.product_id == product_id, Device.access == "pending")
    return list(await session.scalars(query.order_by(Device.id).limit(PAGE)))
