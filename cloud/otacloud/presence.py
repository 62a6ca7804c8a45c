"""What boards say in passing: when they were last seen, and their inventory. Written once a second."""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from sqlalchemy import bindparam, select, update

from otacloud.db import Database
from otacloud.events import Event, Hub
from otacloud.membership import place
from otacloud.models import Base, Device

log = structlog.get_logger()

INTERVAL = 1.0
CHUNK = 500  # devices in one transaction

# Plain SQL for many rows: whole objects would cost most of what the service can do.
_DEVICES = Base.metadata.tables["devices"]
_SEEN = update(_DEVICES).where(_DEVICES.c.id == bindparam("device")).values(last_seen_at=bindparam("seen"))


class Presence:
    """A poll costs no write. SIGKILL loses at most the last second of this, and nothing else."""

    def __init__(self, db: Database, hub: Hub, now: Callable[[], int]) -> None:
        self._db = db
        self._hub = hub
        self._now = now
        self._seen: dict[int, int] = {}
        self._said: dict[int, dict[str, Any]] = {}

    def saw(self, device_id: int, now: int) -> None:
        self._seen[device_id] = now

    def said(self, device_id: int, inventory: dict[str, Any]) -> None:
        self._said[device_id] = inventory

    def last(self, device_id: int) -> int | None:
        """What is not written yet."""
        return self._seen.get(device_id)

    async def flush(self) -> None:
        """Writes what has gathered; what cannot be written stays for the next time."""
        while self._seen:
            part = dict(list(self._seen.items())[:CHUNK])
            async with self._db.write() as session:
                connection = await session.connection()
                await connection.execute(_SEEN, [{"device": d, "seen": s} for d, s in part.items()])
            _forget(self._seen, part)
        while self._said:
            told = dict(list(self._said.items())[:CHUNK])
            async with self._db.write() as session:
                rows = (await session.scalars(select(Device).where(Device.id.in_(told)))).all()
                for device in rows:
                    device.inventory = told[device.id]
                    await place(session, device, self._now())
            _forget(self._said, told)
            for device in rows:
                self._hub.publish(device.tenant_id, Event("device", device.id))

    async def run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await self.flush()
            except Exception as problem:
                log.error("what boards said was not written", problem=repr(problem))


def _forget(kept: dict[int, Any], written: dict[int, Any]) -> None:
    """Leaves what came in since."""
    for device_id, value in written.items():
        if kept.get(device_id) == value:
            del kept[device_id]
