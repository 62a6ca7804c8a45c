"""Compiled inner loops: one decorator, one cache folder, integers only.

Costs are integers in 1/1024 bit and fast-math is never on, so the same inputs give the same bytes on
every machine. Signatures are explicit: a call with other types fails instead of compiling again.
Compiled code is kept in DRIBLET_CACHE, or else in the user's cache folder, never beside the source; in a
folder named after the source, since numba does not notice when a function that was compiled in changes.
"""

import hashlib
import os
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


numba.config.CACHE_DIR = str(cache_folder() / f"numba-{_digest()}")


def jit(*signature: str, inline: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Compiles a function; without a signature it takes its types from the compiled code that calls it.

    `inline` copies it into its callers: for two-line helpers of the innermost loops.
    """
    options = {"cache": True, "nogil": True, "error_model": "numpy", "boundscheck": False}
    if inline:
        options["inline"] = "always"
    return numba.njit(*signature, **options)
