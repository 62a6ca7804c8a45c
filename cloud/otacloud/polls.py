"""A poll: what the board says is kept where it is new, and what there is for it is chosen."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud import groups, offers, targets
from otacloud.events import Event
from otacloud.models import Device, Job, Package
from otacloud.services import Services

SOON = 5  # seconds until the next poll, while the board's package is in the making

Hex32 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
U32 = Annotated[int, Field(ge=0, lt=2**32)]


class PollIn(BaseModel):
    """What a board says of itself. Further members are its inventory."""

    model_config = ConfigDict(extra="allow")

    nonce: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    board: Annotated[str, Field(min_length=1, max_length=64)]
    chip: Annotated[int, Field(ge=0, le=0xFFFF)]
    version: Annotated[str, Field(max_length=64)]
    image_sha256: Hex32
    slot: Annotated[str, Field(max_length=16)] = ""
    seq: U32 = 0
    state: Annotated[str, Field(max_length=16)] = "idle"
    agent: U32 = 0
    staging: U32 = 0
    ram: U32 = 0
    codecs: Annotated[list[U32], Field(max_length=32)] = [0]

    def facts(self) -> dict[str, Any]:
        """The columns of Device that a poll sets."""
        names = (
            "board",
            "chip",
            "version",
            "image_sha256",
            "slot",
            "seq",
            "agent",
            "staging",
            "ram",
            "codecs",
        )
        return {name: getattr(self, name) for name in names} | {"inventory": self.model_extra or {}}

    def as_board(self) -> offers.Board:
        return offers.Board(
            self.board,
            self.image_sha256,
            self.seq,
            self.state,
            frozenset(self.codecs),
            self.ram,
            self.staging,
        )


@dataclass(frozen=True)
class Decision:
    update: dict[str, object] | None = None
    soon: bool = False


async def keep(cloud: Services, device: Device, poll: PollIn) -> None:
    """Writes what is new; a poll that says what the last one said costs no write."""
    cloud.presence.saw(device.id, cloud.now())
    new = {name: value for name, value in poll.facts().items() if getattr(device, name) != value}
    if not new:
        return
    async with cloud.db.write() as session:
        row = await session.get_one(Device, device.id)
        for name, value in new.items():
            setattr(row, name, value)
        await groups.place(session, row, cloud.now())
    cloud.hub.publish(device.tenant_id, Event("device", device.id))


async def decide(cloud: Services, device: Device, poll: PollIn) -> Decision:
    """The update that this board is to take now, if any."""
    board = poll.as_board()
    async with cloud.db.read() as session:
        place = await targets.open_place(session, device.id)
        if place is None:
            return Decision()
        target, rollout, release = place
        needed = offers.need(board, release, target, cloud.now())
        if needed == "update":
            packages, waiting = await _packages(session, release.id, board.image_sha256)
    if needed in ("confirmed", "unneeded"):
        await _settle(cloud, device, rollout.id, needed)
        return Decision()
    if needed == "not now" or (target.state != "offered" and not targets.is_time(rollout, cloud.now())):
        return Decision()
    if not waiting and not any(p.base_sha256 for p in packages):
        waiting = await cloud.runner.want_delta(release, board.image_sha256)
    package = None if waiting else offers.choose(board, packages)
    if package is None:
        return Decision(soon=waiting)
    if target.state != "offered" and not await _claim(cloud, device, place, package):
        return Decision()
    return Decision(offers.answer(rollout, release, package, cloud.settings.package_base_url))


async def _packages(session: AsyncSession, release_id: int, base: str) -> tuple[list[Package], bool]:
    """The packages for that base, and whether one of them is still being made."""
    bases = ("", base)
    packages = await session.scalars(
        select(Package).where(Package.release_id == release_id, Package.base_sha256.in_(bases))
    )
    pending = select(Job.id).where(
        Job.release_id == release_id, Job.base_sha256.in_(bases), Job.state.in_(("queued", "running"))
    )
    return list(packages), await session.scalar(pending.limit(1)) is not None


async def _settle(cloud: Services, device: Device, rollout_id: int, state: str) -> None:
    async with cloud.db.write() as session:
        await targets.settle(session, rollout_id, device, state, 0, "", cloud.now())
    cloud.hub.publish(device.tenant_id, Event("device", device.id), Event("rollout", rollout_id))


async def _claim(cloud: Services, device: Device, place: targets.Place, package: Package) -> bool:
    """Looks before it locks: a board that waits behind the gate costs no write."""
    rollout, timeout = place[1], cloud.settings.offer_timeout
    async with cloud.db.read() as session:
        if not (await targets.gate(session, rollout, place[0].rank, cloud.now(), timeout)).is_open():
            return False
    async with cloud.db.write() as session:
        claimed = await targets.claim(session, place, package.sha256, cloud.now(), timeout)
    if claimed:
        cloud.hub.publish(device.tenant_id, Event("device", device.id), Event("rollout", rollout.id))
    return claimed
