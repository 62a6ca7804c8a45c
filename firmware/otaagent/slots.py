"""The two app slots and otadata, over esp32.Partition (SLOTS.md). Addresses are bytes from a slot's start."""

import hashlib

import esp32
from micropython import const
from otaspec.errors import error

_FLASH_ERASE_FAILED = const(401)
_FLASH_WRITE_FAILED = const(402)
_FLASH_READ_BACK_WRONG = const(403)
_ARM_FAILED = const(406)
_OTADATA_UNSAFE = const(409)

SECTOR = 4096
_ERASE_BLOCK = const(6)  # ioctl
_OTA_0 = const(0x10)

# The two big buffers of an update, made once, before the heap is in pieces: WORK holds what is wanted,
# CHECK what was read back.
WORK = bytearray(SECTOR)
CHECK = bytearray(SECTOR)
_CHECK = memoryview(CHECK)


class Slot:
    """An app partition: erased by sector, programmed, read back. `number`: n of ota_n, -1 for factory."""

    start = 0  # as a store of staging.py has it

    def __init__(self, partition: "esp32.Partition") -> None:
        info = partition.info()
        self.partition = partition
        self.number = info[1] - _OTA_0 if info[1] >= _OTA_0 else -1
        self.size = info[3]
        self.label = info[4]
        self.encrypted = info[5]

    def readinto(self, at: int, mv: "memoryview") -> None:
        self.partition.readblocks(at // SECTOR, mv, at % SECTOR)

    def erase(self, sector: int) -> None:
        """Erase, and look: a cell that stays 0 would spoil what is programmed over it."""
        try:
            failed = self.partition.ioctl(_ERASE_BLOCK, sector)
        except OSError as e:
            failed = e
        if not failed and not self.encrypted:  # encrypted flash reads as noise where it is erased
            self.readinto(sector * SECTOR, _CHECK)
            failed = CHECK.count(b"\xff") != SECTOR and "not blank"
        if failed:
            raise error(_FLASH_ERASE_FAILED, "%s sector %d: %s" % (self.label, sector, failed))

    def program(self, at: int, mv: "memoryview") -> None:
        """Program within one sector that is erased there, and read back."""
        try:
            # With an offset, even 0, writeblocks does not erase.
            self.partition.writeblocks(at // SECTOR, mv, at % SECTOR)
        except OSError as e:
            raise error(_FLASH_WRITE_FAILED, "%s at %d: %s" % (self.label, at, e))
        if not self.holds(at, mv):
            raise error(_FLASH_READ_BACK_WRONG, "%s at %d" % (self.label, at))

    def holds(self, at: int, mv: "memoryview") -> bool:
        """Whether flash reads as `mv` there (at most a sector)."""
        found = _CHECK[: len(mv)]
        self.readinto(at, found)
        return found == mv


def hash_of(store: "Slot", size: int, head: bytes = b"") -> "generator":
    """SHA-256 of `head` and what follows it in `store` up to `size`, as read back.

    A generator: yields None between sectors so that others can run, then the digest.
    """
    state = hashlib.sha256(head)
    at = len(head)
    while at < size:
        part = _CHECK[: min(size, (at // SECTOR + 1) * SECTOR) - at]
        store.readinto(at, part)
        state.update(part)
        at += len(part)
        yield None
    yield state.digest()


def pair() -> tuple:
    """(running slot, other slot); the other is None where there is only one."""
    running = esp32.Partition(esp32.Partition.RUNNING)
    other = running.get_next_update()
    return Slot(running), None if other.info()[2] == running.info()[2] else Slot(other)


def count() -> int:
    """OTA slots without a gap, as ESP-IDF's application side counts them."""
    n = 0
    while esp32.Partition.find(0, _OTA_0 + n):
        n += 1
    return n


class Otadata:
    """The two 32-byte entries. `split`: whether single words of them can be programmed."""

    def __init__(self) -> None:
        found = esp32.Partition.find(1, 0)
        if not found or found[0].info()[3] < 2 * SECTOR:
            raise error(_OTADATA_UNSAFE, "no otadata partition of two sectors")
        self._partition = found[0]
        self.split = not self._partition.info()[5]  # encrypted flash takes 16 bytes at a time

    def entries(self) -> tuple:
        raw = (bytearray(32), bytearray(32))
        for k in (0, 1):
            self._partition.readblocks(k, raw[k], 0)
        return bytes(raw[0]), bytes(raw[1])

    def do(self, writes: list) -> None:
        """The operations that otaspec.rules.otadata_writes decided on; ARM_FAILED."""
        try:
            for write in writes:
                if write[0] == "E":
                    self._partition.ioctl(_ERASE_BLOCK, write[1])
                else:
                    self._partition.writeblocks(write[1], write[3], write[2])
        except OSError as e:
            raise error(_ARM_FAILED, "otadata: %s" % e)
