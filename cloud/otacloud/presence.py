"""What boards say in passing: when they were last seen, and their inventory. Written once a second."""

import asyncio
import json
from collections.abc import Callable
from itertools import islice
from typing import Any, NamedTuple

import structlog
from sqlalchemy import bindparam, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud.db import Database
from otacloud.events import Event, Hub
from otacloud.membership import place
from otacloud.models import Base, Device, Group

log = structlog.get_logger()

INTERVAL = 1.0
CHUNK = 500  # devices in one transaction that writes inventory
SEEN_CHUNK = 2_000  # devices in one statement that writes when they were seen

# Plain SQL for many rows: whole objects would cost most of what the service can do.
_DEVICES = Base.metadata.tables["devices"]
_LISTED = {
    "sqlite": "json_each(:devices)",
    "postgresql": "json_array_elements_text(CAST(:devices AS json))",
}
_SEEN = """
    INSERT INTO seen (device_id, at) SELECT CAST(value AS bigint), CAST(:at AS bigint) FROM {} WHERE true
    ON CONFLICT (device_id) DO UPDATE SET at = excluded.at
"""
_ONE = _DEVICES.c.id == bindparam("device")
_SAID = update(_DEVICES).where(_ONE).values(inventory=bindparam("said"))


class Said(NamedTuple):
    product_id: int
    inventory: dict[str, Any]


class Presence:
    """A poll costs no write. SIGKILL loses at most the last second of this, and nothing else."""

    def __init__(self, db: Database, hub: Hub, now: Callable[[], int]) -> None:
        self._db = db
        self._hub = hub
        self._now = now
        self._seen: dict[int, int] = {}
        self._said: dict[int, Said] = {}
        self._flushing = asyncio.Lock()

    def saw(self, device_id: int, now: int) -> None:
        self._seen[device_id] = now

    def said(self, device_id: int, product_id: int, inventory: dict[str, Any]) -> None:
        self._said[device_id] = Said(product_id, inventory)

    def last(self, device_id: int) -> int | None:
        """What is not written yet."""
        return self._seen.get(device_id)

    async def flush(self) -> None:
        """Writes what has gathered; what cannot be written stays for the next time."""
        async with self._flushing:
            while self._seen:
                seen = dict(islice(self._seen.items(), SEEN_CHUNK))
                await self._write_seen(seen)
                _forget(self._seen, seen)
            while self._said:
                said = dict(islice(self._said.items(), CHUNK))
                async with self._db.write() as session:
                    moved = await self._write_inventory(session, said)
                _forget(self._said, said)
                for device in moved:
                    self._hub.publish(device.tenant_id, Event("device", device.id))

    async def _write_seen(self, seen: dict[int, int]) -> None:
        """One statement for all that were seen in the same second."""
        async with self._db.write() as session:
            connection = await session.connection()
            statement = text(_SEEN.format(_LISTED[connection.dialect.name]))
            for at in sorted(set(seen.values())):
                devices = sorted(device_id for device_id, when in seen.items() if when == at)
                await connection.execute(statement, {"devices": json.dumps(devices), "at": at})

    async def _write_inventory(self, session: AsyncSession, said: dict[int, Said]) -> list[Device]:
        """Also moves devices between groups whose rules ask for inventory; those that may have moved."""
        rows = [{"device": device_id, "said": each.inventory} for device_id, each in said.items()]
        await (await session.connection()).execute(_SAID, rows)
        asking = select(Group.product_id).where(Group.rule.contains("inventory.")).distinct()
        products = set(await session.scalars(asking))
        ids = [device_id for device_id, each in said.items() if each.product_id in products]
        if not ids:
            return []
        moved = list(await session.scalars(select(Device).where(Device.id.in_(ids))))
        for device in moved:
            await place(session, device, self._now())
        return moved

    async def run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                # The end of the service must not cut a transaction that others have joined.
                await asyncio.shield(self.flush())
            except Exception as problem:
                log.error("what boards said was not written", problem=repr(problem))


def _forget(kept: dict[int, Any], written: dict[int, Any]) -> None:
    """Leaves what came in since."""
    for device_id, value in written.items():
        if kept.get(device_id) == value:
            del kept[device_id]
