"""The journal: what a board must remember over a reset, one NVS blob per kind. SLOTS.md section 6.

A blob is: version, kind, a CBOR map with integer keys, CRC-32 (little-endian) over all before it.
Whatever does not decode, is out of range, or has another version counts as lost: that costs time,
never a wrong image. Unknown keys are skipped, so a later agent may add fields.
"""

from binascii import crc32
from struct import pack, unpack

from . import cbor
from .errors import OtaError, const

VERSION = 1
NAMESPACE = "driblet"

SESSION = 1
HINT = 2
TRIAL = 3
BLOCKED = 4
FLOOR = 5
KNOWN = 6
KEYS = 7
BUNDLES = 8

# kind: (NVS key, most bytes of a blob)
BLOBS = {
    SESSION: ("session", 1984),
    HINT: ("hint", 96),
    TRIAL: ("trial", 192),
    BLOCKED: ("blocked", 448),
    FLOOR: ("floor", 32),
    KNOWN: ("known", 384),
    KEYS: ("keyset", 1984),
    BUNDLES: ("bundles", 192),
}

# Phases of TRIAL.
READY = 1
INTENT = 2
DONE = 3
REJECTED = 4
OFFLINE = 5
REVERTED = 6

MAX_BLOCKED = 8
MAX_DIRTY = 8

_U32 = const((1 << 32) - 1)
_SIZE = const(1 << 28)
_HASH = (32, 32)

# kind: ((CBOR key, name, type, least, most, default), ...). For texts and bytes the bounds are lengths.
# Default None: the field must be there.
FIELDS = {
    SESSION: (
        (0, "digest", bytes, 32, 32, None),
        (1, "seq", int, 1, _U32, None),
        (2, "slot", int, 0, 15, None),
        (3, "size", int, 1, _SIZE, None),
        (4, "image", bytes, 32, 32, None),
        (5, "version", str, 0, 64, ""),
        (6, "rollout", str, 0, 64, ""),
        (7, "url", str, 0, 512, ""),
        (8, "etag", str, 0, 80, ""),
        (9, "head", bytes, 0, 32, b""),
        (10, "manifest", bytes, 0, 1024, b""),
        (11, "undo", bool, 0, 1, False),
        (12, "failures", int, 0, 255, 0),
    ),
    HINT: (
        (0, "session", bytes, 8, 8, None),
        (1, "staged", int, 0, 65535, 0),
        (2, "written", int, 0, 65535, 0),
        (3, "dirty", list, 0, MAX_DIRTY, ()),
        (4, "all_dirty", bool, 0, 1, False),
    ),
    TRIAL: (
        (0, "phase", int, READY, REVERTED, None),
        (1, "slot", int, 0, 15, None),
        (2, "size", int, 1, _SIZE, None),
        (3, "image", bytes, 32, 32, None),
        (4, "seq", int, 1, _U32, None),
        (5, "home_slot", int, -1, 15, None),
        (6, "home_size", int, 1, _SIZE, None),
        (7, "home_image", bytes, 32, 32, None),
        (8, "trials", int, 0, 3, 0),
        (9, "begun", bool, 0, 1, False),
        (10, "causes", bytes, 0, 8, b""),
        (11, "code", int, 0, 999, 0),
        (12, "offline", int, 0, 255, 0),
        (13, "undo", bool, 0, 1, False),
        (14, "told", bool, 0, 1, False),
        (15, "bundle", bytes, 0, 32, b""),
    ),
    BLOCKED: ((0, "images", list, 0, MAX_BLOCKED, ()),),
    FLOOR: ((0, "seq", int, 0, _U32, 0), (1, "key_set", int, 0, _U32, 0)),
    KNOWN: ((0, "images", list, 0, 2, ()),),
    KEYS: ((0, "set", bytes, 1, 1792, None), (1, "tables", list, 0, 2, ())),
    BUNDLES: ((0, "images", list, 0, 2, ()), (1, "coming", bytes, 0, 32, b"")),
}

# What stands in the lists: one field, or an array of several.
ITEMS = {
    HINT: ((int, 0, 65535),),
    BLOCKED: ((bytes, 32, 32), (int, 0, _U32)),
    KNOWN: ((bytes, 32, 32), (int, 0, _U32), (str, 0, 64)),
    KEYS: ((bytes, 8, 8), (bytes, 32, 32)),
    BUNDLES: ((bytes, 32, 32), (bytes, 0, 32)),
}


def encode(kind: int, record: dict) -> bytes:
    """The blob of a record {name: value}; defaults are left out. ValueError if it does not fit."""
    fields = {}
    for key, name, type_, least, most, default in FIELDS[kind]:
        value = record.get(name, default)
        if not _fits(kind, value, type_, least, most):
            raise ValueError("%s of record %d" % (name, kind))
        if default is None or value != default:
            fields[key] = value
    raw = bytes((VERSION, kind)) + cbor.encode(fields)
    raw += pack("<I", crc32(raw) & 0xFFFFFFFF)
    if len(raw) > BLOBS[kind][1]:
        raise ValueError("record %d has %d bytes" % (kind, len(raw)))
    return raw


def decode(kind: int, raw: "bytes | None") -> "dict | None":
    """The record {name: value}, every field present; None where it is lost: absent, damaged or unknown."""
    if not raw or len(raw) < 7 or len(raw) > BLOBS[kind][1] or raw[0] != VERSION or raw[1] != kind:
        return None
    raw = bytes(raw)
    if unpack("<I", raw[-4:])[0] != crc32(raw[:-4]) & 0xFFFFFFFF:
        return None
    try:
        fields = cbor.decode(raw[2:-4])
    except OtaError:
        return None
    if not isinstance(fields, dict):
        return None
    record = {}
    for key, name, type_, least, most, default in FIELDS[kind]:
        value = fields.get(key, default)
        if not _fits(kind, value, type_, least, most):
            return None
        record[name] = value
    return record


def _fits(kind: int, value: object, type_: type, least: int, most: int) -> bool:
    if type_ is list:
        if not isinstance(value, (list, tuple)) or len(value) > most:
            return False
        return all([_item_fits(item, ITEMS[kind]) for item in value])
    if type(value) is not type_:
        return False
    return least <= (value if type_ in (int, bool) else _length(value)) <= most


def _item_fits(item: object, spec: tuple) -> bool:
    values = item if len(spec) > 1 else (item,)
    if not isinstance(values, (list, tuple)) or len(values) != len(spec):
        return False
    return all([_fits(0, value, *bounds) for value, bounds in zip(values, spec)])


def _length(value: object) -> int:
    return len(value.encode() if isinstance(value, str) else value)


def block(record: "dict | None", image: bytes, seq: int) -> dict:
    """The blocklist with (image hash, seq) at its end; the oldest of more than MAX_BLOCKED go."""
    images = [list(item) for item in record["images"]] if record else []
    images = [item for item in images if item != [image, seq]] + [[image, seq]]
    return {"images": images[-MAX_BLOCKED:]}


def is_blocked(record: "dict | None", image: bytes, seq: int) -> bool:
    return bool(record) and [image, seq] in [list(item) for item in record["images"]]


def know(record: "dict | None", image: bytes, seq: int, version: str) -> dict:
    """What the images in the two slots are called: the latest two."""
    images = [list(item) for item in record["images"] if item[0] != image] if record else []
    return {"images": (images + [[image, seq, version]])[-2:]}


def version_of(record: "dict | None", image: bytes) -> tuple:
    """(seq, version) of an image, (0, "") where it is not known."""
    for item in record["images"] if record else ():
        if item[0] == image:
            return item[1], item[2]
    return 0, ""


def floor(record: "dict | None", trial: "dict | None", own_seq: int = 0) -> int:
    """The highest seq that was ever confirmed, by any witness. A release must be above it.

    trial: its seq counts once it is DONE, so that confirming and raising the floor are one write.
    """
    seq = max(own_seq, record["seq"] if record else 0)
    return max(seq, trial["seq"]) if trial and trial["phase"] == DONE else seq


def dirty(hint: "dict | None") -> dict:
    """{"dirty", "all_dirty"} for the next session's first hint: the marks, and what the cut hit."""
    if not hint:
        return {"dirty": [], "all_dirty": False}
    marks = [n for n in hint["dirty"]]
    for n in (hint["staged"], hint["written"]):
        if n not in marks:
            marks.append(n)
    fits = len(marks) <= MAX_DIRTY and not hint["all_dirty"]
    return {"dirty": marks if fits else [], "all_dirty": not fits}
