"""Makes what no honest tool makes: envelopes, manifests and images that are wrong in one place."""

from typing import Any

from otaspec import cbor, cose, image, image_file, partition
from otaspec import manifest as manifests

_SIGNATURE = 64


def _split(package: bytes) -> tuple[bytes, bytes]:
    """(manifest, payload) of a package."""
    end = manifests.HEAD_SIZE + manifests.size_of(package[: manifests.HEAD_SIZE])
    return package[manifests.HEAD_SIZE : end], package[end:]


def _joined(manifest: bytes, payload: bytes) -> bytes:
    return bytes(manifests.package_head(manifest)) + payload


def resigned(package: bytes, signature: bytes) -> bytes:
    manifest, payload = _split(package)
    return _joined(manifest[:-_SIGNATURE] + signature, payload)


def renamed(package: bytes, kid: bytes) -> bytes:
    """With another key's id; the signature stays."""
    manifest, payload = _split(package)
    return _joined(manifest[:8] + kid + manifest[16:], payload)


def with_unprotected(package: bytes, public: bytes) -> bytes:
    manifest, payload = _split(package)
    assert manifest[16:17] == b"\xa0"
    return _joined(manifest[:16] + cbor.encode({-1: public}) + manifest[17:], payload)


def padded(package: bytes) -> bytes:
    manifest, payload = _split(package)
    return _joined(manifest + b"\0", payload)


def payload_of(package: bytes) -> bytes:
    """The map inside the envelope."""
    return bytes(cose.split(_split(package)[0]).payload)


def with_item(package: bytes, item: bytes) -> bytes:
    """The map with the raw `item` under key -1, which agents ignore."""
    payload = payload_of(package)
    assert 0xA0 <= payload[0] < 0xB7
    return bytes([payload[0] + 1]) + payload[1:] + b"\x20" + item


def with_pairs(package: bytes, pairs: dict[int, Any]) -> bytes:
    """The map with some fields set, whatever they are."""
    return bytes(cbor.encode(cbor.decode(payload_of(package)) | pairs))


def without(package: bytes, key: int) -> bytes:
    data = cbor.decode(payload_of(package))
    del data[key]
    return bytes(cbor.encode(data))


def session(package: bytes) -> dict[str, Any]:
    """The journal's record of an open session of that package."""
    manifest, _ = _split(package)
    found = cose.split(manifest)
    m = manifests.decode(found.payload)
    return {
        **{"digest": found.digest, "seq": m.seq, "slot": 1, "size": m.image_size, "image": m.image_sha256},
        **{"etag": "etag-of-then", "manifest": manifest},
    }


def combined(app: bytes) -> bytes:
    """What people have on their disk: bootloader at 0, table at 0x8000, app at 0x10000."""
    loader = image_file.build([(0x3FFF0000, b"a bootloader" * 100)], image.LINUX_HOST)
    rows = [partition.Row(0, 0x10 + n, 0x10000 + n * 0x20000, 0x20000, f"ota_{n}") for n in range(2)]
    file = bytearray(b"\xff" * 0x10000)
    file[: len(loader)] = loader
    table = partition.build(rows)
    file[0x8000 : 0x8000 + len(table)] = table
    return bytes(file) + app
