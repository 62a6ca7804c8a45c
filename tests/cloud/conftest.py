"""A service in this process, on SQLite on disk, with a clock that tests move."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from otacloud import db

from tests.cloud.engines import QuickEngine
from tests.cloud.kit import Clock, Service, started


@pytest.fixture(scope="session", autouse=True)
def no_fsync() -> None:
    """These tests are not about power cuts of the server, and would wait for the disk most of the time."""
    db.PRAGMAS = tuple(p.replace("=FULL", "=OFF") for p in db.PRAGMAS)


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that is migrated already."""
    folder = tmp_path_factory.mktemp("empty")

    async def migrate() -> None:
        made = db.Database(f"sqlite+aiosqlite:///{folder / 'cloud.sqlite'}")
        await made.migrate()
        await made.close()

    asyncio.run(migrate())
    return folder


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def engine() -> QuickEngine:
    return QuickEngine()


@pytest.fixture
async def service(tmp_path: Path, empty: Path, clock: Clock, engine: QuickEngine) -> AsyncIterator[Service]:
    async with started(shutil.copytree(empty, tmp_path / "data"), clock, engine) as running:
        yield running
