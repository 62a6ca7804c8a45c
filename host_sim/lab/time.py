"""Simulated time for the fault lab: it passes only while everything waits."""

from utime import *  # noqa: F403

_EPOCH = 1_800_000_000  # UNIX seconds at the board's first power-on
_now = 0  # ms since then


def advance(ms: int) -> None:
    global _now
    _now += ms


def elapsed_ms() -> int:
    return _now


def ticks_ms() -> int:
    return _now & 0x3FFFFFFF


def ticks_us() -> int:
    return (_now * 1000) & 0x3FFFFFFF


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
