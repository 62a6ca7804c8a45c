"""Stand-in for MicroPython's `esp32` module (ports/esp32/esp32_partition.c and esp32_nvs.c, 1.25)."""

import struct

from _board import here, image, layout, nvs

try:
    from _board.otaspec import ota_ops  # the chip's own copy: a broken firmware must not break the chip
except ImportError:
    from otaspec import ota_ops

_ERRORS = {
    0x101: (12, "ESP_ERR_NO_MEM"),
    0x102: (-0x102, "ESP_ERR_INVALID_ARG"),
    0x104: (-0x104, "ESP_ERR_INVALID_SIZE"),
    0x105: (-0x105, "ESP_ERR_NOT_FOUND"),
    0x10E: (-0x10E, "ESP_ERR_NOT_ALLOWED"),
    0x1102: (-0x1102, "ESP_ERR_NVS_NOT_FOUND"),
    0x1105: (-0x1105, "ESP_ERR_NVS_NOT_ENOUGH_SPACE"),
    0x1109: (-0x1109, "ESP_ERR_NVS_KEY_TOO_LONG"),
    0x110C: (-0x110C, "ESP_ERR_NVS_INVALID_LENGTH"),
    0x1503: (-0x1503, "ESP_ERR_OTA_VALIDATE_FAILED"),
    -1: (1, "ESP_FAIL"),
}
_BLOCK = 4096
_APP, _DATA = 0, 1
_OTA_0 = 0x10


def _check(error: int) -> None:
    """check_esp_err() of the port."""
    if error:
        raise OSError(*_ERRORS[error])


class Partition:
    """One row of the partition table; a block device with 4 KB blocks."""

    BOOT = 0
    RUNNING = 1
    TYPE_APP = _APP
    TYPE_DATA = _DATA

    def __init__(self, which, block_size: int = _BLOCK) -> None:
        self._block = block_size
        if which == Partition.BOOT:
            self._row = _boot_partition()
        elif which == Partition.RUNNING:
            self._row = here.partitions[here.rtc[layout.W_RUNNING]]
        elif isinstance(which, tuple):
            self._row = which
        elif isinstance(which, str):
            self._row = _by_label(which)
        else:
            raise ValueError
        if self._row is None:
            raise OSError(2)

    @staticmethod
    def find(type: int = _APP, subtype: int = 0xFF, label=None, block_size: int = _BLOCK) -> list:  # noqa: A002
        """All partitions of that type; subtype 255: any."""
        return [
            Partition(row, block_size)
            for row in here.partitions
            if row[0] == type and subtype in (0xFF, row[1]) and label in (None, row[4])
        ]

    def info(self) -> tuple:
        """(type, subtype, address, size, label, encrypted)."""
        return self._row

    def readblocks(self, block: int, buf, offset: int = 0) -> None:
        at = block * self._block + offset
        self._inside(at, len(buf))
        here.flash.read_into(self._row[2] + at, buf)

    def writeblocks(self, block: int, buf, offset=None) -> None:
        """Without an offset: erases, then programs. With one (0 too): programs."""
        at = block * self._block + (offset or 0)
        if offset is None:
            self._erase(at, len(buf))
        self._inside(at, len(buf))
        if at % here.flash.unit or len(buf) % here.flash.unit:
            _check(0x104)  # esp_partition_write of an encrypted partition
        self._not_running()
        here.flash.program(self._row[2] + at, buf)

    def ioctl(self, command: int, argument: int):
        if command in (1, 2, 3):  # init, deinit, sync
            return 0
        if command == 4:
            return self._row[3] // self._block
        if command == 5:
            return self._block
        if command == 6:
            self._erase(argument * self._block, self._block)
            return 0
        return None

    def _inside(self, at: int, size: int) -> None:
        if at < 0 or at > self._row[3]:
            _check(0x102)
        if at + size > self._row[3]:
            _check(0x104)

    def _erase(self, at: int, size: int) -> None:
        self._inside(at, size)
        if size % layout.SECTOR:
            _check(0x104)
        if at % layout.SECTOR:
            _check(0x102)
        self._not_running()
        for sector in range(at, at + size, layout.SECTOR):
            here.flash.erase(self._row[2] + sector)

    def _not_running(self) -> None:
        """CONFIG_SPI_FLASH_DANGEROUS_WRITE_ABORTS: a write to the running image ends in abort()."""
        if self._row is here.partitions[here.rtc[layout.W_RUNNING]]:
            print("abort(): write to the running partition", self._row[4])
            here.rtc[layout.W_PANICS] = here.rtc[layout.W_PANICS] + 1
            here.leave(layout.EXIT_PANIC)

    def get_next_update(self) -> "Partition":
        """The OTA slot after this one; the first one after the last or after a partition that is no slot."""
        slots = sorted([row for row in here.partitions if row[0] == _APP and _OTA_0 <= row[1] < 0x20])
        if not slots:
            raise OSError(2)
        after = [row for row in slots if row[1] > self._row[1]] if self._row in slots else []
        return Partition((after or slots)[0], self._block)

    def set_boot(self) -> None:
        """Verifies the image, then writes otadata (esp_ota_set_boot_partition)."""
        if self._row[0] != _APP:
            _check(0x102)
        if not image.verifies(self._window, self._row[3], here.rtc[layout.W_CHIP_ID]):
            _check(0x1503)
        slot = -1 if self._row[1] == 0 else self._row[1] & 0x0F
        _rewrite(ota_ops.set_boot(_entries(), _slot_count(), slot))

    def _window(self, at: int, size: int):
        return here.flash.window(self._row[2] + at, size)

    @classmethod
    def mark_app_valid_cancel_rollback(cls) -> None:
        _rewrite(ota_ops.mark_valid(_entries(), _slot_count()))

    def __repr__(self) -> str:
        return "<Partition type=%u, subtype=%u, address=%u, size=%u, label=%s, encrypted=%u>" % self._row


def _by_label(label: str):
    for kind in (_APP, _DATA):
        for row in here.partitions:
            if row[0] == kind and row[4] == label:
                return row
    return None


def _otadata():
    where = here.first(_DATA, 0)
    if where is None:
        _check(0x105)
    return where


def _entries() -> tuple:
    """The two raw otadata entries."""
    entries = (bytearray(32), bytearray(32))
    for i in (0, 1):
        here.flash.read_into(_otadata()[2] + i * layout.SECTOR, entries[i])
    return (bytes(entries[0]), bytes(entries[1]))


def _rewrite(answer) -> None:
    """Does the writes to otadata that ota_ops decided on."""
    error, writes = answer
    _check(error)
    start = _otadata()[2]
    for write in writes:
        at = start + write[1] * layout.SECTOR
        if write[0] == "E":
            here.flash.erase(at)
        else:
            here.flash.program(at + write[2], write[3])


def _slot_count() -> int:
    """Contiguous OTA slots from ota_0 on, as the app side counts them."""
    count = 0
    while here.first(_APP, _OTA_0 + count):
        count += 1
    return count


def _boot_partition():
    factory = here.first(_APP, 0)
    slot = ota_ops.get_boot(_entries(), _slot_count(), bool(factory))
    return factory if slot < 0 else here.first(_APP, _OTA_0 + slot)


class NVS:
    """A namespace. What was set counts after commit(); each key is then one atomic flash operation."""

    def __init__(self, namespace: str) -> None:
        _name(namespace)
        self._namespace = namespace
        self._pending = {}

    def set_i32(self, key: str, value: int) -> None:
        self._pending[_name(key), nvs.I32] = struct.pack("<i", value)

    def get_i32(self, key: str) -> int:
        return struct.unpack("<i", self._get(key, nvs.I32))[0]

    def set_blob(self, key: str, value) -> None:
        self._pending[_name(key), nvs.BLOB] = bytes(value)

    def get_blob(self, key: str, buffer) -> int:
        """Fills the buffer, returns the blob's length; a buffer that is too short is an error."""
        value = self._get(key, nvs.BLOB)
        if len(value) > len(buffer):
            _check(0x110C)
        memoryview(buffer)[: len(value)] = value
        return len(value)

    def erase_key(self, key: str) -> None:
        found = False
        for kind in (nvs.I32, nvs.BLOB):
            if self._find(key, kind) is not None:
                self._pending[key, kind] = None
                found = True
        if not found:
            _check(0x1102)

    def commit(self) -> None:
        for key, kind in list(self._pending):
            value = self._pending.pop((key, kind))
            old = nvs.get(_nvs(), self._namespace, key, kind)
            if old != value:
                self._write(key, kind, value)

    def _write(self, key: str, kind: int, value) -> None:
        gate = here.the_gate
        cut = gate.begin(layout.OP_NVS, 0)
        if cut and (cut == layout.CUT_BEFORE or (cut != layout.CUT_AFTER and gate.seed() & 1)):
            gate.cut()  # a torn NVS write is, by its format, either not there or whole
        fits = nvs.put(_nvs(), self._namespace, key, kind, value)
        gate.nvs_written()
        if cut:
            gate.cut()
        if not fits:
            _check(0x1105)

    def _find(self, key: str, kind: int):
        if (key, kind) in self._pending:
            return self._pending[key, kind]
        return nvs.get(_nvs(), self._namespace, key, kind)

    def _get(self, key: str, kind: int):
        value = self._find(_name(key), kind)
        if value is None:
            _check(0x1102)
        return value


def _name(name: str) -> str:
    if len(name) > nvs.NAME_MAX:
        _check(0x1109)
    return name


def _nvs():
    where = here.first(_DATA, 2)
    if where is None:
        _check(0x105)
    return here.flash.window(where[2], where[3])
