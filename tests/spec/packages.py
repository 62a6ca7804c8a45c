"""Small signed packages for tests: a key, a manifest, a board that takes it."""

import hashlib
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from otaspec import comb, cose, keyset
from otaspec import manifest as manifests
from otaspec.verify import Board

PRIVATE = ec.derive_private_key(0xD21B, ec.SECP256R1())
_NUMBERS = PRIVATE.public_key().public_numbers()
PUBLIC = _NUMBERS.x.to_bytes(32, "big") + _NUMBERS.y.to_bytes(32, "big")
KEYS = keyset.KeySet([keyset.Key(PUBLIC, table=comb.make_table(PUBLIC))])

PAYLOAD = b"a patch of few bytes"
IMAGE = hashlib.sha256(b"new").digest()
BASE = hashlib.sha256(b"old").digest()


def sign(data: bytes) -> bytes:
    der = PRIVATE.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    r, s = decode_dss_signature(der)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def manifest(**change: Any) -> manifests.Manifest:
    fields: dict[str, Any] = {
        **{"seq": 7, "product": "thermostat", "board": "ESP32_4M", "chip": 0, "version": "1.1.0"},
        **{"image_size": 5000, "image_sha256": IMAGE, "base_size": 4000, "base_sha256": BASE},
        **{"payload_size": len(PAYLOAD), "payload_sha256": hashlib.sha256(PAYLOAD).digest()},
        **{"payload_codec": 2, "payload_params": {0: 1, 1: 10, 2: 5}, "payload_ram": 9000},
    }
    return manifests.Manifest(**(fields | change))


def package(payload: bytes = PAYLOAD, **change: Any) -> bytes:
    signed = cose.sign1(manifests.encode(manifest(**change)), cose.kid(PUBLIC), sign)
    return manifests.package_head(signed) + payload


def board(**change: Any) -> Board:
    """One that takes `manifest()`."""
    facts: dict[str, Any] = {
        **{"product": "thermostat", "board": "ESP32_4M", "chip": 0, "device": "kitchen"},
        **{"slot_size": 8192, "running_size": 4000, "running_sha256": BASE, "ram": 9000, "staging": 100},
        **{"seq_floor": 6, "agent": 1},
    }
    return Board(**(facts | change))
