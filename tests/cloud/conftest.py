"""A service in this process, on SQLite on disk, with a clock that tests move."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cloud.kit import Clock, Service, started


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def service(tmp_path: Path, clock: Clock) -> AsyncIterator[Service]:
    async with started(tmp_path / "data", clock) as running:
        yield running
