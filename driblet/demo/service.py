"""The cloud of the demo: a real `driblet serve` process and the client that a product team would use."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from otacloud.client import Client
from otaspec.errors import error
from prometheus_client.parser import text_string_to_metric_families

START_SECONDS = 120
STOP_SECONDS = 10


@asynccontextmanager
async def running(data: Path, token: str = "", **settings: str) -> AsyncIterator[tuple[Client, str]]:
    """`driblet serve` on a free port with its data in `data`: (client, admin token); ended with the block.

    `token`: of data that was made before; a fresh service tells its own. `settings`: as in docs/settings.md.
    """
    data.mkdir(parents=True, exist_ok=True)
    with (data / "service.log").open("w") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "driblet", "serve", "--port", "0", "--data", str(data), "--json"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env={**os.environ, "DRIBLET_POLL_INTERVAL": "1", **settings},
        )
    try:
        url, fresh = await _announced(process, data)
        with Client(url, fresh or token) as client:
            yield client, fresh or token
    finally:
        await _end(process)


def copy(data: Path, target: Path) -> None:
    """A second service's data: the database as it is now, the objects and the master key."""
    shutil.copytree(data, target, ignore=shutil.ignore_patterns("*.sqlite*", "*.log"))
    with (
        contextlib.closing(sqlite3.connect(data / "cloud.sqlite")) as source,
        contextlib.closing(sqlite3.connect(target / "cloud.sqlite")) as sink,
    ):
        source.backup(sink)


def bytes_sent(client: Client) -> int:
    """Bytes of packages that the service handed out since its start, as its metrics say."""
    text = httpx.get(f"{client.server}/metrics", timeout=10).raise_for_status().text
    family = next(f for f in text_string_to_metric_families(text) if f.name == "driblet_package_bytes")
    return int(family.samples[0].value)


async def _announced(process: asyncio.subprocess.Process, data: Path) -> tuple[str, str | None]:
    """The service tells its address, and a new admin token, in its first line."""
    if process.stdout is None:
        raise AssertionError("started with a pipe")
    try:
        line = await asyncio.wait_for(process.stdout.readline(), START_SECONDS)
        said = json.loads(line)
        return said["url"], said["token"]
    except (TimeoutError, ValueError, KeyError) as problem:
        raise error(301, f"the service did not start: see {data / 'service.log'}"[:120]) from problem


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
