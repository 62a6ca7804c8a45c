"""Stand-in for MicroPython's `esp32` module on the emulated microcontroller: flash is a piece of its memory.

The host sees that memory as a file. NOR rules are kept: what is programmed was erased, erase is 4 KB.
NVS lasts until the board is switched off; once `_boot` was imported, as long as that file.
"""

import flash
import uctypes

FLASH = 0x84000000
SIZE = 0x800000
_SECTOR = 4096
_RUNNING = 2
# (type, subtype, address, size, label, encrypted)
ROWS = (
    (1, 2, 0x9000, 0x4000, "nvs", False),
    (1, 0, 0xD000, 0x2000, "otadata", False),
    (0, 0x10, 0x10000, 0x200000, "ota_0", False),
    (0, 0x11, 0x210000, 0x200000, "ota_1", False),
    (1, 0x81, 0x410000, 0x200000, "vfs", False),
)


def _memory(at: int, size: int) -> bytearray:
    """`size` bytes of flash. (An assignment to a slice of all of it would move 8 MB.)"""
    return uctypes.bytearray_at(FLASH + at, size)


class Partition:
    """One row of the table; a block device with 4 KB blocks."""

    BOOT = 0
    RUNNING = 1
    TYPE_DATA = 1

    def __init__(self, row) -> None:
        self._row = ROWS[_RUNNING] if row in (0, 1) else row
        self._at = self._row[2]
        self.readblocks = flash.Region(FLASH + self._at, self._row[3]).readblocks  # in C, as on a board

    @staticmethod
    def find(type: int = 0, subtype: int = 0xFF, label=None) -> list:  # noqa: A002
        found = [row for row in ROWS if row[0] == type and subtype in (0xFF, row[1])]
        return [Partition(row) for row in found if label in (None, row[4])]

    def info(self) -> tuple:
        return self._row

    def get_next_update(self) -> "Partition":
        return Partition(ROWS[5 - ROWS.index(self._row)])

    def writeblocks(self, block: int, buf, offset=None) -> None:
        at = self._inside(block * _SECTOR + (offset or 0), len(buf))
        if offset is None:
            self.ioctl(6, block)
        cells = _memory(at, len(buf))
        if cells.count(b"\xff") != len(buf):
            raise OSError(-1, "programmed over bytes that were not erased")
        cells[:] = buf

    def ioctl(self, command: int, argument: int) -> int:
        if command == 6:
            at = self._inside(argument * _SECTOR, _SECTOR)
            if self._row is ROWS[_RUNNING]:
                raise OSError(-1, "erases the running image")
            for i in range(at, at + _SECTOR, len(_BLANK)):
                _memory(i, len(_BLANK))[:] = _BLANK
        return {4: self._row[3] // _SECTOR, 5: _SECTOR}.get(command, 0)

    def _inside(self, at: int, size: int) -> int:
        if at < 0 or at + size > self._row[3]:
            raise OSError(-0x104, "ESP_ERR_INVALID_SIZE")
        return self._at + at


_BLANK = b"\xff" * 256
_nvs = {}
on_commit = []  # functions that get all of NVS


class NVS:
    """A namespace of blobs and numbers."""

    def __init__(self, namespace: str) -> None:
        self._keys = _nvs.setdefault(namespace, {})

    def set_i32(self, key: str, value: int) -> None:
        self._keys[key] = value

    def set_blob(self, key: str, value) -> None:
        self._keys[key] = bytes(value)

    def get_i32(self, key: str) -> int:
        return self._get(key)

    def get_blob(self, key: str, buffer) -> int:
        value = self._get(key)
        memoryview(buffer)[: len(value)] = value
        return len(value)

    def erase_key(self, key: str) -> None:
        self._get(key)
        del self._keys[key]

    def commit(self) -> None:
        for keep in on_commit:
            keep(_nvs)

    def _get(self, key: str):
        if key not in self._keys:
            raise OSError(-0x1102, "ESP_ERR_NVS_NOT_FOUND")
        return self._keys[key]
