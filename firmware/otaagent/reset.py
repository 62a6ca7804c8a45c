"""Factory reset: the application's files go; the board's identity and what keeps it safe stay.

First a mark in NVS, then the reset, then the work, then the mark is taken off: a cut anywhere in it leads
to the same end. The floor of seq, the blocklist and the journal stay, so no old release comes back.
"""

import json
import os

import esp32
import machine

from .config import NAMESPACE

_MARK = "reset"
_BUNDLES = "bundle"  # belongs to the release, not to the application's data
_FORGOTTEN = ("policy", _MARK)


def begin(board: "Board", keep: tuple) -> None:
    """Mark it, and reset. `keep`: names in the root folder."""
    if board.on_trial or not board.frozen:
        raise RuntimeError("not on trial, and not where the agent itself lies in the file system")
    nvs = esp32.NVS(NAMESPACE)
    nvs.set_blob(_MARK, json.dumps(list(keep)).encode())
    nvs.commit()
    machine.reset()


def finish(board: "Board") -> None:
    """At the boot that follows, before the application is imported."""
    nvs = esp32.NVS(NAMESPACE)
    buf = bytearray(512)
    keep = json.loads(bytes(memoryview(buf)[: nvs.get_blob(_MARK, buf)]))
    board.log("factory reset; kept:", keep)
    for name in os.listdir():
        if name not in keep and name != _BUNDLES:
            remove(name)
            board.feed()
    for key in _FORGOTTEN:  # the mark last
        try:
            nvs.erase_key(key)
            nvs.commit()
        except OSError:
            pass  # was not there


def remove(path: str) -> None:
    """A file, or a folder with all in it."""
    try:
        names = os.listdir(path)
    except OSError:
        names = None
    if names is None:
        os.remove(path)
        return
    for name in names:
        remove(path + "/" + name)
    os.rmdir(path)
