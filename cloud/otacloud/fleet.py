"""What polls need of the fleet, in memory: a poll that brings nothing new asks the database nothing.

The database is the truth. An entry is read at the first poll of a device and forgotten when an event says
that the device has changed; a plan (what is rolled out to a product) has a number that events raise, and
a place that was looked up under an older number is looked up again.
"""

from collections import Counter
from dataclasses import dataclass
from operator import attrgetter
from sys import intern
from typing import Any, NamedTuple

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud import phases
from otacloud.db import Database
from otacloud.events import Event, Hub
from otacloud.models import Device, Product, Release, Rollout, Target
from otacloud.offers import Gate
from otacloud.targets import is_held, open_places

CHUNK = 2_000  # devices read at once

CORE = ("board", "chip", "version", "image_sha256", "slot", "seq", "agent", "staging", "ram", "codecs")


@dataclass(frozen=True, slots=True)
class Waiting:
    """An open place of a device: what decides whether a poll has to look any further."""

    rollout_id: int
    rank: int
    offered: bool
    held: bool  # the board's agent was too old for it when it last asked
    attempts: int
    not_before: int
    start_at: int
    window: tuple[int, ...]
    board: str
    image_sha256: str
    bundle_sha256: str
    seq: int
    version: str
    user_applies: bool

    @classmethod
    def of(cls, target: Target, rollout: Rollout, release: Release) -> "Waiting":
        return cls(
            rollout_id=rollout.id,
            rank=target.rank,
            offered=target.state == "offered",
            held=is_held(target),
            attempts=target.attempts,
            not_before=target.not_before,
            start_at=rollout.start_at,
            window=tuple(rollout.window),
            board=intern(release.board),
            image_sha256=intern(release.image_sha256),
            bundle_sha256=intern(release.bundle_sha256),
            seq=release.seq,
            version=intern(release.version),
            user_applies=rollout.user_applies,
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
    ds_sealed: bytes  # empty once `poll_key` is known
    poll_interval: int | None
    core: tuple[Any, ...]  # what it last said, in the order of CORE
    inventory: int  # hash of the rest that it said
    poll_key: bytes = b""
    plan: int = -1  # number of the plan under which `places` were looked up
    places: tuple[Waiting, ...] = ()


class Secret(NamedTuple):
    device_id: int
    generation: int
    ds_sealed: bytes


core_of = attrgetter(*CORE)


def _shared(value: Any) -> Any:
    """Equal texts are one object, however many devices say them."""
    if isinstance(value, str):
        return intern(value)
    return tuple(value) if isinstance(value, list) else value


def hash_of(inventory: dict[str, Any]) -> int:
    return hash(repr(sorted(inventory.items())))


class Fleet:
    def __init__(self, db: Database, hub: Hub) -> None:
        self._db = db
        self._known: dict[int, Known] = {}
        self._loading: dict[int, object] = {}  # a mark for each read under way
        self._changes = 0
        self._plans: Counter[int] = Counter()
        self._busy: dict[int, tuple[int, bool]] = {}
        self._gates: dict[int, tuple[int, Gate]] = {}  # when it was looked at, and what was seen
        hub.listen(self._on_event)

    def _on_event(self, event: Event) -> None:
        if event.kind == "device":
            self._changes += 1
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
        mark = self._loading[device_id] = object()
        async with self._db.read() as session:
            known = await _load(session, device_id)
        # An event that came while we read may be about what we read too early: then it is not kept.
        if self._loading.get(device_id) is mark:
            del self._loading[device_id]
            if known is not None:
                self._known[device_id] = known
        return known

    async def find(self, pk: str, dn: str) -> Known | None:
        """The device of that name, if it may log in."""
        query = select(Device.id).join(Product, Product.id == Device.product_id)
        async with self._db.read() as session:
            device_id = await session.scalar(query.where(Product.pk == pk, Device.dn == dn))
        return None if device_id is None else await self.get(device_id)

    async def secret(self, pk: str, dn: str) -> Secret | None:
        """That of a device which may log in."""
        query = select(Device.id, Device.generation, Device.ds_sealed).join(Product)
        query = query.where(Product.pk == pk, Device.dn == dn, Device.access == "approved")
        async with self._db.read() as session:
            row = (await session.execute(query)).first()
        return Secret(row[0], row[1], row[2]) if row and row[2] else None

    async def load(self) -> None:
        """Reads the whole fleet, a piece at a time: after a start, every board polls within the minute."""
        after = 0
        while after >= 0:
            changes = self._changes
            async with self._db.read() as session:
                query = _QUERY.where(Device.id > after).limit(CHUNK)
                rows = (await session.execute(query)).all()
            after = rows[-1].id if rows else -1
            if changes != self._changes:
                continue  # somebody changed while we read: who polls is read by itself
            for row in rows:
                self._known.setdefault(row.id, _known(row))

    async def places(self, known: Known) -> tuple[Waiting, ...]:
        """The open places of the device under the plan in force, the newest release first."""
        plan = self._plans[known.product_id]
        if known.plan != plan:
            places = []
            if await self._is_busy(known.product_id, plan):
                async with self._db.read() as session:
                    places = await open_places(session, known.id)
            known.places = tuple(Waiting.of(*place) for place in places)
            known.plan = plan
        return known.places

    async def _is_busy(self, product_id: int, plan: int) -> bool:
        """Whether anything is rolled out to the product; asked once for each plan."""
        seen = self._busy.get(product_id)
        if seen is None or seen[0] != plan:
            query = select(Rollout.id).where(Rollout.product_id == product_id, Rollout.state == "running")
            async with self._db.read() as session:
                seen = plan, await session.scalar(query.limit(1)) is not None
            self._busy[product_id] = seen
        return seen[1]

    def is_closed(self, waiting: Waiting, now: int) -> bool:
        """Whether the rollout's gate was seen closed for this place within this second."""
        seen = self._gates.get(waiting.rollout_id)
        return seen is not None and seen[0] == now and not seen[1].for_rank(waiting.rank).is_open()

    def saw_gate(self, rollout_id: int, gate: Gate, now: int) -> None:
        self._gates[rollout_id] = (now, gate)


_COLUMNS = (
    *(Device.id, Device.tenant_id, Device.product_id, Product.pk, Device.dn, Device.generation),
    *(Device.ds_sealed, Device.poll_interval, Device.inventory),
    *(getattr(Device, name) for name in CORE),
)
_QUERY = (
    select(*_COLUMNS)
    .join(Product, Product.id == Device.product_id)
    .where(Device.access == "approved", Device.ds_sealed.is_not(None))
    .order_by(Device.id)
)


def _known(row: Row[Any]) -> Known:
    """From a row of _QUERY: plain columns, which cost a fraction of whole objects."""
    values: tuple[Any, ...] = tuple(row)
    id_, tenant_id, product_id, pk, dn, generation, sealed, interval, inventory = values[:9]
    return Known(
        id=id_,
        tenant_id=tenant_id,
        product_id=product_id,
        pk=intern(pk),
        dn=dn,
        generation=generation,
        ds_sealed=sealed,
        poll_interval=interval,
        core=tuple(_shared(value) for value in values[9:]),
        inventory=hash_of(inventory),
    )


async def _load(session: AsyncSession, device_id: int) -> Known | None:
    row = (await session.execute(_QUERY.where(Device.id == device_id))).first()
    return _known(row) if row else None
