"""A backup is made while the service runs; what is restored from it works, boards and all."""

import shutil
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from otacloud import backup
from otacloud.app import open_stores
from otacloud.settings import Settings
from otaspec.errors import OtaError

from tests.cloud import postgres
from tests.cloud.engines import QuickEngine
from tests.cloud.kit import Clock, Service, started
from tests.cloud.test_rollouts import Fleet
from tests.conftest import Driblet


async def story(service: Service, clock: Clock) -> Fleet:
    """Three boards, one of which has confirmed."""
    fleet = await Fleet(service, await service.product(), clock).set_up(3)
    await fleet.roll_out()
    await fleet.confirm(fleet.boards[0])
    return fleet


async def goes_on(restored: Service, fleet: Fleet) -> None:
    """The boards of the fleet log in at the restored service and finish the rollout there."""
    for board in fleet.boards:
        board.http = restored.http
        assert (await board.login()).status_code == 200
    restored.token = fleet.service.token
    fleet.service = restored
    for board in fleet.boards[1:]:
        update = (await board.poll())["update"]
        answer = await restored.http.get(update["url"])
        assert len(answer.content) == update["size"]
        await fleet.confirm(board)
    shown = await fleet.show()
    assert (shown["state"], shown["counts"]["confirmed"]) == ("done", 3)
    assert (await restored.call("GET", "/audit/check"))["broken_at"] is None


async def copy(settings: Settings, file: Path, act: Any) -> backup.Backup:
    db, storage = open_stores(settings)
    try:
        return await act(db, storage, file)  # type: ignore[no-any-return]
    finally:
        await db.close()


async def test_sqlite_and_a_folder(
    service: Service, clock: Clock, engine: QuickEngine, tmp_path: Path
) -> None:
    fleet = await story(service, clock)
    file = tmp_path / "b.tar"
    made = await copy(service.cloud.settings, file, backup.make)
    assert made.objects >= 4
    with tarfile.open(file) as tar:  # no master key
        assert not [name for name in tar.getnames() if "key" in name]
    new = tmp_path / "new"
    back = await copy(Settings(data=new), file, backup.restore)
    assert (back.objects, back.revision) == (made.objects, made.revision)
    shutil.copy(service.cloud.settings.data / "master.key", new / "master.key")
    async with started(new, clock, engine) as restored:
        await goes_on(restored, fleet)
    with pytest.raises(OtaError, match="STATE_CONFLICT"):
        await copy(Settings(data=new), file, backup.restore)


@pytest.mark.slow
async def test_postgresql(tmp_path: Path, clock: Clock, engine: QuickEngine) -> None:
    postgres.program("pg_dump")
    file = tmp_path / "b.tar"
    with postgres.running() as url, postgres.running() as other:
        async with started(tmp_path / "old", clock, engine, database_url=url) as service:
            fleet = await story(service, clock)
            await copy(service.cloud.settings, file, backup.make)
        settings = Settings(data=tmp_path / "new", database_url=other)
        await copy(settings, file, backup.restore)
        shutil.copy(tmp_path / "old" / "master.key", tmp_path / "new" / "master.key")
        async with started(tmp_path / "new", clock, engine, database_url=other) as restored:
            await goes_on(restored, fleet)


async def test_what_is_not_whole_is_refused_before_anything_is_written(
    service: Service, clock: Clock, tmp_path: Path
) -> None:
    await story(service, clock)
    file = tmp_path / "b.tar"
    await copy(service.cloud.settings, file, backup.make)
    good = file.read_bytes()
    new = tmp_path / "new"
    for bad in (good[: len(good) // 2], good.replace(b"old" * 20, b"odl" * 20), b"no tar", b""):
        assert bad != good
        file.write_bytes(bad)
        with pytest.raises(OtaError, match="FILE_UNREADABLE"):
            await copy(Settings(data=new), file, backup.restore)
        assert not list((new / "objects").rglob("*/*"))
    file.write_bytes(good)
    newer = tmp_path / "newer.tar"
    with tarfile.open(file) as tar:
        tar.extractall(tmp_path / "out", filter="data")
    facts = tmp_path / "out" / backup.FACTS
    facts.write_text(facts.read_text().replace('"revision": "', '"revision": "9'))
    with tarfile.open(newer, "w") as tar:
        for path in sorted((tmp_path / "out").iterdir()):
            tar.add(path, path.name)
    with pytest.raises(OtaError, match="newer version"):
        await copy(Settings(data=new), newer, backup.restore)


def test_commands(driblet: Driblet, empty: Path, tmp_path: Path) -> None:
    file = tmp_path / "b.tar"
    done = driblet("backup", file, "--data", empty)
    assert (done.status, "written, 0 objects" in done.stdout.replace("\n", " ")) == (0, True), done
    assert driblet("restore", file, "--data", tmp_path / "new").status == 0
    with closing(sqlite3.connect(tmp_path / "new" / "cloud.sqlite")) as rows:
        assert rows.execute("SELECT count(*) FROM devices").fetchone() == (0,)
    again = driblet("restore", file, "--data", tmp_path / "new")
    assert again.status == 2
    assert "restore into a new folder" in again.stderr.replace("\n", " ")
