"""What polls need of the fleet, in memory: a poll that brings nothing new asks the database nothing.

The database is the truth. An entry is read at the first poll of a device and forgotten when an event says
that the device has changed; a plan (what is rolled out to a product) has a number that events raise, and
a place that was looked up under an older number is looked up again.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from sys import intern
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud import phases
from otacloud.db import Database
from otacloud.events import Event, Hub
from otacloud.models import Device, Product, Release, Rollout, Target
from otacloud.offers import Gate
from otacloud.targets import open_place

CORE = ("board", "chip", "version", "image_sha256", "slot", "seq", "agent", "staging", "ram", "codecs")


@dataclass(frozen=True, slots=True)
class Waiting:
    """The open place of a device: what decides whether a poll has to look any further."""

    rollout_id: int
    rank: int
    offered: bool
    attempts: int
    not_before: int
    start_at: int
    window: tuple[int, ...]
    board: str
    image_sha256: str
    seq: int

    @classmethod
    def of(cls, target: Target, rollout: Rollout, release: Release) -> "Waiting":
        return cls(
            rollout_id=rollout.id,
            rank=target.rank,
            offered=target.state == "offered",
            attempts=target.attempts,
            not_before=target.not_before,
            start_at=rollout.start_at,
            window=tuple(rollout.window),
            board=intern(release.board),
            image_sha256=intern(release.image_sha256),
            seq=release.seq,
        )

    def is_time(self, now: int) -> bool:
        return now >= self.start_at and phases.in_window(self.window, now)


@dataclass(slots=True)
class Known:
    """A device that may log in."""

    id: int
    tenant_id: int
    product_id: int
    pk: str
    dn: str
    generation: int
    ds_sealed: bytes
    poll_interval: int | None
    core: tuple[Any, ...]  # what it last said, in the order of CORE
    inventory: int  # hash of the rest that it said
    plan: int = -1  # number of the plan under which `waiting` was looked up
    waiting: Waiting | None = None


def core_of(facts: Callable[[str], Any]) -> tuple[Any, ...]:
    """The values of CORE; equal texts are one object, however many devices say them."""
    return tuple(_shared(facts(name)) for name in CORE)


def _shared(value: Any) -> Any:
    if isinstance(value, str):
        return intern(value)
    return tuple(value) if isinstance(value, list) else value


def hash_of(inventory: dict[str, Any]) -> int:
    return hash(repr(sorted(inventory.items())))


class Fleet:
    def __init__(self, db: Database, hub: Hub) -> None:
        self._db = db
        self._known: dict[int, Known] = {}
        self._loading: Counter[int] = Counter()
        self._plans: Counter[int] = Counter()
        self._gates: dict[int, tuple[int, Gate]] = {}  # when it was looked at, and what was seen
        hub.listen(self._on_event)

    def _on_event(self, event: Event) -> None:
        if event.kind == "device":
            self._known.pop(event.id, None)
            self._loading.pop(event.id, None)
        elif event.kind == "plan":
            self._plans[event.id] += 1
        elif event.kind == "rollout":
            self._gates.pop(event.id, None)

    async def get(self, device_id: int) -> Known | None:
        """The device, if it may log in."""
        known = self._known.get(device_id)
        if known is not None:
            return known
        self._loading[device_id] += 1
        async with self._db.read() as session:
            known = await _load(session, device_id)
        # An event that came while we read may be about what we read too early.
        if self._loading.pop(device_id, 0) and known is not None:
            self._known[device_id] = known
        return known

    async def waiting(self, known: Known) -> Waiting | None:
        """The open place of the device under the plan in force."""
        plan = self._plans[known.product_id]
        if known.plan != plan:
            async with self._db.read() as session:
                place = await open_place(session, known.id)
            known.waiting = Waiting.of(*place) if place else None
            known.plan = plan
        return known.waiting

    def is_closed(self, waiting: Waiting, now: int) -> bool:
        """Whether the rollout's gate was seen closed for this place within this second."""
        seen = self._gates.get(waiting.rollout_id)
        return seen is not None and seen[0] == now and not seen[1].for_rank(waiting.rank).is_open()

    def saw_gate(self, rollout_id: int, gate: Gate, now: int) -> None:
        self._gates[rollout_id] = (now, gate)


async def _load(session: AsyncSession, device_id: int) -> Known | None:
    query = select(Device, Product.pk).join(Product, Product.id == Device.product_id)
    row = (await session.execute(query.where(Device.id == device_id))).first()
    if row is None or row[0].access != "approved" or row[0].ds_sealed is None:
        return None
    device: Device = row[0]
    sealed: bytes = row[0].ds_sealed
    return Known(
        id=device.id,
        tenant_id=device.tenant_id,
        product_id=device.product_id,
        pk=intern(row[1]),
        dn=device.dn,
        generation=device.generation,
        ds_sealed=sealed,
        poll_interval=device.poll_interval,
        core=core_of(lambda name: getattr(device, name)),
        inventory=hash_of(device.inventory),
    )
