"""ESP app images: read, verified as the second-stage bootloader does, recognised. SLOTS.md section 3.

ESP-IDF: esp_app_format.h, esp_image_format.c (image_load, process_segments, process_checksum).
Nothing here holds more than a buffer: an image is a function read(offset, buffer) that fills the buffer.
Not checked, since it needs the chip's memory map: load addresses; nor chip revision and signature.
"""

from binascii import hexlify
from hashlib import sha256
from struct import unpack

from .errors import const, error

try:
    from .names import CHIPS as CHIPS
except ImportError:  # a small board: a number does
    CHIPS = {}

_IMAGE_RAW = const(602)
_IMAGE_TRUNCATED = const(603)
_IMAGE_CHECKSUM_WRONG = const(604)
_IMAGE_INVALID = const(605)
_CHIP_MISMATCH = const(606)

HEADER_SIZE = 24
HEAD = 32  # header and first segment header: programmed last, so that nothing else makes a slot bootable
MAGIC = 0xE9
MAX_SEGMENTS = 16
MAX_SIZE = 1 << 24
MAX_SIGNATURE = 8191  # bytes behind an image: Secure Boot v2 fills up to 4 KB and adds a sector
DESC_OFFSET = 32
DESC_SIZE = 256
DESC_MAGIC = b"\x32\x54\xcd\xab"
LINUX_HOST = 0xFFF0  # ours: no chip of Espressif's will carry it

_BUFFER = const(4096)


def chip_name(chip: int) -> str:
    return CHIPS.get(chip, "chip 0x%04x" % chip)


class Image:
    """What a header says. Sizes and offsets in bytes; `segments` is [(load address, offset, size), ...]."""

    def __init__(self, chip: int, entry: int, segments: list, end: int, hashed: bool, head_xor: int) -> None:
        self.chip = chip
        self.entry = entry
        self.segments = segments
        self.checksum_at = (end + 16) // 16 * 16 - 1  # at least one byte of padding, the last is the checksum
        self.hashed = hashed
        self.size = self.checksum_at + 1 + (32 if hashed else 0)
        self._head_xor = head_xor
        self._end = end


def parse(read: "callable", size: int) -> Image:
    """The structure of the image in the first `size` bytes. InputError 602, 603, 605."""
    if size < HEADER_SIZE:
        raise error(_IMAGE_TRUNCATED, "%d bytes are no header" % size)
    head = bytearray(HEADER_SIZE)
    read(0, head)
    if head[0] != MAGIC:
        raise error(_IMAGE_RAW, "first byte %02x, not e9" % head[0])
    if head[1] > MAX_SEGMENTS:
        raise error(_IMAGE_INVALID, "%d segments, at most 16" % head[1])
    xor, at, segments, segment = xor_bytes(head), HEADER_SIZE, [], bytearray(8)
    for i in range(head[1]):
        if at + 8 > size:
            raise error(_IMAGE_TRUNCATED, "header of segment %d at %d of %d bytes" % (i, at, size))
        read(at, segment)
        address, length = unpack("<II", segment)
        if length & 3 or length >= MAX_SIZE:
            raise error(_IMAGE_INVALID, "segment %d has %d bytes" % (i, length))
        segments.append((address, at + 8, length))
        xor ^= xor_bytes(segment)
        at += 8 + length
    entry, chip = unpack("<I", head[4:8])[0], unpack("<H", head[12:14])[0]
    found = Image(chip, entry, segments, at, head[23] != 0, xor)
    if found.size > size:
        raise error(_IMAGE_TRUNCATED, "%d bytes of %d" % (size, found.size))
    return found


def verify(
    read: "callable", size: int, chip: "int | None" = None, buffer: "bytearray | None" = None
) -> Image:
    """The check that a bootloader of `chip` makes: structure, chip id, checksum, appended SHA-256.

    `size` bytes are there (the slot, or the file). One pass over the image in pieces of `buffer`
    (default 4 KB, its length a multiple of 4). InputError 602 to 606.
    """
    found = parse(read, size)
    if chip is not None and found.chip != chip:
        raise error(_CHIP_MISMATCH, "image for %s, board has %s" % (chip_name(found.chip), chip_name(chip)))
    buffer = buffer or bytearray(_BUFFER)
    body = found.checksum_at + 1
    hasher = sha256() if found.hashed else None
    xor = 0xEF ^ found._head_xor
    for at in range(0, body, len(buffer)):
        piece = memoryview(buffer)[: min(len(buffer), body - at)]
        read(at, piece)
        if hasher:
            hasher.update(piece)
        if at < found._end:
            xor ^= xor_bytes(piece[: found._end - at])
    if piece[len(piece) - 1] != xor:
        raise error(_IMAGE_CHECKSUM_WRONG, "checksum %02x, computed %02x" % (piece[len(piece) - 1], xor))
    if hasher:
        _check_hash(read, body, hasher.digest())
    return found


def _check_hash(read: "callable", at: int, want: bytes) -> None:
    stored = bytearray(32)
    read(at, stored)
    if stored != want:
        got = hexlify(want[:4]).decode()
        raise error(_IMAGE_CHECKSUM_WRONG, "appended SHA-256 is not that of the image (%s...)" % got)


def digest(read: "callable", size: int, head: bytes = b"", buffer: "bytearray | None" = None) -> bytes:
    """SHA-256 of `size` bytes, the first of which are taken from `head` and not from the flash.

    So a slot whose first 32 bytes are still left out is hashed as the image that it will be.
    """
    buffer = buffer or bytearray(_BUFFER)
    hasher = sha256(head)
    for at in range(len(head), size, len(buffer)):
        piece = memoryview(buffer)[: min(len(buffer), size - at)]
        read(at, piece)
        hasher.update(piece)
    return hasher.digest()


def app_desc(raw: bytes) -> dict:
    """esp_app_desc_t of its 256 bytes (image offset 32); empty where there is none.

    MicroPython leaves version and project empty: what a release is called, its manifest says.
    """
    if bytes(raw[:4]) != DESC_MAGIC:
        return {}
    desc = {"secure_version": unpack("<I", raw[4:8])[0]}
    at = 16
    for name, width in (("version", 32), ("project", 32), ("time", 16), ("date", 16), ("idf", 32)):
        desc[name] = _text(raw[at : at + width])
        at += width
    desc["elf_sha256"] = bytes(raw[at : at + 32])
    return desc


def _text(raw: bytes) -> str:
    try:
        return bytes(raw).split(b"\0")[0].decode()
    except UnicodeError:
        return ""  # a name, not a reason to stop at boot


def read_desc(read: "callable", size: int) -> dict:
    """The app description of an image, empty without one."""
    if size < DESC_OFFSET + DESC_SIZE:
        return {}
    raw = bytearray(DESC_SIZE)
    read(DESC_OFFSET, raw)
    return app_desc(raw)


def xor_bytes(data: bytes) -> int:
    """XOR of all bytes, by halving one long integer: C speed on both Pythons."""
    n = len(data)
    x = int.from_bytes(data, "little")
    while n > 1:
        n = (n + 1) // 2
        x = (x >> (8 * n)) ^ (x & ((1 << (8 * n)) - 1))
    return x
