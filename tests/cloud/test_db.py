"""The schema by migrations is the schema of the models; writers wait for each other."""

import asyncio
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from otacloud import db
from otacloud.models import Base, Tenant
from sqlalchemy import Connection, func, inspect, select


async def test_migrations_make_what_the_models_say(tmp_path: Path) -> None:
    database = db.Database(f"sqlite+aiosqlite:///{tmp_path / 'x.sqlite'}")
    await database.migrate()

    def compare(connection: Connection) -> object:
        return compare_metadata(MigrationContext.configure(connection), Base.metadata)

    async with database._writer.begin() as connection:
        assert await connection.run_sync(compare) == []
    await database.close()


async def test_down_and_up_again(tmp_path: Path) -> None:
    database = db.Database(f"sqlite+aiosqlite:///{tmp_path / 'x.sqlite'}")
    await database.migrate()

    def down(connection: Connection) -> list[str]:
        command.downgrade(db.alembic_config(connection), "base")
        return inspect(connection).get_table_names()

    async with database._writer.begin() as connection:
        assert await connection.run_sync(down) == ["alembic_version"]
    await database.migrate()
    await database.close()


async def test_fifty_writers_at_once(tmp_path: Path) -> None:
    database = db.Database(f"sqlite+aiosqlite:///{tmp_path / 'x.sqlite'}")
    await database.migrate()

    async def write(number: int) -> None:
        async with database.write() as session:
            count = await session.scalar(select(func.count()).select_from(Tenant))
            await asyncio.sleep(0)
            session.add(Tenant(name=f"t{number}", created_at=count or 0))

    await asyncio.gather(*(write(number) for number in range(50)))
    async with database.read() as session:
        seen = sorted((await session.scalars(select(Tenant.created_at))).all())
    assert seen == list(range(50))  # none saw the same state as another
    await database.close()


async def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    database = db.Database(f"sqlite+aiosqlite:///{tmp_path / 'x.sqlite'}")
    await database.migrate()
    try:
        async with database.write() as session:
            session.add(Tenant(name="t", created_at=0))
            await session.flush()
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    async with database.read() as session:
        assert await session.scalar(select(func.count()).select_from(Tenant)) == 0
    await database.close()
