"""Who this board is and how it behaves: from NVS, namespace "driblet" (README.md lists the keys).

Written by provisioning; the agent itself writes only `ds`.
"""

import esp32
from micropython import const
from otaspec.errors import error

_NVS_FAILED = const(404)
_LONGEST = const(2048)  # bytes of a value: a CA certificate

NAMESPACE = "driblet"
API_LEVEL = 1  # manifest.min_agent is compared with this

# NVS key (at most 15 characters): value when absent. Its type is the value's type.
_DEFAULTS = {
    "pk": "",  # product key
    "dn": "",  # device name
    "ds": b"",  # device secret, 32 bytes; absent until registered
    "ps": b"",  # product secret, 32 bytes; absent where each device has its own secret
    "server": "",  # base URLs, in order of preference, separated by blanks
    "ca": b"",  # the one CA that is trusted, DER or PEM
    "keys": b"",  # public keys that may sign releases: X || Y, 64 bytes each
    "board": "",  # board id
    "version": "",  # version of the image that the board was made with
    "dev": 0,  # 1: development mode: plain HTTP may be used, state lines are printed
    "poll": 60,  # s between polls until the server says otherwise
    "wait": 0,  # s for which the server may hold a poll until there is something: long-poll
    "mqtt": "",  # broker that may say "poll now": mqtts://host:8883
    "timeout": 20,  # s for one read or write on the network
    "rate": 64,  # bytes/s: a slower download is given up (and resumed later)
    "deadline": 86400,  # s for one download
    "wdt": 30000,  # ms until the watchdog bites in a trial
    "soak": 10,  # s that the application must have run before a trial is confirmed
    "checkin": 600,  # s from a trial's start until the server must have been reached
    "staging": 262144,  # bytes of the file system that a patch may take where the slot has no room
    "ram": 32768,  # bytes that a decoder may have
}  # fmt: skip


class Config:
    """The values of _DEFAULTS as attributes; `overrides` (a dict) wins over NVS."""

    def __init__(self, overrides: "dict | None" = None) -> None:
        nvs = esp32.NVS(NAMESPACE)
        buf = bytearray(_LONGEST)
        for name in _DEFAULTS:
            setattr(self, name, _get(nvs, name, _DEFAULTS[name], buf))
        for name in overrides or ():
            setattr(self, name, overrides[name])

    @property
    def servers(self) -> list:
        return self.server.split()


def _get(nvs: "esp32.NVS", name: str, default: object, buf: bytearray) -> object:
    try:
        if isinstance(default, int):
            return nvs.get_i32(name)
        raw = bytes(memoryview(buf)[: nvs.get_blob(name, buf)])
    except OSError:
        return default
    return raw.decode() if isinstance(default, str) else raw


def save_secret(ds: bytes) -> None:
    """Keep the device secret; NVS_FAILED unless it can be read back."""
    nvs = esp32.NVS(NAMESPACE)
    buf = bytearray(64)
    try:
        nvs.set_blob("ds", ds)
        nvs.commit()
        if buf[: nvs.get_blob("ds", buf)] == ds:
            return
    except OSError as e:
        raise error(_NVS_FAILED, "ds: %s" % e)
    raise error(_NVS_FAILED, "ds reads back wrong")
