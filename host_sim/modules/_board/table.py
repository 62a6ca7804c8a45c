"""The partition table as ESP-IDF's app side reads it (flash_partitions.c, esp_partition.c)."""

import struct

TABLE_AT = 0x8000
_TABLE_SIZE = 0xC00
_ROW = "<2sBBLL16sL"


def rows(read) -> list:
    """[(type, subtype, address, size, label, encrypted)] from `read(at, size) -> bytes`."""
    found = []
    for at in range(TABLE_AT, TABLE_AT + _TABLE_SIZE, 32):
        magic, kind, subtype, address, size, label, flags = struct.unpack(_ROW, read(at, 32))
        if magic != b"\xaaP":
            break
        found.append((kind, subtype, address, size, label.split(b"\0")[0].decode(), bool(flags & 1)))
    return found
