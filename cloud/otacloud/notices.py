"""Who is told to poll now (PROTOCOL.md section 6): by event, as many boards as there are places free."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import structlog
from otaspec import mqtt
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud import phases, targets
from otacloud.db import Database
from otacloud.events import Event, Hub
from otacloud.fleet import Fleet, Waiting
from otacloud.metrics import Metrics
from otacloud.models import Device, Product, Release, Rollout, Target
from otacloud.presence import Presence

log = structlog.get_logger()

PAUSE = 0.2  # seconds between two rounds: events come in heaps
PACE = 10  # seconds that boards which were told have to come, before the next are told
AT_ONCE = 200  # boards told in one look, and in one second
LOOKED_AT = 500  # places in one look: not everybody is connected
WAITING = 1_000  # messages of boards that may wait; what comes then is dropped


class Outlet(Protocol):
    """A broker. `up`: whether the service is connected to it."""

    up: bool

    def connected(self, pk: str, dn: str) -> bool | None:
        """Whether that device listens; None where only the broker knows."""
        ...

    def count(self, pk: str) -> int | None:
        """How many devices of a product listen; None where only the broker knows."""
        ...

    def publish(self, topic: str, body: bytes) -> None: ...


class Place(NamedTuple):
    """A device that waits for its turn in a rollout."""

    rank: int
    pk: str
    dn: str
    version: str


@dataclass
class Walk:
    """How far a rollout's places were told in its phase."""

    phase: int
    rank: int = 0


class Notifier:
    """Idle without an outlet. What it remembers is a convenience: boards poll by themselves, too."""

    outlet: Outlet | None = None

    def __init__(
        self,
        db: Database,
        hub: Hub,
        fleet: Fleet,
        presence: Presence,
        metrics: Metrics,
        offer_timeout: int,
        now: Callable[[], int],
    ) -> None:
        self._db = db
        self._fleet = fleet
        self._presence = presence
        self._metrics = metrics
        self._offer_timeout = offer_timeout
        self._now = now
        self._due: set[int] = set()
        self._wake = asyncio.Event()
        self._walks: dict[int, Walk] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._heard: asyncio.Queue[tuple[str, str, str]] = asyncio.Queue(WAITING)
        self._number = 0
        hub.listen(self._on_event)

    async def begin(self, outlet: Outlet) -> None:
        """From now on boards are told; what is running already is looked at once."""
        async with self._db.read() as session:
            running = set(await session.scalars(select(Rollout.id).where(Rollout.state == "running")))
        self.outlet = outlet
        self._walks.clear()
        self._due |= running
        self._wake.set()

    def end(self) -> None:
        self.outlet = None
        for timer in self._timers.values():
            timer.cancel()

    def hear(self, kind: str, pk: str, dn: str) -> None:
        """A board said something: inform, progress. Shown at most, so it may be dropped."""
        if not self._heard.full():
            self._heard.put_nowait((kind, pk, dn))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._looks())
            group.create_task(self._answers())

    def _on_event(self, event: Event) -> None:
        if self.outlet is None:
            return
        if event.kind == "plan":
            self._walks.clear()
        elif event.kind == "rollout":
            self._due.add(event.id)
            self._wake.set()

    # rollouts

    async def _looks(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            due, self._due = self._due, set()
            for rollout_id in sorted(due):
                try:
                    again = await self.look(rollout_id)
                except Exception as problem:
                    log.error("boards were not told", rollout=rollout_id, problem=repr(problem))
                    again = PACE
                self._look_again(rollout_id, again)
            await asyncio.sleep(PAUSE)

    def _look_again(self, rollout_id: int, seconds: float | None) -> None:
        before = self._timers.pop(rollout_id, None)
        if before:
            before.cancel()
        if seconds is not None:
            event = Event("rollout", rollout_id)
            self._timers[rollout_id] = asyncio.get_running_loop().call_later(seconds, self._on_event, event)

    async def look(self, rollout_id: int) -> float | None:
        """Tells the next boards of a rollout; seconds until there may be more, None: an event will say."""
        now = self._now()
        async with self._db.read() as session:
            rollout = await session.get(Rollout, rollout_id)
            if rollout is None or rollout.state != "running":
                self._walks.pop(rollout_id, None)
                return None
            if not targets.is_time(rollout, now):
                return max(rollout.start_at - now, 60 - now % 60)
            gate = await targets.gate(session, rollout, 0, now, self._offer_timeout)
            walk = self._walk(rollout, now)
            free = gate.free()
            if free == 0:
                return PACE if rollout.per_minute else _soaks(rollout, now)
            places = await _places(session, rollout_id, walk.rank, gate.limit, now)
        told = self._tell(places, walk, AT_ONCE if free is None else min(free, AT_ONCE))
        if len(places) < LOOKED_AT and (not places or walk.rank > places[-1].rank):
            return _soaks(rollout, now)  # that was everybody
        return PACE if told and free is not None else 1

    def _walk(self, rollout: Rollout, now: int) -> Walk:
        phase = targets.phase_now(rollout, now)
        walk = self._walks.get(rollout.id)
        if walk is None or walk.phase != phase:
            walk = self._walks[rollout.id] = Walk(phase)
        return walk

    def _tell(self, places: list[Place], walk: Walk, most: int) -> int:
        told = 0
        for place in places:
            if told == most:
                break
            walk.rank = place.rank + 1
            if self.outlet and self.outlet.connected(place.pk, place.dn) is not False:
                self._send(place.pk, place.dn, place.version)
                told += 1
        return told

    def _send(self, pk: str, dn: str, version: str) -> None:
        self._number += 1
        data = {"version": version, "module": "default"}
        body = {"code": "1000", "message": "success", "id": str(self._number), "data": data}
        if self.outlet:
            self.outlet.publish(mqtt.topic("upgrade", pk, dn), json.dumps(body).encode())
            self._metrics.notices.inc()

    # what boards say

    async def _answers(self) -> None:
        while True:
            kind, pk, dn = await self._heard.get()
            try:
                await self._answer(kind, pk, dn)
            except Exception as problem:
                log.error("a board was not heard", pk=pk, dn=dn, problem=repr(problem))

    async def _answer(self, kind: str, pk: str, dn: str) -> None:
        known = await self._fleet.find(pk, dn)
        if known is None:
            return
        self._presence.saw(known.id, self._now())
        if kind == "inform":
            waiting = next((place for place in await self._fleet.places(known) if not place.held), None)
            if waiting and await self._has_its_turn(waiting):
                self._send(pk, dn, waiting.version)
        self._metrics.heard.labels(kind).inc()

    async def _has_its_turn(self, waiting: Waiting) -> bool:
        now = self._now()
        if now < waiting.not_before or not waiting.is_time(now):
            return False
        if waiting.offered:
            return True
        if self._fleet.is_closed(waiting, now):
            return False
        async with self._db.read() as session:
            rollout = await session.get_one(Rollout, waiting.rollout_id)
            gate = await targets.gate(session, rollout, waiting.rank, now, self._offer_timeout)
        self._fleet.saw_gate(rollout.id, gate, now)
        return gate.is_open()


async def _places(
    session: AsyncSession, rollout_id: int, first: int, limit: int | None, now: int
) -> list[Place]:
    """The next places that wait, from rank `first` on."""
    query = (
        select(Target.rank, Product.pk, Device.dn, Release.version)
        .join(Device, Device.id == Target.device_id)
        .join(Product, Product.id == Device.product_id)
        .join(Rollout, Rollout.id == Target.rollout_id)
        .join(Release, Release.id == Rollout.release_id)
        .where(Target.rollout_id == rollout_id, Target.rank >= first, Target.not_before <= now)
        .where(Target.state.in_(("waiting", "deferred")), ~targets.HELD)
    )
    if limit is not None:
        query = query.where(Target.rank < limit)
    rows = await session.execute(query.order_by(Target.rank).limit(LOOKED_AT))
    return [Place(*row) for row in rows]


def _soaks(rollout: Rollout, now: int) -> int | None:
    """Seconds until the phase has soaked; None where it does not."""
    planned = phases.read(rollout.phases)
    if rollout.reached_at is None or rollout.phase >= len(planned):
        return None
    left = rollout.reached_at + planned[rollout.phase].soak - now
    return left if left > 0 else None
