"""Whether an app image verifies, as esp_image_verify() sees it (bootloader_support/esp_image_format.c)."""

import hashlib
import struct

from _board import _hot

_CHUNK = 4096


def verifies(window, size: int, chip_id: int) -> bool:
    """`window(at, n)` gives n bytes of the slot at `at`; `size` of the slot in bytes."""
    head = bytes(window(0, 24))
    magic, segments, chip, appended = head[0], head[1], head[12] | head[13] << 8, head[23]
    if magic != 0xE9 or segments > 16 or chip != chip_id:
        return False
    at, checksum = 24, 0xEF
    for _ in range(segments):
        if at + 8 > size:
            return False
        length = struct.unpack("<I", window(at + 4, 4))[0]
        at += 8
        if length % 4 or length > size - at:
            return False
        checksum ^= _xor(window, at, length)
        at += length
    end = (at + 16) & ~15
    if end + 32 * appended > size or window(end - 1, 1)[0] != checksum:
        return False
    return not appended or _sha256(window, end) == bytes(window(end, 32))


def _xor(window, at: int, length: int) -> int:
    return _hot.xor_all(window(at, length), length)


def _sha256(window, size: int) -> bytes:
    digest = hashlib.sha256()
    for at in range(0, size, _CHUNK):
        digest.update(window(at, min(_CHUNK, size - at)))
    return digest.digest()
