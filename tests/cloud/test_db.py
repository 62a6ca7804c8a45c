"""The schema by migrations is the schema of the models; writers wait for each other."""

import asyncio
import contextlib
import json
import sqlite3
from pathlib import Path

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

    await database.migrate("base")
    async with database._writer.begin() as connection:
        tables = await connection.run_sync(lambda c: inspect(c).get_table_names())
        assert tables == ["alembic_version"]
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


ROWS = """
INSERT INTO tenants (id, name, created_at) VALUES (1, 't', 0);
INSERT INTO products (id, tenant_id, pk, name, registration, ps_sealed, next_seq, created_at)
  VALUES (1, 1, 'p', 'p', 'open', '', 2, 0);
INSERT INTO devices (id, tenant_id, product_id, dn, origin, access, generation, seq, agent, staging, ram,
  codecs, inventory, state, step, code, detail, last_report, created_at)
  VALUES (1, 1, 1, 'd', 'dynamic', 'approved', 1, 0, 0, 0, 0, '[]', '{}', 'idle', 0, 0, '', 0, 0);
INSERT INTO releases (id, tenant_id, product_id, version, seq, board, chip, image_sha256, image_size, notes,
  created_at) VALUES (1, 1, 1, '1', 1, 'b', 0, 'x', 1, '', 0);
INSERT INTO rollouts (id, tenant_id, product_id, release_id, audience, state, why, canary, parallel,
  stop_after_failures, retry_after, created_at) VALUES (1, 1, 1, 1, 'all', 'running', '', 2, 0, 1, 300, 7);
INSERT INTO targets (rollout_id, device_id, state, code, attempts, active_at, not_before, updated_at)
  VALUES (1, 1, 'offered', 0, 1, 0, 0, 0);
"""


async def test_rows_survive_the_way_up_and_down(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    database = db.Database(f"sqlite+aiosqlite:///{path}")
    await database.migrate("0001")
    with contextlib.closing(sqlite3.connect(path)) as rows:
        rows.executescript(ROWS)
        rows.execute("UPDATE devices SET last_seen_at = 77")
        rows.commit()
    await database.migrate()
    with contextlib.closing(sqlite3.connect(path)) as rows:
        phases, total, started = rows.execute("SELECT phases, total, started_at FROM rollouts").fetchone()
        assert json.loads(phases) == [{"count": 2, "percent": 0, "success": 100, "soak": 0}]
        assert (total, started) == (1, 7)
        assert rows.execute("SELECT tags, group_id FROM devices").fetchone() == ("[]", None)
        assert rows.execute("SELECT count(*) FROM targets").fetchone() == (1,)
        assert rows.execute("SELECT * FROM seen").fetchall() == [(1, 77)]
    await database.migrate("0001")
    with contextlib.closing(sqlite3.connect(path)) as rows:
        assert rows.execute("SELECT state, attempts FROM targets").fetchone() == ("offered", 1)
        assert rows.execute("SELECT last_seen_at FROM devices").fetchone() == (77,)
    await database.close()


def test_migrations_are_one_line() -> None:
    """Two that were written beside each other would leave a service that does not start."""
    files = sorted(path.name for path in (db.MIGRATIONS / "versions").glob("*.py"))
    assert [name[:4] for name in files] == [f"{number + 1:04}" for number in range(len(files))]
