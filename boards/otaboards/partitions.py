"""Partition tables as people write them: CSV to rows, with the rules of ESP-IDF's gen_esp32part.py.

The binary is otaspec.partition's. What gen_esp32part.py refuses is refused here, with the line.
"""

from collections.abc import Sequence

from otaspec import partition
from otaspec.errors import InputError, code
from otaspec.partition import APP, DATA, NVS, OTA, READONLY, Row

FIRST_FREE = partition.OFFSET + 0x1000
SECTOR = 0x1000
APP_ALIGNMENT = 0x10000
OTADATA_SIZE = 0x2000
_NVS_LEAST = 0x3000
_TYPES = {"app": APP, "data": DATA}
_SUBTYPES = {
    APP: {
        "factory": 0x00,
        "test": 0x20,
        **{f"ota_{n}": 0x10 + n for n in range(16)},
        "tee_0": 0x30,
        "tee_1": 0x31,
    },
    DATA: {
        **{"ota": 0, "phy": 1, "nvs": 2, "coredump": 3, "nvs_keys": 4, "efuse": 5, "undefined": 6, "": 6},
        **{"esphttpd": 0x80, "fat": 0x81, "spiffs": 0x82, "littlefs": 0x83, "tee_ota": 0x90},
    },
}
_FLAGS = {"encrypted": partition.ENCRYPTED, "readonly": READONLY, "": 0}


def read_csv(text: str, flash_size: int) -> list[Row]:
    """The rows of a CSV table for `flash_size` bytes of flash. TABLE_INVALID with the line that is wrong."""
    rows: list[Row] = []
    end = FIRST_FREE
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if line and not line.startswith("#"):
            try:
                row = _row(line, end)
            except ValueError as error:
                raise _invalid(f"line {number}: {error}") from error
            rows.append(row)
            end = row.offset + row.size
    _check(rows, flash_size)
    return rows


def _row(line: str, end: int) -> Row:
    """One line; `end` is where the row before ends."""
    name, type_, subtype, offset, size, flags = ([f.strip() for f in line.split(",")] + [""] * 6)[:6]
    kind = _number(type_, _TYPES, "type")
    sub = _number(subtype, _SUBTYPES.get(kind, {}), "subtype")
    alignment = APP_ALIGNMENT if kind == APP else SECTOR
    start = _number(offset, {}, "offset") if offset else -(-end // alignment) * alignment
    if start < end:
        raise ValueError(f"starts at 0x{start:x}, before 0x{end:x} where the row before ends")
    length = _number(size, {}, "size")
    if length < 0:
        length = -length - start  # gen_esp32part.py: the end address
    if start % alignment:
        raise ValueError(f"offset 0x{start:x} is no multiple of 0x{alignment:x}")
    if kind == APP and length % SECTOR:
        raise ValueError(f"size 0x{length:x} is no multiple of 0x{SECTOR:x}")
    return Row(kind, sub, start, length, name[:16], _flags(flags))


def _number(text: str, words: dict[str, int], what: str) -> int:
    """A keyword, or an integer: 4096, 0x1000, 4K, 1M, -0x400000."""
    known = words.get(text.lower())
    if known is not None:
        return known
    scale = {"k": 1 << 10, "m": 1 << 20}.get(text[-1:].lower(), 1)
    try:
        return int(text[:-1] if scale > 1 else text, 0) * scale
    except ValueError:
        raise ValueError(f"{what} {text!r} is not known" if text else f"{what} is missing") from None


def _flags(text: str) -> int:
    flags = 0
    for word in text.split(":"):
        if word not in _FLAGS:
            raise ValueError(f"flag {word!r} is not known")
        flags |= _FLAGS[word]
    return flags


def _check(rows: Sequence[Row], flash_size: int) -> None:
    """What gen_esp32part.py verifies of the whole table."""
    names = [row.label for row in rows]
    otadata = [row for row in rows if (row.type, row.subtype) == (DATA, OTA)]
    if rows and rows[-1].offset + rows[-1].size > flash_size:
        raise _invalid(f"{rows[-1].label} ends behind the flash of {flash_size >> 20} MB")
    if len(set(names)) < len(names):
        raise _invalid(f"two rows are called {max(names, key=names.count)}")
    if len(otadata) > 1:
        raise _invalid("two rows hold otadata")
    if otadata and otadata[0].size != OTADATA_SIZE:
        raise _invalid(f"otadata has 0x{otadata[0].size:x} bytes, it must have 0x{OTADATA_SIZE:x}")
    if otadata and otadata[0].flags & READONLY:
        raise _invalid("otadata is readonly")
    for row in rows:
        if (row.type, row.subtype) == (DATA, NVS) and row.size < _NVS_LEAST and not row.flags & READONLY:
            raise _invalid(f"nvs {row.label} has less than 0x{_NVS_LEAST:x} bytes")


def write_csv(rows: Sequence[Row]) -> str:
    """The table as CSV, as MicroPython and ESP-IDF read it."""
    lines = ["# Name, Type, SubType, Offset, Size, Flags"]
    for row in rows:
        words = {value: word for word, value in _SUBTYPES.get(row.type, {}).items() if word}
        kind = next((word for word, value in _TYPES.items() if value == row.type), str(row.type))
        flags = ":".join(word for word, bit in _FLAGS.items() if word and row.flags & bit)
        subtype = words.get(row.subtype, hex(row.subtype))
        lines.append(f"{row.label}, {kind}, {subtype}, 0x{row.offset:x}, 0x{row.size:x}, {flags}".rstrip())
    return "\n".join(lines) + "\n"


def update_problems(rows: Sequence[Row]) -> list[str]:
    """Why a valid table cannot be updated over the air by two slots; empty if it can."""
    slots = ota_slots(rows)
    problems = []
    if not partition.find(list(rows), DATA, OTA):
        problems.append("there is no otadata partition (data, ota, 0x2000 bytes)")
    if len(slots) < 2:
        problems.append(f"there are {len(slots)} slots (ota_0, ota_1), two are needed")
    elif len({slot.size for slot in slots}) > 1:
        problems.append("the slots have different sizes: an image that fits one may not fit the other")
    if not partition.find(list(rows), DATA, NVS):
        problems.append("there is no nvs partition, where the agent keeps its journal and credentials")
    return problems


def ota_slots(rows: Sequence[Row]) -> list[Row]:
    """ota_0, ota_1, ... as the application counts them: without a gap."""
    return [_slot(rows, n) for n in range(partition.app_slots(list(rows)))]


def _slot(rows: Sequence[Row], n: int) -> Row:
    return next(row for row in rows if (row.type, row.subtype) == (APP, partition.OTA_0 + n))


def _invalid(evidence: str) -> InputError:
    return InputError(code("TABLE_INVALID"), evidence[:120])
