"""The manifest of a package: its fields, their types and ranges (PACKAGE.md sections 1 and 3)."""

from . import cbor
from .errors import const, error

try:
    from . import components
except ImportError:
    components = None  # firmware only

_NEEDS_NEWER_AGENT = const(105)
_MANIFEST_TOO_LARGE = const(106)
_MANIFEST_INVALID = const(107)
_PACKAGE_TRUNCATED = const(108)
_PACKAGE_MAGIC_WRONG = const(118)

MAGIC = b"DRB1"
HEAD_SIZE = 8  # magic and length, before the manifest
MAX_SIZE = 8192
FORMAT = 1
CHUNK_SIZE = 4096
CHUNK_AHEAD = 5120  # PATCH.md 13: the most that a decoder takes of the patch for a sector, or at its start
CHUNK_ROOM = CHUNK_AHEAD + CHUNK_SIZE
MAX_IMAGE = 1 << 28
IMAGE_HEAD = 32  # the first bytes of an image, programmed last

# Codecs (PATCH.md). Those below BSDIFF carry a whole image and have no base.
IMAGE = 0
HEATSHRINK = 1
BSDIFF = 2
ADDRESS = 3
KEPT = 4  # no payload: the image stands in the other slot (an undo)

_U31 = const((1 << 31) - 1)
_U53 = cbor.MAX_INT

# (key, name, type, least, most, mandatory); least and most bound an integer or a length in bytes.
# A type that is itself a table is a map whose names follow ours: image_size, image_sha256.
_FILE = (
    (0, "size", int, 1, MAX_IMAGE, True),
    (1, "sha256", bytes, 32, 32, True),
)
_PAYLOAD = (
    (0, "size", int, 0, MAX_IMAGE, True),
    (1, "sha256", bytes, 32, 32, True),
    (2, "codec", int, 0, 0xFFFF, True),
    (3, "params", dict, 0, 16, True),
    (4, "ram", int, 0, _U31, True),
    (5, "chunk_size", int, CHUNK_SIZE, CHUNK_SIZE, False),
    (6, "chunks", bytes, 32, cbor.MAX_BYTES, False),
    (7, "head", bytes, IMAGE_HEAD, IMAGE_HEAD, False),
)
_MANIFEST = (
    (0, "format", int, FORMAT, FORMAT, True),
    (1, "seq", int, 1, _U31, True),
    (2, "product", str, 1, 64, True),
    (3, "board", str, 1, 64, True),
    (4, "chip", int, 0, 0xFFFF, True),
    (5, "version", str, 1, 64, True),
    (6, "image", _FILE, 0, 0, True),
    (7, "payload", _PAYLOAD, 0, 0, True),
    (8, "base", _FILE, 0, 0, False),
    (9, "secure_version", int, 0, _U53, False),
    (10, "min_agent", int, 0, _U53, False),
    (11, "not_after", int, 1, _U53, False),
    (12, "components", list, 0, 0, False),
    (14, "sbom", bytes, 32, 32, False),
    (15, "device", str, 1, 64, False),
)


class Manifest:
    """One release for one board. A value below is what an absent field means, or none that is valid."""

    format = FORMAT
    seq = 0
    product = ""
    board = ""
    chip = 0
    version = ""
    image_size = 0
    image_sha256 = b""
    payload_size = 0
    payload_sha256 = b""
    payload_codec = 0
    payload_params = {}  # {uint: uint}
    payload_ram = 0
    payload_chunk_size = 0  # the payload is verified whole
    payload_chunks = b""
    payload_head = b""
    base_size = 0  # a full image
    base_sha256 = b""
    secure_version = 0
    min_agent = 0
    not_after = 0  # never
    components = ()  # as they stand in the manifest; the bundle among them:
    bundle_size = 0
    bundle_sha256 = b""
    sbom = b""
    device = ""  # any

    # set by verify.open_package: SHA-256 of what was signed (it names the manifest whatever the
    # signature's bytes are), and where the payload starts in the package
    digest = b""
    payload_offset = 0

    def __init__(self, **fields) -> None:
        for name in fields:
            setattr(self, name, fields[name])


def size_of(head: bytes) -> int:
    """Length of the manifest, from the first HEAD_SIZE bytes of a package."""
    if bytes(head[:4]) != MAGIC[: len(head)]:
        raise error(_PACKAGE_MAGIC_WRONG)
    if len(head) < HEAD_SIZE:
        raise error(_PACKAGE_TRUNCATED, "%d bytes" % len(head))
    size = int.from_bytes(head[4:8], "little")
    if not 1 <= size <= MAX_SIZE:
        raise error(_MANIFEST_TOO_LARGE, "%d bytes" % size)
    return size


def package_head(signed: bytes) -> bytes:
    """The package up to its payload: magic, length, signed manifest."""
    if not 1 <= len(signed) <= MAX_SIZE:
        raise error(_MANIFEST_TOO_LARGE, "%d bytes" % len(signed))
    return MAGIC + len(signed).to_bytes(4, "little") + signed


def decode(payload: bytes) -> Manifest:
    """The manifest in the payload of an envelope; NEEDS_NEWER_AGENT or MANIFEST_INVALID."""
    data = cbor.decode(payload)
    if type(data) is not dict:
        _invalid("not a map")
    # A later format may mean other things by the same keys: nothing else is read of it.
    if type(data.get(0)) is int and data[0] > FORMAT:
        raise error(_NEEDS_NEWER_AGENT, "format %d" % data[0])
    manifest = Manifest()
    _read(_MANIFEST, data, "", manifest)
    if manifest.components:
        if not components:
            raise error(_NEEDS_NEWER_AGENT, "components")
        components.read(manifest, _read)
    _check_whole(manifest)
    return manifest


def encode(manifest: Manifest) -> bytes:
    """The payload of an envelope. Refuses what decode would refuse."""
    _check_whole(manifest)
    data = cbor.encode(_write(_MANIFEST, manifest, ""))
    decode(data)
    return data


def _invalid(why: str) -> None:
    raise error(_MANIFEST_INVALID, why)


def _read(table: tuple, data: dict, prefix: str, manifest: Manifest) -> None:
    """Sets the fields that `table` names from the map `data`, each checked."""
    if type(data) is not dict:
        _invalid(prefix + " is not a map")
    known = [row[0] for row in table]
    for key in data:
        if key >= 0 and key not in known:
            raise error(_NEEDS_NEWER_AGENT, "key %s%d" % (prefix, key))
    for key, name, kind, least, most, mandatory in table:
        name = prefix + name
        if key not in data:
            if mandatory:
                _invalid(name + " is missing")
        elif type(kind) is tuple:
            _read(kind, data[key], name + "_", manifest)
        else:
            setattr(manifest, name, _value(name, data[key], kind, least, most))


def _value(name: str, value: object, kind: type, least: int, most: int) -> object:
    if type(value) is not kind:
        _invalid(name + " has the wrong type")
    if kind is list:
        return value
    size = value if kind is int else len(value.encode() if kind is str else value)
    if not least <= size <= most:
        _invalid(name + " is out of range")
    if kind is dict:
        for key in value:
            if type(value[key]) is not int or not (0 <= key < 256 and 0 <= value[key] <= _U31):
                _invalid(name + " holds more than small numbers")
    return value


def _write(table: tuple, manifest: Manifest, prefix: str) -> dict:
    """The map that `_read` reads; a field that says what its absence says is left out."""
    data = {}
    for key, name, kind, _, _, mandatory in table:
        name = prefix + name
        if type(kind) is tuple:
            if mandatory or getattr(manifest, name + "_size"):
                data[key] = _write(kind, manifest, name + "_")
        elif mandatory or getattr(manifest, name) != getattr(Manifest, name):
            data[key] = getattr(manifest, name)
    return data


def _check_whole(m: Manifest) -> None:
    """What the fields must say together."""
    if (m.payload_codec in (IMAGE, HEATSHRINK, KEPT)) != (m.base_size == 0):
        _invalid("a base with a full image, or none with a patch")
    if (m.payload_codec == KEPT) != (m.payload_size == 0):
        _invalid("no payload belongs to codec 4")
    if (m.payload_codec == IMAGE) != (len(m.payload_head) == IMAGE_HEAD):
        _invalid("payload_head belongs to codec 0")
    if m.payload_codec == IMAGE and m.payload_size != m.image_size - IMAGE_HEAD:
        _invalid("a plain payload is the image less its head")
    chunks = 0
    if m.payload_chunk_size:
        chunks = (m.payload_size + m.payload_chunk_size - 1) // m.payload_chunk_size
    if len(m.payload_chunks) != 32 * chunks:
        _invalid("chunks do not cover the payload")
