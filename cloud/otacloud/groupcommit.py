"""Writers of SQLite: one at a time; those that queue meanwhile share one transaction and one fsync."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession


@dataclass
class _Batch:
    connection: AsyncConnection
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    closing: asyncio.Task[None] | None = None


class GroupCommit:
    """Each writer has a savepoint of its own, so that its failure is its own. It returns after the commit.

    The lock is fair. The first writer of a batch queues the commit behind everybody who waits at that
    moment: they join the batch, whoever comes later opens the next one.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._lock = asyncio.Lock()
        self._open: _Batch | None = None

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        async with self._lock:
            batch = self._open or await self._begin()
            try:
                async with self._savepoint(batch) as session:
                    yield session
            finally:
                if batch.closing is None:
                    batch.closing = asyncio.create_task(self._commit(batch))
        await asyncio.shield(batch.done)

    @asynccontextmanager
    async def _savepoint(self, batch: _Batch) -> AsyncIterator[AsyncSession]:
        joined = AsyncSession(
            batch.connection, join_transaction_mode="create_savepoint", expire_on_commit=False
        )
        async with joined as session, session.begin():
            yield session

    async def _begin(self) -> _Batch:
        connection = await self._engine.connect()
        try:
            await connection.begin()
        except BaseException:
            await connection.close()
            raise
        self._open = _Batch(connection)
        return self._open

    async def _commit(self, batch: _Batch) -> None:
        async with self._lock:
            self._open = None
            try:
                try:
                    await batch.connection.commit()
                finally:
                    await batch.connection.close()
            except BaseException as problem:
                batch.done.set_exception(problem)
            else:
                batch.done.set_result(None)

    async def close(self) -> None:
        """Waits for the batch that is open."""
        if self._open is not None and self._open.closing is not None:
            await self._open.closing
