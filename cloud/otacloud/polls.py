"""A poll: what the board says is kept where it is new, and what there is for it is chosen."""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Annotated, Any

from otaspec.errors import code
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud import offers, targets
from otacloud.errors import refuse
from otacloud.events import Event
from otacloud.fleet import CORE, Known, Waiting, core_of, hash_of
from otacloud.membership import place
from otacloud.models import Device, Job, Package
from otacloud.services import Services

SOON = 5  # seconds until the next poll, while the board's package is in the making

Hex32 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
U32 = Annotated[int, Field(ge=0, lt=2**32)]
_NO_NUL = r"^[^\x00]*$"  # which PostgreSQL keeps in no text


class PollIn(BaseModel):
    """What a board says of itself. Further members are its inventory."""

    model_config = ConfigDict(extra="allow")

    nonce: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    board: Annotated[str, Field(min_length=1, max_length=64, pattern=_NO_NUL)]
    chip: Annotated[int, Field(ge=0, le=0xFFFF)]
    version: Annotated[str, Field(max_length=64, pattern=_NO_NUL)]
    image_sha256: Hex32
    slot: Annotated[str, Field(max_length=16, pattern=_NO_NUL)] = ""
    seq: U32 = 0
    state: Annotated[str, Field(max_length=16)] = "idle"
    agent: U32 = 0
    staging: U32 = 0
    ram: U32 = 0
    bundle: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] | None = None
    wait: Annotated[int, Field(ge=0, le=120)] = 0  # seconds for which the answer may be held
    accept: U32 = 0  # seq of the release that the board's user agreed to
    codecs: Annotated[tuple[U32, ...], Field(max_length=32)] = (0,)

    @property
    def inventory(self) -> dict[str, Any]:
        said = self.model_extra or {}
        return said if self.bundle is None else said | {"bundle": self.bundle}

    def as_board(self) -> offers.Board:
        return offers.Board(
            self.board,
            self.image_sha256,
            self.seq,
            self.state,
            frozenset(self.codecs),
            self.ram,
            self.staging,
            self.bundle,
        )


@dataclass(frozen=True)
class Decision:
    update: dict[str, object] | None = None
    soon: bool = False
    available: dict[str, object] | None = None  # what the board's user may agree to

    def is_empty(self) -> bool:
        return self.update is None and self.available is None and not self.soon


async def keep(cloud: Services, known: Known, poll: PollIn) -> None:
    """Writes what is new: at once what decides about updates, with the next batch what is inventory."""
    cloud.presence.saw(known.id, cloud.now())
    core = core_of(poll)
    said = hash_of(poll.inventory)
    if core != known.core:
        _refuse_unwritable(poll.inventory)
        async with cloud.db.write() as session:
            row = await session.get_one(Device, known.id)
            for name, value in zip(CORE, core, strict=True):
                setattr(row, name, list(value) if name == "codecs" else value)
            row.inventory = poll.inventory
            await place(session, row, cloud.now())
        cloud.hub.publish(known.tenant_id, Event("device", known.id))
    elif said != known.inventory:
        _refuse_unwritable(poll.inventory)
        known.inventory = said
        cloud.presence.said(known.id, known.product_id, poll.inventory)


def _refuse_unwritable(inventory: dict[str, Any]) -> None:
    """What no database can keep is refused here: in the next batch it would hold up everybody's."""
    try:
        json.dumps(inventory, allow_nan=False)
    except (ValueError, RecursionError):
        raise refuse("REQUEST_INVALID", "the inventory has numbers that are none") from None


async def decide(cloud: Services, known: Known, poll: PollIn) -> Decision:
    """The update that this board is to take now, if any: of the newest release that its agent can take."""
    places = await cloud.fleet.places(known)
    if not places:
        return Decision()  # the steady state: nothing more is looked at
    board, now = poll.as_board(), cloud.now()
    for waiting in places:
        needed = offers.need(board, waiting, now)
        too_old = needed == "newer agent"
        if too_old != waiting.held and needed in ("newer agent", "update"):
            await _hold(cloud, known, waiting.rollout_id, code("NEEDS_NEWER_AGENT") if too_old else 0)
        if not too_old:
            return await _decide(cloud, known, poll, waiting, needed)
    return Decision()


async def _decide(
    cloud: Services, known: Known, poll: PollIn, waiting: Waiting, needed: offers.Need
) -> Decision:
    now = cloud.now()
    if needed in ("confirmed", "unneeded"):
        await _settle(cloud, known, waiting.rollout_id, needed)
        return Decision()
    if needed == "not now":
        return Decision()
    if not waiting.offered and (not waiting.is_time(now) or cloud.fleet.is_closed(waiting, now)):
        return Decision()
    if waiting.user_applies and not waiting.offered and poll.accept != waiting.seq:
        said = {"rollout": waiting.rollout_id, "seq": waiting.seq, "version": waiting.version}
        return Decision(available=said)
    return await _offer(cloud, known, poll.as_board(), waiting.rollout_id)


async def decide_later(cloud: Services, known: Known, poll: PollIn) -> Decision:
    """As decide; where there is nothing the answer is held for as long as the board allows."""
    decision = await decide(cloud, known, poll)
    until = time.monotonic() + poll.wait
    while decision.is_empty() and time.monotonic() < until and not cloud.hub.closed:
        await asyncio.sleep(1)
        decision = await decide(cloud, known, poll)
    return decision


async def _offer(cloud: Services, known: Known, board: offers.Board, rollout_id: int) -> Decision:
    """The package for a board that may have one, once it is made and its turn has come."""
    async with cloud.db.read() as session:
        places = await targets.open_places(session, known.id, rollout_id)
        if not places:
            return Decision()
        place = places[0]
        target, rollout, release = place
        packages, pending = await _packages(session, release.id, board.image_sha256)
    if not pending and not any(p.base_sha256 for p in packages):
        pending = await cloud.runner.want_delta(release, board.image_sha256)
    package = None if pending else offers.choose(board, packages)
    if package is None:
        return Decision(soon=pending)
    if target.state != "offered" and not await _claim(cloud, known, place, package):
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


async def _settle(cloud: Services, known: Known, rollout_id: int, state: str) -> None:
    async with cloud.db.write() as session:
        device = await session.get_one(Device, known.id)
        await targets.settle(session, rollout_id, device, state, 0, "", cloud.now())
    cloud.hub.publish(known.tenant_id, Event("device", known.id), Event("rollout", rollout_id))


async def _hold(cloud: Services, known: Known, rollout_id: int, code: int) -> None:
    async with cloud.db.write() as session:
        await targets.hold(session, rollout_id, known.id, code, cloud.now())
    cloud.hub.publish(known.tenant_id, Event("device", known.id), Event("rollout", rollout_id))


async def _claim(cloud: Services, known: Known, place: targets.Place, package: Package) -> bool:
    """Looks before it locks: a board that waits behind the gate costs no write."""
    rollout, timeout = place[1], cloud.settings.offer_timeout
    async with cloud.db.read() as session:
        gate = await targets.gate(session, rollout, place[0].rank, cloud.now(), timeout)
    cloud.fleet.saw_gate(rollout.id, gate, cloud.now())
    if not gate.is_open():
        return False
    async with cloud.db.write() as session:
        claimed = await targets.claim(session, place, package.sha256, cloud.now(), timeout)
    if claimed:
        cloud.hub.publish(known.tenant_id, Event("device", known.id), Event("rollout", rollout.id))
    return claimed
