"""`os` with repeatable randomness: the same run makes the same operations."""

from uos import *  # noqa: F403

_state = 1


def urandom(n: int) -> bytes:
    global _state
    out = bytearray(n)
    for i in range(n):
        _state = (_state * 1103515245 + 12345) & 0x7FFFFFFF
        out[i] = _state >> 16 & 0xFF
    return bytes(out)
