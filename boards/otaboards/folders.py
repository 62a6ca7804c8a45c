"""Where built things go: `build/` of the checkout; the user's cache where driblet is an installed wheel."""

import os
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[2]


def is_checkout() -> bool:
    """Whether this runs from a checkout and not from an installed wheel."""
    return (_CHECKOUT / "bootloader_spec" / "otaspec").is_dir()


def build_folder(name: str) -> Path:
    """The folder for built things of one kind. It may not be there yet."""
    if is_checkout():
        return _CHECKOUT / "build" / name
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache, "driblet", name)


def runtime_folder() -> Path:
    """Where MicroPython is unpacked: `$DRIBLET_RUNTIME_DIR` if it is set."""
    named = os.environ.get("DRIBLET_RUNTIME_DIR")
    return Path(named).absolute() if named else build_folder("runtime")
