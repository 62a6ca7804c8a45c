"""PostgreSQL by URL: the schema, and the story of a rollout, without a line of code changed."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from otacloud import db
from otacloud.models import Base, Device
from sqlalchemy import Connection, inspect, make_url, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from tests.cloud import postgres
from tests.cloud.engines import QuickEngine
from tests.cloud.kit import Clock, Service, joined, started

# Its tests run here once more: pytest collects them with this module's `service`.
from tests.cloud.test_rollouts import *  # noqa: F403
from tests.cloud.test_rollouts import Fleet

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with postgres.running() as found:
        yield found


@pytest.fixture(scope="module")
def migrated(url: str) -> str:
    """The name of a database with every table, to make others from."""

    async def migrate() -> None:
        made = db.Database(url)
        await made.migrate()
        await made.close()

    asyncio.run(migrate())
    return make_url(url).database or ""


async def create(url: str, name: str, template: str) -> str:
    """The URL of a new database, a copy of `template`."""
    admin = create_async_engine(make_url(url).set(database="postgres"), isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    await admin.dispose()
    return make_url(url).set(database=name).render_as_string(hide_password=False)


_numbers = itertools.count()


@pytest.fixture
async def database_url(url: str, migrated: str) -> str:
    return await create(url, f"t{next(_numbers)}", migrated)


@pytest.fixture
async def service(
    tmp_path: Path, database_url: str, clock: Clock, engine: QuickEngine
) -> AsyncIterator[Service]:
    async with started(tmp_path / "data", clock, engine, database_url=database_url) as running:
        yield running
    assert not list((tmp_path / "data").glob("*.sqlite"))


async def test_up_down_and_up_again(url: str) -> None:
    database = db.Database(await create(url, "empty", "template0"))

    def tables(connection: Connection) -> list[str]:
        return inspect(connection).get_table_names()

    def compare(connection: Connection) -> object:
        return compare_metadata(MigrationContext.configure(connection), Base.metadata)

    await database.migrate()
    async with database._writer.begin() as connection:
        assert await connection.run_sync(compare) == []
    for revision in ("0008", "0007", "0003", "0002", "0001", "base"):
        await database.migrate(revision)
    async with database._writer.begin() as connection:
        assert await connection.run_sync(tables) == ["alembic_version"]
    for revision in ("0001", "0002", "head"):
        await database.migrate(revision)
    async with database._writer.begin() as connection:
        assert await connection.run_sync(compare) == []
    await database.close()


async def test_the_audit_log_only_grows(service: Service) -> None:
    await service.product()
    for change in ("UPDATE audit_entries SET who = 'x'", "DELETE FROM audit_entries"):
        with pytest.raises(DBAPIError, match="only grows"):
            async with service.cloud.db.write() as session:
                await session.execute(text(change))


async def test_boards_that_come_all_at_once_get_no_more_than_the_gate_lets_through(
    service: Service, clock: Clock
) -> None:
    """Here writers do not queue: the row of the rollout is the lock."""
    fleet = await Fleet(service, await service.product(), clock).set_up(16)
    await fleet.roll_out(canary=0, parallel=3)
    answers = await asyncio.gather(*(board.poll() for board in fleet.boards))
    assert sum(answer["update"] is not None for answer in answers) == 3


async def test_what_boards_say_in_passing_is_written(service: Service, clock: Clock) -> None:
    product = await service.product()
    boards = [await joined(service, product, dn) for dn in ("kitchen", "cellar")]
    for later in (0, 5):
        clock.time += later
        for board in boards:
            await board.poll(uptime=later)
        await service.cloud.presence.flush()
        assert not service.cloud.presence._seen
        async with service.cloud.db.read() as session:
            assert set(await session.scalars(select(Device.last_seen_at).select_from(Device))) == {clock.time}
    shown = await service.call("GET", "/products/thermostat/devices/cellar")
    assert (shown["inventory"], shown["last_seen_at"]) == ({"uptime": 5}, clock.time)


async def test_audit_entries_of_many_at_once_make_one_chain(service: Service) -> None:
    await asyncio.gather(*(service.product(f"p{n}") for n in range(12)))
    checked = await service.call("GET", "/audit/check")
    assert (checked["entries"], checked["broken_at"]) == (12, None)
