"""The database: SQLite in WAL mode by default, PostgreSQL by URL."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from otacloud.groupcommit import GroupCommit

MIGRATIONS = Path(__file__).parent / "migrations"

# How a row is locked on PostgreSQL: rows that refer to it may still be added meanwhile. A plain FOR UPDATE
# waits for those too, and two writers that each had added one would wait for each other for ever.
LOCK = {"key_share": True}

PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # what was acknowledged survives a power cut of the server too
    "PRAGMA busy_timeout=10000",
)


class Database:
    """Sessions to read with and sessions to write with.

    SQLite has one writer at a time, so writers queue for a single connection that begins with
    BEGIN IMMEDIATE (nobody meets SQLITE_BUSY half-way), and commit together where they queue.
    """

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._reader = self._engine("BEGIN")
        self._writer = (
            self._engine("BEGIN IMMEDIATE", pool_size=1, max_overflow=0) if self.is_sqlite else self._reader
        )
        self._group = GroupCommit(self._writer)

    def _engine(self, begin: str, foreign_keys: bool = True, **options: Any) -> AsyncEngine:
        engine = create_async_engine(self.url, **options)
        if self.is_sqlite:
            pragmas = (*PRAGMAS, f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}")
            event.listen(engine.sync_engine, "connect", lambda dbapi, _: _set_up_sqlite(dbapi, pragmas))
            event.listen(engine.sync_engine, "begin", lambda connection: connection.exec_driver_sql(begin))
        return engine

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A session whose changes are thrown away."""
        async with AsyncSession(self._reader, expire_on_commit=False) as session:
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """A session that is committed, and on disk, at the end; or rolled back on an exception."""
        if self.is_sqlite:
            async with self._group.session() as session:
                yield session
            return
        async with AsyncSession(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    async def migrate(self, revision: str = "head") -> None:
        """Brings the schema up, or down, to `revision`, in one transaction.

        SQLite changes a table by making it anew, which foreign keys must not notice: they are
        checked at the end instead.
        """
        engine = self._engine("BEGIN IMMEDIATE", foreign_keys=False) if self.is_sqlite else self._writer
        async with engine.begin() as connection:
            await connection.run_sync(_migrate, revision)
            if self.is_sqlite:
                broken = (await connection.exec_driver_sql("PRAGMA foreign_key_check")).first()
                assert broken is None, f"migration breaks a reference: {broken}"
        if self.is_sqlite:
            await engine.dispose()

    async def revision(self) -> str:
        """The schema's revision; empty where there is no schema."""
        async with self._reader.connect() as connection:
            return await connection.run_sync(
                lambda c: MigrationContext.configure(c).get_current_revision() or ""
            )

    async def close(self) -> None:
        await self._group.close()
        await self._reader.dispose()
        await self._writer.dispose()


def _set_up_sqlite(connection: DBAPIConnection, pragmas: Sequence[str]) -> None:
    connection.isolation_level = None  # the driver must not begin transactions behind our back
    cursor = connection.cursor()
    for pragma in pragmas:
        cursor.execute(pragma)
    cursor.close()


def alembic_config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def _migrate(connection: Connection, revision: str) -> None:
    config = alembic_config(connection)
    if revision == "head":
        command.upgrade(config, revision)
        return
    now = MigrationContext.configure(connection).get_current_revision() or "base"
    goes_down = revision == "base" or (now != "base" and revision < now)  # revisions are numbered
    (command.downgrade if goes_down else command.upgrade)(config, revision)
