"""Where a patch lies until its hash was checked: behind the images in the backup slot, or in a file.

Behind the larger of the new image and the one that is now in the slot: so the slot stays a bootable
fallback while the patch arrives, and decoding does not overwrite what it reads.
"""

import os

from .slots import SECTOR

_FILE = "driblet.patch"
_SPARE = 16384  # bytes of the file system that are left to the application


class SlotStage:
    """The part of a slot from `start` on."""

    def __init__(self, slot: "Slot", start: int) -> None:
        self._slot = slot
        self.start = start
        self.size = slot.size - start

    def readinto(self, at: int, mv: "memoryview") -> None:
        self._slot.readinto(self.start + at, mv)

    def erase(self, sector: int) -> None:
        self._slot.erase(self.start // SECTOR + sector)

    def program(self, at: int, mv: "memoryview") -> None:
        self._slot.program(self.start + at, mv)

    def close(self) -> None:
        pass


class FileStage:
    """A file on the board's file system; it is removed once the patch was applied."""

    start = 0

    def __init__(self) -> None:
        try:
            self._file = open(_FILE, "r+b")
        except OSError:
            self._file = open(_FILE, "w+b")

    def readinto(self, at: int, mv: "memoryview") -> None:
        self._file.seek(at)
        n = self._file.readinto(mv) or 0
        if n < len(mv):
            mv[n:] = bytes(len(mv) - n)  # not written yet: reads as anything

    def erase(self, sector: int) -> None:
        pass

    def program(self, at: int, mv: "memoryview") -> None:
        self._file.seek(at)
        self._file.write(mv)
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def discard() -> None:
    try:
        os.remove(_FILE)
    except OSError:
        pass


def in_slot(new_size: int, there: int) -> int:
    """Where a stage in a slot starts; `there` is the size of the image that is in it now (0: none)."""
    return (max(new_size, there) + SECTOR - 1) // SECTOR * SECTOR


def in_file(most: int) -> int:
    """Bytes that a file may take, at most `most`."""
    try:
        stat = os.statvfs(".")
    except OSError:
        return 0
    return max(0, min(most, stat[0] * stat[3] - _SPARE))


def place(slot: "Slot", new_size: int, there: int, size: int, hints: "Hints") -> "SlotStage | FileStage":
    """The stage for a patch of `size` bytes (verify.check saw that it fits one of them).

    Once the slot was opened nothing is `there`: then the whole patch was staged, and the hint says where.
    """
    start = in_slot(new_size, there)
    end = hints.at("staged") * SECTOR
    if end and not there:
        first = end - (size + SECTOR - 1) // SECTOR * SECTOR
        if not first:
            return FileStage()
        if first >= start:
            return SlotStage(slot, first)
    return SlotStage(slot, start) if start + size <= slot.size else FileStage()


class Source:
    """The first `size` bytes of a store, one after the other, as a decoder reads its patch."""

    def __init__(self, store: "Slot", size: int) -> None:
        self._store = store
        self._at = 0
        self.size = size

    def readinto(self, buf: "memoryview") -> int:
        n = min(len(buf), self.size - self._at)
        if n:
            self._store.readinto(self._at, memoryview(buf)[:n])
            self._at += n
        return n


class Image:
    """The first `size` bytes of a slot: the image that a patch is for."""

    def __init__(self, slot: "Slot", size: int) -> None:
        self._read = slot.partition.readblocks
        self.size = size

    def readinto(self, at: int, mv: "memoryview") -> None:
        """As Slot.readinto, which takes longer: a decoder reads thousands of times, often two bytes."""
        self._read(0, mv, at)
