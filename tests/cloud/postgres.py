"""A PostgreSQL that the tests start in a folder and stop again. Where there is none they are skipped."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

FOUND = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
FAST = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c shared_buffers=32MB"


def program(name: str) -> str:
    """Debian keeps the server's programs out of PATH. Skips the test where there is none."""
    path = FOUND[-1] / name if FOUND else shutil.which(name)
    if path is None:
        pytest.skip(f"no PostgreSQL here ({name}): apt-get install postgresql")
    return str(path)


def _as_nobody() -> list[str]:
    """The server refuses to run as root."""
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.getuid() == 0 else []


@contextmanager
def running() -> Iterator[str]:
    """The URL of an empty database, for SQLAlchemy."""
    initdb, server, before = program("initdb"), program("pg_ctl"), _as_nobody()
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # a short path: sockets have short names
    if before:
        shutil.chown(folder, "nobody", "nogroup")
    data = folder / "data"

    def run(*words: str) -> None:
        done = subprocess.run([*before, *words], cwd=folder, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr

    run(initdb, "-D", str(data), "-U", "driblet", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    options = f"-h 127.0.0.1 -p {port} -k {folder} {FAST}"
    try:
        run(server, "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
        run(program("createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "driblet", "driblet")
        yield f"postgresql+asyncpg://driblet@127.0.0.1:{port}/driblet"
    finally:
        subprocess.run([*before, server, "-D", str(data), "-m", "immediate", "stop"], capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
