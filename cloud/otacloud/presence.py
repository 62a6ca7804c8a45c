"""When each device was last seen: collected in memory, written once a second."""

import asyncio

import structlog
from sqlalchemy import update

from otacloud.db import Database
from otacloud.models import Device

log = structlog.get_logger()

INTERVAL = 1.0


class Presence:
    """A poll costs no write. SIGKILL loses at most the last second of last-seen, nothing else."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._seen: dict[int, int] = {}

    def saw(self, device_id: int, now: int) -> None:
        self._seen[device_id] = now

    def last(self, device_id: int) -> int | None:
        """What is not written yet."""
        return self._seen.get(device_id)

    async def flush(self) -> None:
        if not self._seen:
            return
        seen, self._seen = self._seen, {}
        async with self._db.write() as session:
            await session.execute(update(Device), [{"id": d, "last_seen_at": s} for d, s in seen.items()])

    async def run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await self.flush()
            except Exception as problem:
                log.error("last-seen was not written", problem=repr(problem))
