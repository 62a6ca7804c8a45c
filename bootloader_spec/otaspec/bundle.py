"""A tiny archive of files: the code in a LINUX_HOST image, and an application's bundle (PACKAGE.md 6 and 7).

Read with a function read(offset, buffer) that fills the buffer, as in image.py, so nothing holds the
whole bundle. Built on the host, sorted by name, without times or rights: the same files, the same bytes.
"""

from struct import pack, unpack

from .errors import OtaError, const, error
from .image import DESC_SIZE, Image  # noqa: F401 - for the annotation

_BUNDLE_INVALID = const(119)
_IMAGE_INVALID = const(605)

MAGIC = b"BNDL"
VERSION = 1
HEADER = 8
MAX_FILES = 512
MAX_NAME = 96
RESERVED = ("otaagent", "otaspec")  # come from the image, never from an application's bundle

_FILL = const(3)  # a segment of an image is filled up to a multiple of 4
_BUFFER = 2048
_PLAIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."


def build(files: dict) -> bytes:
    """The bundle of {name: bytes}. ValueError for a name that a reader would refuse."""
    if len(files) > MAX_FILES:
        raise ValueError("%d files, at most %d" % (len(files), MAX_FILES))
    parts = [MAGIC + pack("<BBH", VERSION, 0, len(files))]
    for name in sorted(files):
        if not _is_safe(name):
            raise ValueError("%r is no name for a bundle" % name)
        parts += [pack("<IB", len(files[name]), len(name)), name.encode(), files[name]]
    return b"".join(parts)


def in_image(read: "callable", found: "Image") -> list:
    """`entries` of the bundle in a LINUX_HOST image: behind the app description in its one segment."""
    if len(found.segments) != 1 or found.segments[0][2] < DESC_SIZE + HEADER:
        raise _bad(_IMAGE_INVALID, "%d segments, not one that holds it" % len(found.segments))
    _, at, size = found.segments[0]
    return entries(read, at + DESC_SIZE, size - DESC_SIZE)


def entries(read: "callable", at: int, size: int) -> list:
    """[(name, offset of the data, bytes), ...] of the bundle in the `size` bytes at `at`.

    The whole structure is checked here, before a caller writes a single file. InputError IMAGE_INVALID.
    """
    return list(_walk(read, at, at + size, _FILL, _IMAGE_INVALID))


def files_of(read: "callable", size: int) -> object:
    """Yields what entries lists, of an application's bundle of `size` bytes; BUNDLE_INVALID.

    Whoever writes files goes through all of it once before.
    """
    for found in _walk(read, 0, size, 0, _BUNDLE_INVALID):
        if found[0].split("/")[0].split(".")[0] in RESERVED:
            raise _bad(_BUNDLE_INVALID, "%s belongs to the agent" % found[0])
        yield found


def _walk(read: "callable", at: int, end: int, fill: int, wrong: int) -> object:
    """Entries; an error of number `wrong`. `fill`: bytes that may follow the last one."""
    head = _take(read, at, HEADER, end, wrong)
    version, reserved, count = unpack("<BBH", head[4:])
    if head[:4] != MAGIC or version != VERSION or reserved or count > MAX_FILES:
        raise _bad(wrong, "begins %s" % bytes(head))
    at += HEADER
    last = ""
    for _ in range(count):
        length, width = unpack("<IB", _take(read, at, 5, end, wrong))
        raw = _take(read, at + 5, width, end, wrong)
        name = _name(raw)
        if not name:
            raise _bad(wrong, "name %s" % bytes(raw[:24]))
        at += 5 + width
        if name <= last:
            raise _bad(wrong, "%s after %s" % (name, last))
        if length > end - at:
            raise _bad(wrong, "%s ends behind the bundle" % name)
        yield name, at, length
        last = name
        at += length
    if end - at > fill:
        raise _bad(wrong, "%d bytes after the last file" % (end - at))


def extract(
    read: "callable", at: int, size: int, write: "callable", buffer: "bytearray | None" = None
) -> None:
    """write(piece) for one piece after the other of a file of `size` bytes at `at`.

    A piece is a view of `buffer` (default 2 KB) and good until the next one.
    """
    buffer = buffer or bytearray(_BUFFER)
    for start in range(0, size, len(buffer)):
        piece = memoryview(buffer)[: min(len(buffer), size - start)]
        read(at + start, piece)
        write(piece)


def _take(read: "callable", at: int, size: int, end: int, wrong: int) -> bytearray:
    if at + size > end:
        raise _bad(wrong, "ends in the middle of an entry")
    found = bytearray(size)
    read(at, found)
    return found


def _name(raw: bytes) -> str:
    """The name; empty where it is none."""
    try:
        name = bytes(raw).decode()
    except UnicodeError:
        name = ""
    return name if _is_safe(name) else ""


def _is_safe(name: str) -> bool:
    """A relative path that stays below its folder on every file system: plain letters, no dot in front."""
    if not 0 < len(name) <= MAX_NAME:
        return False
    for part in name.split("/"):
        if not part or part[0] == ".":
            return False
        for letter in part:
            if letter not in _PLAIN:
                return False
    return True


def _bad(wrong: int, evidence: str) -> OtaError:
    return error(wrong, "bundle: " + evidence)
