"""What the pages show: one look at the database per region of a page."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud import devices, releases, rollouts
from otacloud.models import Device, Release, Rollout
from otacloud.schemas import DeviceOut, ReleaseOut, RolloutOut
from otacloud.services import Services

PAGE = 50
ROLLOUTS_SHOWN = 5
RELEASES_SHOWN = 5


@dataclass(frozen=True)
class Look:
    """What one page looks at; all of it is in its URL."""

    product_id: int
    q: str = ""
    offset: int = 0


@dataclass(frozen=True)
class DeviceRow:
    id: int
    shown: DeviceOut


@dataclass(frozen=True)
class DeviceList:
    rows: list[DeviceRow]
    total: int
    look: Look

    @property
    def ids(self) -> set[int]:
        return {row.id for row in self.rows}

    @property
    def next(self) -> int | None:
        after = self.look.offset + PAGE
        return after if after < self.total else None

    @property
    def previous(self) -> int | None:
        return max(0, self.look.offset - PAGE) if self.look.offset else None


async def device_list(cloud: Services, session: AsyncSession, look: Look) -> DeviceList:
    wanted = [Device.product_id == look.product_id]
    if look.q:
        wanted.append(Device.dn.contains(look.q, autoescape=True))
    total = await session.scalar(select(func.count()).select_from(Device).where(*wanted)) or 0
    query = select(Device).where(*wanted).order_by(Device.dn).offset(look.offset).limit(PAGE)
    return DeviceList([_row(cloud, device) for device in await session.scalars(query)], total, look)


async def device_rows(cloud: Services, session: AsyncSession, ids: set[int]) -> list[DeviceRow]:
    """Those rows anew."""
    return [_row(cloud, d) for d in await session.scalars(select(Device).where(Device.id.in_(ids)))]


def _row(cloud: Services, device: Device) -> DeviceRow:
    return DeviceRow(device.id, DeviceOut(**devices.out(cloud, device)))


async def rollout_list(session: AsyncSession, product_id: int) -> list[RolloutOut]:
    query = select(Rollout).where(Rollout.product_id == product_id).order_by(Rollout.id.desc())
    rows = (await session.scalars(query.limit(ROLLOUTS_SHOWN))).all()
    return [await rollouts.out(session, rollout) for rollout in rows]


async def release_list(session: AsyncSession, product_id: int) -> list[ReleaseOut]:
    query = select(Release).where(Release.product_id == product_id).order_by(Release.seq.desc())
    rows = (await session.scalars(query.limit(RELEASES_SHOWN))).all()
    return [await releases.out(session, release) for release in rows]


def slices(rollout: RolloutOut) -> list[dict[str, Any]]:
    """The counts of a rollout as parts of a bar that is 100 wide."""
    counts = rollout.counts.model_dump()
    total = sum(counts.values())
    at = 0.0
    parts = []
    for name in ("confirmed", "unneeded", "offered", "deferred", "failed", "waiting"):
        width = 100 * counts[name] / total if total else 0
        if width:
            parts.append({"name": name, "count": counts[name], "x": round(at, 2), "width": round(width, 2)})
        at += width
    return parts
