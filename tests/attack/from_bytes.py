"""Bytes that are cut, longer, or no CBOR of ours."""

from collections.abc import Iterator

from tests.attack import forge
from tests.attack.bench import NEW, signed
from tests.attack.cases import GOOD, HEAD, PATCH, PATCH_HEAD, Case, flip


def _truncated() -> Iterator[Case]:
    row = "truncation and trailing bytes"
    for name, size in (
        ("nothing", 0), ("half-a-magic", 2), ("magic-only", 4), ("half-a-length", 6), ("length-only", 8),
        ("half-a-manifest", HEAD // 2), ("manifest-less-a-byte", HEAD - 1),
    ):  # fmt: skip
        yield Case(row, name, "PACKAGE_TRUNCATED", f"the first {size} bytes", GOOD[:size])
    for name, package, size in (
        ("manifest-only", GOOD, HEAD), ("first-sector-only", GOOD, HEAD + 4096 - 32),
        ("image-less-a-byte", GOOD, len(GOOD) - 1), ("patch-less-a-byte", PATCH, len(PATCH) - 1),
        ("no-patch", PATCH, PATCH_HEAD),
    ):  # fmt: skip
        yield Case(
            row, name, "PACKAGE_TRUNCATED", f"{size:,} of {len(package):,} bytes", package[:size], later=True
        )
    yield Case(
        row, "a-byte-after-the-image", "PACKAGE_TRAILING_BYTES", "one byte more", GOOD + b"x", later=True
    )
    yield Case(
        row,
        "a-byte-after-the-patch",
        "PACKAGE_TRAILING_BYTES",
        "the same for a patch",
        PATCH + b"x",
        later=True,
    )
    yield Case(
        row,
        "two-packages",
        "PACKAGE_TRAILING_BYTES",
        "a second package behind the first",
        PATCH + GOOD,
        later=True,
    )
    yield Case(row, "another-file", "PACKAGE_MAGIC_WRONG", "an image where a package belongs", NEW)
    yield Case(
        row, "a-web-page", "PACKAGE_MAGIC_WRONG", "a captive portal's page", b"<!doctype html>" + bytes(500)
    )


# Bad CBOR under a key that an agent ignores, in a manifest that we signed: an insider, or a broken tool.
_BAD_ITEMS = {
    "indefinite-bytes": ("5f4101ff", "bytes of indefinite length"),
    "indefinite-text": ("7f6161ff", "text of indefinite length"),
    "indefinite-array": ("9f01ff", "an array of indefinite length"),
    "indefinite-map": ("bf0101ff", "a map of indefinite length"),
    "break": ("ff", "a break that ends nothing"),
    "reserved-length": ("1c", "a reserved length"),
    "long-integer": ("1817", "23 in two bytes"),
    "longer-integer": ("190018", "24 in three bytes"),
    "long-length": ("580161", "a length in two bytes that fits one"),
    "beyond-53-bits": ("1b0020000000000000", "2^53"),
    "negative-beyond": ("3b001fffffffffffff", "-2^53"),
    "null": ("f6", "null"),
    "undefined": ("f7", "undefined"),
    "simple": ("f820", "a simple value"),
    "half-float": ("f90000", "a half float"),
    "double": ("fb0000000000000000", "a double"),
    "text-key": ("a1616101", "a map with a text for a key"),
    "bytes-key": ("a1410101", "a map with bytes for a key"),
    "key-twice": ("a201010102", "a map with one key twice"),
    "keys-unsorted": ("a202010102", "a map whose keys are not sorted"),
    "too-deep": ("8181818101", "five levels"),
    "tags-too-deep": ("c1c1c1c101", "tags in tags in tags"),
    "overlong-utf8": ("62c0af", "an overlong UTF-8"),
    "surrogate": ("63eda080", "half a surrogate pair"),
    "broken-utf8": ("61ff", "text that is no UTF-8"),
    "huge-array": ("9b001fffffffffffff", "an array of 2^53 items"),
    "huge-map": ("ba7fffffff", "a map of 2^31 pairs"),
    "huge-bytes": ("5a7fffffff", "2 GB of bytes"),
    "cut-off": ("44010203", "bytes that end too early"),
}  # fmt: skip


def _cbor() -> Iterator[Case]:
    row = "malformed CBOR"
    for name, (item, what) in _BAD_ITEMS.items():
        yield Case(
            row,
            name,
            "CBOR_MALFORMED",
            what + ", signed",
            signed(forge.with_item(GOOD, bytes.fromhex(item))) + GOOD[HEAD:],
        )
    payload = forge.payload_of(GOOD)
    yield Case(
        row, "trailing-item", "CBOR_MALFORMED", "a second item after the map, signed", signed(payload + b"\0")
    )
    yield Case(row, "empty", "CBOR_MALFORMED", "nothing at all, signed", signed(b""))
    yield Case(row, "no-map", "MANIFEST_INVALID", "a list in place of the map, signed", signed(b"\x81\x01"))
    yield Case(row, "envelope", "CBOR_MALFORMED", "another CBOR tag around it", flip(GOOD, 8))
    yield Case(
        row, "envelope-longer", "CBOR_MALFORMED", "a byte between envelope and payload", forge.padded(GOOD)
    )
    yield Case(
        row,
        "unknown-field",
        "NEEDS_NEWER_AGENT",
        "a field that must not be ignored",
        signed(forge.with_pairs(GOOD, {22: 0})),
    )
    yield Case(row, "format-2", "NEEDS_NEWER_AGENT", "a later format", signed(forge.with_pairs(GOOD, {0: 2})))
    for key, value, what in (
        (1, "9", "seq as a text"), (1, 0, "seq 0"), (2, "", "an empty product"),
        (4, 1 << 16, "a chip id of 17 bits"),
        (6, {0: 0, 1: bytes(32)}, "an image of 0 bytes"), (6, {0: 5000}, "no image hash"),
        (7, {}, "an empty payload map"),
        (8, {0: 5, 1: bytes(32)}, "a base with a whole image"), (14, bytes(31), "an SBOM digest of 31 bytes"),
        (3, "B" * 65, "a board id of 65 bytes"),
    ):  # fmt: skip
        name = "invalid-" + what.replace(" ", "-")
        yield Case(row, name, "MANIFEST_INVALID", what, signed(forge.with_pairs(GOOD, {key: value})))
    yield Case(row, "invalid-no-seq", "MANIFEST_INVALID", "no seq", signed(forge.without(GOOD, 1)))


GROUPS = (
    _truncated,
    _cbor,
)
