"""Simulated time for the fault lab: it passes only while everything waits.

asyncio's task queue is C and stamps a task that is to run now with the real clock. Simulated ticks
stay ahead of it, by less than half their range, so such a task is always due.
"""

import utime
from utime import *  # noqa: F403

LONGEST_MS = 4 * 86400 * 1000  # of simulated time in one run
_EPOCH = 1_800_000_000  # UNIX seconds at the board's first power-on
_AHEAD_MS = 86400 * 1000  # no run takes a day of real time
_PERIOD = 0x3FFFFFFF
_now = 0  # ms since power-on
_ticks = utime.ticks_ms() + _AHEAD_MS & _PERIOD


def advance(ms: int) -> None:
    global _now, _ticks
    _now += ms
    _ticks = _ticks + ms & _PERIOD


def elapsed_ms() -> int:
    return _now


def ticks_ms() -> int:
    return _ticks


def ticks_us() -> int:
    return _ticks * 1000 & _PERIOD


def time() -> int:
    return _EPOCH + _now // 1000


def time_ns() -> int:
    return time() * 1_000_000_000


def sleep(seconds: float) -> None:
    advance(int(seconds * 1000))


def sleep_ms(ms: int) -> None:
    advance(ms)


def sleep_us(us: int) -> None:
    advance(us // 1000)
