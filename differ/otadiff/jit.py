"""Compiled inner loops: one decorator, one cache folder, integers only.

Costs are integers in 1/1024 bit and fast-math is never on, so the same inputs give the same bytes on
every machine. Signatures are explicit: a call with other types fails instead of compiling again.
Compiled code is kept in DRIBLET_CACHE, or else in the user's cache folder, never beside the source; in a
folder named after the source, since numba does not notice when a function that was compiled in changes.
A process of its own fills that folder, since compiling takes more memory than encoding and gives none back.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

BIT = 1024
"""One bit of cost."""


def cache_folder() -> Path:
    """Where compiled code is kept: DRIBLET_CACHE, else XDG_CACHE_HOME/driblet, else ~/.cache/driblet."""
    named = os.environ.get("DRIBLET_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "driblet"


def _digest() -> str:
    """Names the source of every compiled loop."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(s.read_bytes() for s in sources)).hexdigest()[:12]


_FOLDER = cache_folder() / f"numba-{_digest()}"
_COMPILING = "DRIBLET_COMPILING"
_EVERYTHING = "from otadiff import address; address.encode(bytes(999), bytes(range(250)) * 9)"

numba.config.CACHE_DIR = str(_FOLDER)


def _fill() -> None:
    """Has every loop compiled, once; who comes meanwhile waits. Where nothing can be kept, each compiles."""
    done = _FOLDER / "complete"
    if _COMPILING in os.environ or done.is_file():
        return
    try:
        _FOLDER.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {_COMPILING: "1", "PYTHONPATH": os.pathsep.join(sys.path)}
        with (_FOLDER / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.is_file():
                subprocess.run([sys.executable, "-c", _EVERYTHING], env=environment, check=True)
                done.touch()
    except (OSError, subprocess.CalledProcessError):
        return


_fill()


def jit(*signature: str, inline: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Compiles a function; without a signature it takes its types from the compiled code that calls it.

    `inline` copies it into its callers: for two-line helpers of the innermost loops.
    """
    options = {"cache": True, "nogil": True, "error_model": "numpy", "boundscheck": False}
    if inline:
        options["inline"] = "always"
    return numba.njit(*signature, **options)
