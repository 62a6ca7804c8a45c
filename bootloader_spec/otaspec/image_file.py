"""Files that users hold: is this an app image, and if not, what is it and what to do? For tools.

Also the writer of images, for LINUX_HOST and for tests. Neither is needed on a board.
"""

from hashlib import sha256
from struct import pack

from . import image, partition
from .errors import InputError, OtaError, code

# Where a file starts on flash: at 0, or at the chip's bootloader (ESP32, S2: 0x1000; C5, P4: 0x2000).
_STARTS = (0, 0x1000, 0x2000)
_TABLES = (0x8000, 0x10000, 0x9000, 0xC000, 0xD000)  # first the default, then what large bootloaders use
V1_SIGNATURE = 68


def check(read: "callable", size: int, chip: "int | None" = None) -> image.Image:
    """A sound app image, or InputError that says what the file is: 601 to 606, evidence with the remedy."""
    is_app = size > image.DESC_OFFSET + 4 and bool(image.read_desc(read, size))
    if not is_app:
        app = find_app(read, size)
        if app is not None:
            raise InputError(
                code("IMAGE_COMBINED"), "bootloader, table and app in one; the app is at 0x%x" % app
            )
        raise _not_an_app(read, size)
    found = image.verify(read, size, chip)
    if found.size != size and trailer(read, found.size, size) is None:
        raise InputError(code("IMAGE_INVALID"), "%d bytes after the image" % (size - found.size))
    return found


def _not_an_app(read: "callable", size: int) -> InputError:
    if not size:
        return InputError(code("IMAGE_RAW"), "the file is empty")
    first = bytearray(1)
    read(0, first)
    if first[0] != image.MAGIC:
        return InputError(code("IMAGE_RAW"), "first byte %02x, not e9" % first[0])
    if size < image.DESC_OFFSET + image.DESC_SIZE:
        return InputError(code("IMAGE_TRUNCATED"), "%d bytes" % size)
    return InputError(code("IMAGE_INVALID"), "no app description at 0x20: a bootloader, or an ESP8266 image")


def find_app(read: "callable", size: int) -> "int | None":
    """Offset of the app in a combined file, by its partition table; None where there is no table."""
    row = bytearray(partition.ROW)
    for table in _TABLES:
        for start in _STARTS:
            at = table - start
            if at < 0 or at + partition.MAX_SIZE > size:
                continue
            read(at, row)
            if row[:2] == partition.MAGIC:
                app = _first_app(read, at, start)
                if app is not None:
                    return app
    return None


def _first_app(read: "callable", at: int, start: int) -> "int | None":
    raw = bytearray(partition.MAX_SIZE)
    read(at, raw)
    try:
        rows = partition.parse(raw, 1 << 32, None)
    except OtaError:
        return None
    apps = [row.offset - start for row in rows if row.type == partition.APP]
    return min(apps) if apps else None


def trailer(read: "callable", end: int, size: int) -> "str | None":
    """What lies behind an image of `end` bytes in a file of `size`: a Secure Boot signature, or None.

    v1: 68 bytes, the first word 0. v2: padding to 4 KB, then a sector that begins E7.
    """
    if size == end + V1_SIGNATURE:
        raw = bytearray(4)
        read(end, raw)
        return "secure-boot-v1" if raw == b"\0\0\0\0" else None
    padded = (end + 4095) // 4096 * 4096
    if size == padded + 4096:
        raw = bytearray(4)
        read(padded, raw)
        return "secure-boot-v2" if raw[0] == 0xE7 else None
    return None


def pack_desc(version: str = "", project: str = "", secure_version: int = 0, idf: str = "") -> bytes:
    """256 bytes of esp_app_desc_t. Texts of at most 31 bytes."""
    raw = image.DESC_MAGIC + pack("<I8x", secure_version)
    for text, width in ((version, 32), (project, 32), ("", 16), ("", 16), (idf, 32)):
        if len(text.encode()) >= width and text:
            raise ValueError("%r is longer than %d bytes" % (text, width - 1))
        raw += pack("%ds" % width, text.encode())
    return raw + bytes(image.DESC_SIZE - len(raw))


def build(segments: list, chip: int, entry: int = 0, hashed: bool = True) -> bytes:
    """An image of [(load address, bytes), ...]; data is filled up to a multiple of 4 with zeros.

    For an app the first segment begins with the app description. Mapped segments must be placed so that
    offset and address agree modulo 64 KB: that is the caller's to do (esptool elf2image does it).
    """
    if len(segments) > image.MAX_SEGMENTS:
        raise ValueError("at most 16 segments")
    mode, flash, no_pin, any_revision = 2, 0x20, 0xEE, 0xFFFF  # DIO, 4 MB at 40 MHz: esptool rewrites them
    head = (image.MAGIC, len(segments), mode, flash, entry, no_pin, chip, 0, 0, any_revision, int(hashed))
    parts = [pack("<BBBBIB3xHBHH4xB", *head)]
    xor = 0xEF
    for address, data in segments:
        data = bytes(data) + bytes(-len(data) % 4)
        parts += [pack("<II", address, len(data)), data]
        xor ^= image.xor_bytes(data)
    raw = b"".join(parts)
    raw += bytes(15 - len(raw) % 16) + bytes([xor])
    return raw + (sha256(raw).digest() if hashed else b"")
