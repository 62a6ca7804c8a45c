"""The components of a manifest: files that belong to the release beside its image (PACKAGE.md section 7)."""

from .errors import const, error

_NEEDS_NEWER_AGENT = const(105)

BUNDLE = 1  # kind: the application's files
MAX_SIZE = 1 << 22

_TABLE = (
    (0, "kind", int, 1, 0xFFFF, True),
    (1, "name", str, 1, 64, True),
    (2, "size", int, 1, MAX_SIZE, True),
    (3, "sha256", bytes, 32, 32, True),
)


def read(manifest: object, fields: "callable") -> None:
    """Set the Manifest's bundle_kind, _name, _size, _sha256. `fields`: manifest._read, which checks them."""
    if len(manifest.components) > 1:
        raise error(_NEEDS_NEWER_AGENT, "%d components" % len(manifest.components))
    fields(_TABLE, manifest.components[0], "bundle_", manifest)
    if manifest.bundle_kind != BUNDLE:
        raise error(_NEEDS_NEWER_AGENT, "component of kind %d" % manifest.bundle_kind)


def bundle(name: str, size: int, sha256: bytes) -> list:
    """`Manifest.components` of a release with that bundle."""
    return [{0: BUNDLE, 1: name, 2: size, 3: sha256}]
