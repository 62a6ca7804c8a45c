"""Whether an update may go on now: pure decisions over what the application set, and what was put off.

What must outlive a reboot is one JSON object in NVS ("policy"): a deferral, an answer of the user, what a
metered network was used for, a hook's delay. Losing it costs a question that is asked twice.
"""

import json

from micropython import const
from otaspec.errors import error

from . import localtime

_BY_APPLICATION = const(701)
_BY_WINDOW = const(702)
_BY_DATA_BUDGET = const(703)
_LONGEST = const(512)  # bytes of the record
_LONGEST_DELAY = const(2592000)  # s: thirty days, then a hook is asked again
_PERIOD = const(2592000)  # s that a data budget is for
_KEY = "policy"


class Memory:
    """The record, read once, written when it changes. A dict with these members:

    defer: UNIX time. yes: seq that the user agreed to. budget: [since, bytes]. paid: digest of the manifest
    whose download was counted. delay, after: see Delay.
    """

    def __init__(self, nvs: "esp32.NVS") -> None:
        self._nvs = nvs
        buf = bytearray(_LONGEST)
        try:
            found = json.loads(bytes(memoryview(buf)[: nvs.get_blob(_KEY, buf)]))
        except (OSError, ValueError):
            found = None
        self.record = found if isinstance(found, dict) else {}

    def get(self, name: str, default: object = None) -> object:
        return self.record.get(name, default)

    def put(self, name: str, value: object) -> None:
        """None takes it out."""
        if self.record.get(name) == value:
            return
        self.record[name] = value
        if value is None:
            del self.record[name]
        try:
            self._nvs.set_blob(_KEY, json.dumps(self.record).encode())
            self._nvs.commit()
        except OSError:
            pass  # a full NVS: it holds until the next reboot


class Rules:
    """What the application set. `window`, `zone`: see localtime; `budget`: bytes in thirty days."""

    def __init__(self, window: str, zone: str, budget: "int | None") -> None:
        self.window = localtime.Window(window) if window else None
        self.zone = zone
        self.budget = budget
        localtime.offset(zone, 0)  # a zone that cannot be read is an error now, not at night
        self.paused = False

    def hold(self, memory: Memory, now: int) -> tuple:
        """(Deferred or None, seconds until it is worth asking again; 0: when something changes)."""
        if self.paused:
            return error(_BY_APPLICATION, "paused"), 0
        until = memory.get("defer", 0)
        if until > now:
            return error(_BY_APPLICATION, "deferred until %d" % until), until - now if now else 0
        if not self.window:
            return None, 0
        if not now:
            return error(_BY_WINDOW, "the time is not known"), 0
        wait = self.window.opens_in(now + localtime.offset(self.zone, now))
        return (error(_BY_WINDOW, "opens in %d s" % wait), wait) if wait else (None, 0)

    def pay(self, memory: Memory, manifest: "Manifest", now: int) -> "Deferred | None":
        """On a metered network: count this package, or say what stands against it."""
        digest = manifest.digest[:8].hex()
        if memory.get("paid") == digest:
            return None
        size = manifest.payload_size
        if size and not manifest.base_size:
            return error(_BY_DATA_BUDGET, "a full image of %d bytes" % size)
        size += manifest.bundle_size
        since, used = memory.get("budget", (now, 0))
        if now - since >= _PERIOD:
            since, used = now, 0
        if self.budget is not None and used + size > self.budget:
            return error(_BY_DATA_BUDGET, "%d bytes, %d of %d are used" % (size, used, self.budget))
        memory.put("budget", [since, used + size])
        memory.put("paid", digest)
        return None


class Delay:
    """A hook's "later", in the member `name` of the memory: for one point of one release, over a reboot.

    By the clock where there is one; else the whole time runs anew from the boot.
    """

    def __init__(self, memory: Memory, name: str) -> None:
        self._memory = memory
        self._name = name
        self._since = 0  # s of uptime at which it was set, 0: before this boot

    def set(self, point: str, seq: int, seconds: int, now: int, up: int) -> None:
        """`now`: UNIX time, 0 unknown; `up`: seconds since the boot."""
        seconds = min(max(int(seconds), 0), _LONGEST_DELAY)
        self._since = up
        self._memory.put(self._name, [point, seq, now + seconds if now else 0, seconds])

    def left(self, seq: int, now: int, up: int) -> int:
        """Seconds that are left for release `seq`."""
        record = self._memory.get(self._name)
        if not record or record[1] != seq:
            return 0
        left = record[2] - now if record[2] and now else record[3] - (up - self._since)
        return min(max(left, 0), record[3])

    def point(self) -> str:
        record = self._memory.get(self._name)
        return record[0] if record else ""

    def clear(self) -> None:
        self._memory.put(self._name, None)
