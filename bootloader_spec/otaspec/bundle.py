"""The code bundle of a LINUX_HOST image: a tiny archive of files. PACKAGE.md section 6.

Read with a function read(offset, buffer) that fills the buffer, as in image.py, so nothing holds the
whole bundle. Built on the host, sorted by name, without times or rights: the same files, the same bytes.
"""

from struct import pack, unpack

from .errors import InputError, code
from .image import DESC_SIZE, Image  # noqa: F401 - for the annotation

MAGIC = b"BNDL"
VERSION = 1
HEADER = 8
MAX_FILES = 512
MAX_NAME = 96

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
        raise _bad("%d segments, not one that holds it" % len(found.segments))
    _, at, size = found.segments[0]
    return entries(read, at + DESC_SIZE, size - DESC_SIZE)


def entries(read: "callable", at: int, size: int) -> list:
    """[(name, offset of the data, bytes), ...] of the bundle in the `size` bytes at `at`.

    The whole structure is checked here, before a caller writes a single file. InputError IMAGE_INVALID.
    """
    end = at + size
    head = _take(read, at, HEADER, end)
    version, _, count = unpack("<BBH", head[4:])
    if head[:4] != MAGIC or version != VERSION or count > MAX_FILES:
        raise _bad("begins %s" % bytes(head))
    at += HEADER
    found, last = [], ""
    for _ in range(count):
        length, width = unpack("<IB", _take(read, at, 5, end))
        name = _name(_take(read, at + 5, width, end))
        at += 5 + width
        if name <= last:
            raise _bad("%s after %s" % (name, last))
        if length > end - at:
            raise _bad("%s ends behind the bundle" % name)
        found.append((name, at, length))
        last = name
        at += length
    if end - at > 3:  # a segment is filled up to a multiple of 4
        raise _bad("%d bytes after the last file" % (end - at))
    return found


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


def _take(read: "callable", at: int, size: int, end: int) -> bytearray:
    if at + size > end:
        raise _bad("ends in the middle of an entry")
    found = bytearray(size)
    read(at, found)
    return found


def _name(raw: bytes) -> str:
    try:
        name = bytes(raw).decode()
    except UnicodeError:
        name = ""
    if not _is_safe(name):
        raise _bad("name %s" % bytes(raw[:24]))
    return name


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


def _bad(evidence: str) -> InputError:
    return InputError(code("IMAGE_INVALID"), "bundle: " + evidence)
