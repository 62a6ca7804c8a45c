"""OLD's segments as a patch lists them, for images without headers of their own (PATCH.md H1 to H6)."""

from otaspec import _hot
from otaspec.addresshead import number, shifted
from otaspec.addressinput import const, refuse

# First model of each table, as in addresshead.py.
_COUNT = const(800)
_OFF = const(952)
_SIZE = const(1104)
_ZADDR = const(1256)
_ADDR = const(1408)
_RAW = const(2627)

_FRESH = const(0x8000)


def listed(d: object, cpu: int) -> list:
    """[(offset, end, absolute address, span, executable)]"""
    found = []
    end = 0
    for _ in range(number(d, _COUNT)):
        start = end + number(d, _OFF)
        end = start + number(d, _SIZE)
        address = shifted(d, _ZADDR, _ADDR)
        span = shifted(d, _ZADDR, _ADDR)
        d.s[1][_RAW] = _FRESH  # a fresh model is a raw bit
        code = _hot.bit(d.s, _RAW)
        if end > d.old.size or span < end - start or (code and not cpu):
            refuse(5)
        found.append((start, end, address, span, code))
        if len(found) > 16:
            refuse(5)
    return found
