"""Secure Boot signatures behind an image. A board whose chip checks none goes without this."""

from binascii import crc32
from struct import unpack


def end_of(read: "callable", end: int, size: int) -> int:
    """Where an image of `end` bytes ends with its Secure Boot signature, if one follows within `size`.

    v2: a sector after padding, magic, CRC at 1196 (esp_secure_boot.h); v1: 68 bytes, the first word 0.
    """
    padded, block = (end + 4095) // 4096 * 4096, bytearray(1200)
    if padded + 4096 <= size:
        read(padded, block)
        if block[0] == 0xE7 and crc32(block[:1196]) & 0xFFFFFFFF == unpack("<I", block[1196:])[0]:
            return padded + 4096
    if end & 4095 and end + 68 <= size:  # (at the start of a sector an older image may have left anything)
        word = memoryview(block)[:4]
        read(end, word)
        if word == b"\0\0\0\0":
            return end + 68
    return end
