"""The binary partition table, read as the bootloader reads it. SLOTS.md section 1.

ESP-IDF: esp_partition_info_t (esp_flash_partitions.h), esp_partition_table_verify (flash_partitions.c),
bootloader_utility_load_partition_table, gen_esp32part.py.
"""

import hashlib
from struct import pack, unpack

from .errors import InputError, code

OFFSET = 0x8000
MAX_SIZE = 0xC00
ROW = 32
MAX_ROWS = MAX_SIZE // ROW - 1  # one row is the terminator
MAGIC = b"\xaa\x50"
MD5_MAGIC = b"\xeb\xeb"

APP, DATA = 0, 1
FACTORY, OTA_0, TEST = 0x00, 0x10, 0x20
OTA, PHY, NVS, COREDUMP, NVS_KEYS, EFUSE, UNDEFINED, FAT, SPIFFS, LITTLEFS = (
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    0x81,
    0x82,
    0x83,
)
ENCRYPTED, READONLY = 1, 2

INVALID_STATE = 0x103
INVALID_SIZE = 0x104

_MD5 = getattr(hashlib, "md5", None)  # the unix port of MicroPython has none


class Row:
    """One partition. Bytes; label at most 16 bytes of UTF-8; flags: ENCRYPTED, READONLY."""

    def __init__(
        self, type: int, subtype: int, offset: int, size: int, label: str = "", flags: int = 0
    ) -> None:
        self.type = type
        self.subtype = subtype
        self.offset = offset
        self.size = size
        self.label = label
        self.flags = flags

    def __repr__(self) -> str:
        return "Row(%d, 0x%02x, 0x%x, 0x%x, %r, %d)" % self.key()

    def key(self) -> tuple:
        return (self.type, self.subtype, self.offset, self.size, self.label, self.flags)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Row) and self.key() == other.key()

    def __hash__(self) -> int:
        return hash(self.key())

    def pack(self) -> bytes:
        where = pack("<BBII", self.type, self.subtype, self.offset, self.size)
        return MAGIC + where + pack("<16sI", self.label.encode(), self.flags)


class TableError(InputError):
    """TABLE_INVALID, with ESP-IDF's number in `esp_err`: the bootloader would reset for ever."""

    def __init__(self, esp_err: int, evidence: str) -> None:
        InputError.__init__(self, code("TABLE_INVALID"), evidence)
        self.esp_err = esp_err


def parse(raw: bytes, flash_size: int, md5: "callable | None" = _MD5) -> list:
    """Rows of the table in `raw` (MAX_SIZE bytes, fewer count as FF). TableError as the bootloader refuses.

    md5: hash constructor; None leaves the sum unchecked.
    """
    raw = bytes(raw[:MAX_SIZE]) + b"\xff" * (MAX_SIZE - len(raw))
    found, summed = [], 0
    for i in range(MAX_ROWS + 1):
        row = raw[i * ROW : (i + 1) * ROW]
        if row[:4] == b"\xff\xff\xff\xff":
            if i == 0:
                raise TableError(INVALID_STATE, "erased")
            # The bootloader then reads this many rows from the start, wherever the sum stood.
            return [_unpack(r) for r in found[: i - summed] if r[:2] == MAGIC]
        if row[:2] == MAGIC:
            _check_place(row, i, flash_size)
        elif row[:2] == MD5_MAGIC:
            if summed:
                raise TableError(INVALID_STATE, "two MD5 rows")
            if md5 and md5(raw[: i * ROW]).digest() != row[16:]:
                raise TableError(INVALID_STATE, "MD5 is wrong")
            summed = 1
        else:
            raise TableError(INVALID_STATE, "row %d begins %02x %02x" % (i, row[0], row[1]))
        found.append(row)
    raise TableError(INVALID_STATE, "no end in %d rows" % (MAX_ROWS + 1))


def _check_place(row: bytes, i: int, flash_size: int) -> None:
    offset, size = unpack("<II", row[4:12])
    if offset > flash_size or offset + size > flash_size:
        raise TableError(INVALID_SIZE, "row %d: 0x%x + 0x%x is beyond the flash" % (i, offset, size))


def _unpack(row: bytes) -> Row:
    type_, subtype, offset, size, label, flags = unpack("<BBII16sI", row[2:])
    try:
        text = label.split(b"\0")[0].decode()
    except UnicodeError:
        text = repr(label)
    return Row(type_, subtype, offset, size, text, flags)


def build(rows: list, md5: "callable | None" = _MD5) -> bytes:
    """The table of `rows`, MAX_SIZE bytes, FF behind its end. md5 None: without a sum row."""
    raw = b"".join([row.pack() for row in rows])
    if md5:
        raw += MD5_MAGIC + b"\xff" * 14 + md5(raw).digest()
    if len(raw) + ROW > MAX_SIZE:
        raise TableError(INVALID_STATE, "%d rows; at most 94 with MD5, 95 without" % len(rows))
    return raw + b"\xff" * (MAX_SIZE - len(raw))


def find(rows: list, type: int, subtype: int) -> "Row | None":
    """The first such row (esp_partition_find_first)."""
    for row in rows:
        if row.type == type and row.subtype == subtype:
            return row
    return None


class Layout:
    """What the bootloader makes of a table (bootloader_state_t).

    ota: {n: row of ota_n}, the last of duplicates. app_count: OTA rows, duplicates counted.
    """

    def __init__(self, rows: list) -> None:
        self.otadata = self.factory = self.test = None
        self.ota = {}
        self.app_count = 0
        for row in rows:
            if row.type == DATA and row.subtype == OTA:
                self.otadata = row
            elif row.type == APP:
                self._add_app(row)

    def _add_app(self, row: Row) -> None:
        if row.subtype == FACTORY:
            self.factory = row
        elif row.subtype == TEST:
            self.test = row
        elif row.subtype & 0xF0 == OTA_0:
            self.ota[row.subtype & 0x0F] = row
            self.app_count += 1

    def slot(self, index: int) -> "Row | None":
        """The row that boot.decide means by `index` (FACTORY -1, TEST -2); None where it has none."""
        if index == -1:
            return self.factory
        if index == -2:
            return self.test
        return self.ota.get(index) if index < self.app_count else None


def app_slots(rows: list) -> int:
    """OTA slots as the application counts them: ota_0, ota_1, ... without a gap (get_ota_partition_count)."""
    n = 0
    while find(rows, APP, OTA_0 + n):
        n += 1
    return n
