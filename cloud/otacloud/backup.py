"""Backups: one .tar of the database and every object, made while the service runs; and back from it.

The master key is not in it: kept apart, a backup that is lost opens nothing.
"""

import hashlib
import io
import json
import os
import shutil
import sqlite3
import subprocess
import tarfile
import tempfile
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

from alembic.script import ScriptDirectory
from otaspec.errors import OtaError, code, error
from pydantic import BaseModel
from sqlalchemy import URL

from otacloud.db import MIGRATIONS, Database
from otacloud.storage import KINDS, Storage

DATABASE = {True: "database.sqlite", False: "database.pgdump"}
FACTS = "backup.json"


class Backup(BaseModel):
    """What a backup holds."""

    file: Path
    revision: str
    objects: int
    bytes: int


def _refuse(evidence: str) -> OtaError:
    return error(code("FILE_UNREADABLE"), evidence[:120])


# the database


def dump(url: URL, to: Path) -> None:
    """A copy as of now; SQLite's own online backup, or pg_dump. Writers are not held up."""
    if url.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(str(url.database))) as source, closing(sqlite3.connect(to)) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a write-ahead log beside it
    else:
        _run(url, "pg_dump", "--format=custom", "--no-owner", "--file", str(to), _dsn(url))


def load(url: URL, dumped: Path) -> None:
    """Puts a copy in the place of an empty database."""
    if url.get_backend_name() == "sqlite":
        shutil.copyfile(dumped, str(url.database))
    else:
        _run(url, "pg_restore", "--exit-on-error", "--no-owner", "--dbname", _dsn(url), str(dumped))


def _dsn(url: URL) -> str:
    """As libpq's programs take it; the password goes by the environment, where nobody else sees it."""
    return url.set(drivername="postgresql", password=None).render_as_string()


def _run(url: URL, *words: str) -> None:
    environment = {**os.environ, **({"PGPASSWORD": str(url.password)} if url.password else {})}
    try:
        done = subprocess.run(words, capture_output=True, text=True, env=environment)
    except FileNotFoundError:
        raise _refuse(f"{words[0]} is not here: apt-get install postgresql-client") from None
    if done.returncode:
        raise _refuse(f"{words[0]}: {done.stderr.strip().splitlines()[-1] if done.stderr else 'failed'}")


# the whole


async def make(database: Database, storage: Storage, to: Path) -> Backup:
    """Writes the backup to `to`, whole or not at all.

    The database goes first: every object that it names was there before, and objects never change.
    """
    part = to.with_name(to.name + ".part")
    with tempfile.TemporaryDirectory(dir=to.parent) as folder:
        dumped = Path(folder, "dump")
        dump(database.url, dumped)
        made = Backup(file=to, revision=await database.revision(), objects=0, bytes=0)
        with tarfile.open(part, "w") as tar:
            tar.add(dumped, DATABASE[database.is_sqlite])
            async for name, data in _objects(storage):
                _add(tar, f"objects/{name}", data)
                made.objects += 1
            _add(tar, FACTS, json.dumps({"revision": made.revision, "objects": made.objects}).encode())
    made.bytes = part.stat().st_size
    part.replace(to)
    return made


async def _objects(storage: Storage) -> AsyncIterator[tuple[str, bytes]]:
    for kind in KINDS:
        async for sha256 in storage.names(kind):
            yield f"{kind}/{sha256}", await storage.get(kind, sha256)


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


async def restore(database: Database, storage: Storage, file: Path) -> Backup:
    """Fills an empty database and storage from the backup, each object checked by its hash.

    Before anything is written: FILE_UNREADABLE for a file that is no whole backup of this kind of database,
    or that a newer version made; STATE_CONFLICT where there is a database already.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            facts, dumped = _look(file, DATABASE[database.is_sqlite], Path(folder))
        except (OSError, tarfile.TarError, ValueError, KeyError) as problem:
            raise _refuse(f"{file}: {problem}") from None
        known = {script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}
        if facts["revision"] not in known:
            raise _refuse(f"it was made by a newer version (schema {facts['revision']})")
        if await database.revision():
            raise error(code("STATE_CONFLICT"), "there is a database already: restore into a new folder")
        count = await _restore_objects(storage, file)
        await database.close()  # SQLite: nobody may look while the file is put there
        load(database.url, dumped)
    await database.migrate()
    size = file.stat().st_size
    return Backup(file=file, revision=await database.revision(), objects=count, bytes=size)


def _look(file: Path, database: str, folder: Path) -> tuple[dict[str, str], Path]:
    """The facts, which are written last, and the database's dump; every object is read once."""
    dumped = folder / "dump"
    facts: dict[str, str] = {}
    with tarfile.open(file) as tar:
        for member in tar:
            content = tar.extractfile(member)
            if content is None:
                continue  # a folder
            if member.name == database:
                with dumped.open("wb") as copy:
                    shutil.copyfileobj(content, copy)
            elif member.name == FACTS:
                facts = json.load(content)
            elif member.name.startswith("objects/"):
                _check(member.name, content.read())
    if not facts or not dumped.exists():
        raise ValueError(f"it has no {FACTS if not facts else database}: not whole, or of another database")
    return facts, dumped


def _check(name: str, data: bytes) -> None:
    if hashlib.sha256(data).hexdigest() != name.rsplit("/", 1)[1]:
        raise ValueError(f"{name} is damaged")


async def _restore_objects(storage: Storage, file: Path) -> int:
    count = 0
    with tarfile.open(file) as tar:
        for member in tar:
            _, _, name = member.name.partition("objects/")
            kind, _, _ = name.partition("/")
            content = tar.extractfile(member)
            if kind in KINDS and content is not None:
                await storage.put(kind, content.read())
                count += 1
    return count
