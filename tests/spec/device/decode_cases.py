"""Decodes the cases of a file: `micropython decode_cases.py FILE`; prints those that end otherwise.

A line: OLD, patch (hex), size of NEW, and what is to come out: the code of the PatchError or the image (hex).
"""

import sys

from otaspec import patch as patches
from otaspec.errors import PatchError

unhex = bytes.fromhex


class Memory:
    """OLD, patch or NEW."""

    def __init__(self, data: bytes, size: int) -> None:
        self.data = bytearray(data)
        self.size = size
        self.at = 0

    def readinto(self, *args) -> int:
        at = args[0] if len(args) == 2 else self.at
        n = min(len(args[-1]), len(self.data) - at)
        args[-1][:n] = self.data[at : at + n]
        self.at = at + n
        return n

    def write(self, data: bytes) -> None:
        self.data += data


def outcome(old: bytes, patch: bytes, size: int) -> str:
    new = Memory(b"", size)
    params = {1: patch[0], 2: patch[1]} if len(patch) > 1 else {}
    try:
        for _ in patches.decode(3, params, Memory(old, len(old)), Memory(patch, len(patch)), new, 1 << 20):
            pass
    except PatchError as problem:
        return str(problem.code)
    return new.data.hex()


count = 0
for line in open(sys.argv[1]):
    old, patch, size, wanted = line.strip().split(",")
    found = outcome(unhex(old), unhex(patch), int(size))
    count += 1
    if found != wanted:
        print(count, "found", found[:80], "wanted", wanted[:80])
print(count, "cases")
