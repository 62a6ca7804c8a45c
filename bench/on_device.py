"""The decoder alone: `micropython on_device.py OLD PATCH NEW SIZE RAM`; prints its milliseconds.

PATCH is codec 3, NEW is written. Nothing but the decoder is loaded: what heap this needs, the decoder needs.
"""

import sys
import time

from otaspec import address


class File:
    """OLD, patch or NEW."""

    def __init__(self, name: str, mode: str, size: int) -> None:
        self.file = open(name, mode)
        self.size = size
        self.end = 0

    def readinto(self, *args) -> int:
        if len(args) == 2:
            self.file.seek(args[0])
        return self.file.readinto(args[-1])

    def write(self, data: bytes) -> None:
        self.file.seek(self.end)
        self.end += self.file.write(data)


def length(name: str) -> int:
    with open(name, "rb") as file:
        return file.seek(0, 2)


def main(old: str, patch: str, new: str, size: str, ram: str) -> None:
    source = File(patch, "rb", length(patch))
    head = source.file.read(2)
    source.file.seek(0)
    began = time.ticks_ms()
    steps = address.decode(
        {1: head[0], 2: head[1]}, File(old, "rb", length(old)), source, File(new, "wb+", int(size)), int(ram)
    )
    for _ in steps:
        pass
    print(time.ticks_diff(time.ticks_ms(), began))


main(*sys.argv[1:])
