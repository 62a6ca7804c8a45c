"""Encoder of codec 2: bsdiff4's cover, folded, under heatshrink2 (PATCH.md part B)."""

import re
from collections.abc import Iterator

import bsdiff4.core
from otaspec import bsdiff

from otadiff import heatshrink
from otadiff.codecs import Encoded

# A run of unchanged bytes, then a changed one; either may be missing at the end.
_PAIR = re.compile(rb"(\0*)([^\0]?)", re.DOTALL)


def encode(old: bytes, new: bytes, ram: int) -> Encoded | None:
    """The smallest patch that a decoder with `ram` bytes of data applies; None if `ram` is too little."""
    return heatshrink.encode(2, stream(old, new), ram, bsdiff.ram_needed)


def stream(old: bytes, new: bytes) -> bytes:
    """The records, before heatshrink."""
    return b"".join(_records(old, new))


def _records(old: bytes, new: bytes) -> Iterator[bytes]:
    control, differences, extra = bsdiff4.core.diff(old, new)
    words = [bsdiff4.core.decode_int64(control[i : i + 8]) for i in range(0, len(control), 8)]
    at_difference = at_extra = step = 0
    for length, added, seek in zip(words[::3], words[1::3], words[2::3], strict=True):
        # bsdiff writes records that only seek: their steps go into the next one.
        if length or added:
            yield _number(step * 2 if step >= 0 else -step * 2 - 1) + _number(length) + _number(added)
            yield _fold(differences[at_difference : at_difference + length])
            yield extra[at_extra : at_extra + added]
            step = 0
        at_difference += length
        at_extra += added
        step += seek


def _fold(differences: bytes) -> bytes:
    return b"".join(_number(len(run)) + byte for run, byte in _PAIR.findall(differences) if run or byte)


def _number(n: int) -> bytes:
    """7 bits a byte, least significant first."""
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)
