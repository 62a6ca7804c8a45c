"""Writers that queue share a commit; none sees, loses or breaks what another does."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from otacloud import db
from otacloud.models import Tenant
from sqlalchemy import event, func, select


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[db.Database]:
    made = db.Database(f"sqlite+aiosqlite:///{tmp_path / 'x.sqlite'}")
    await made.migrate()
    yield made
    await made.close()


async def add(database: db.Database, name: str, fail: bool = False) -> None:
    async with database.write() as session:
        session.add(Tenant(name=name, created_at=0))
        await session.flush()
        if fail:
            raise ZeroDivisionError


async def names(database: db.Database) -> list[str]:
    async with database.read() as session:
        return list(await session.scalars(select(Tenant.name).order_by(Tenant.name)))


async def test_many_writers_few_commits(database: db.Database) -> None:
    commits = 0

    def count(_connection: object) -> None:
        nonlocal commits
        commits += 1

    event.listen(database._writer.sync_engine, "commit", count)
    await asyncio.gather(*(add(database, f"t{n:02}") for n in range(40)))
    assert len(await names(database)) == 40
    assert commits <= 3


async def test_a_failure_is_its_own(database: db.Database) -> None:
    writers = [add(database, f"t{n}", fail=n % 2 == 1) for n in range(6)]
    results = await asyncio.gather(*writers, return_exceptions=True)
    assert [type(r) for r in results] == [type(None), ZeroDivisionError] * 3
    assert await names(database) == ["t0", "t2", "t4"]


async def test_on_disk_when_it_returns(database: db.Database) -> None:
    await add(database, "one")
    other = db.Database(str(database.url))
    assert await names(other) == ["one"]
    await other.close()


async def test_cancelled_writers_hold_nobody_up(database: db.Database) -> None:
    async def slow() -> None:
        async with database.write() as session:
            session.add(Tenant(name="slow", created_at=0))
            await asyncio.sleep(3600)

    first = asyncio.create_task(slow())
    await asyncio.sleep(0.02)
    queued = asyncio.create_task(add(database, "queued"))
    gone = asyncio.create_task(add(database, "gone"))
    await asyncio.sleep(0.02)
    gone.cancel()
    first.cancel()
    await asyncio.wait_for(queued, 5)
    assert await names(database) == ["queued"]
    await asyncio.wait_for(add(database, "after"), 5)
    assert await names(database) == ["after", "queued"]


async def test_a_writer_sees_those_before_it(database: db.Database) -> None:
    seen = []

    async def write(number: int) -> None:
        async with database.write() as session:
            seen.append(await session.scalar(select(func.count()).select_from(Tenant)))
            session.add(Tenant(name=f"t{number}", created_at=0))

    await asyncio.gather(*(write(number) for number in range(20)))
    assert seen == list(range(20))
