"""Packages that are wrong in each way: each is refused with its own code, before anything is written."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from otaspec import cose
from otaspec import manifest as manifests

from tests.spec.packages import PUBLIC, sign

from .service import Service
from .station import Station, full, image, reported

pytestmark = pytest.mark.slow

OLD, NEW = image("1.0.0"), image("1.1.0")
GOOD = full(NEW)


def flipped(package: bytes, at: int) -> bytes:
    return package[:at] + bytes([package[at] ^ 1]) + package[at + 1 :]


def by_another_key() -> bytes:
    private = ec.derive_private_key(0xBAD, ec.SECP256R1()).public_key().public_numbers()
    public = private.x.to_bytes(32, "big") + private.y.to_bytes(32, "big")
    at = GOOD.index(cose.kid(PUBLIC))
    return GOOD[:at] + cose.kid(public) + GOOD[at + 8 :]


def with_unknown_key() -> bytes:
    """A manifest with a field that this agent has never heard of."""
    size = manifests.size_of(GOOD[:8])
    payload = bytes(cose.split(GOOD[8 : 8 + size]).payload)
    assert payload[0] < 0xB7  # a map of fewer than 23 pairs
    changed = bytes([payload[0] + 1]) + payload[1:] + b"\x16\x00"  # 22: 0
    return manifests.package_head(cose.sign1(changed, cose.kid(PUBLIC), sign)) + GOOD[8 + size :]


def patch(**change: Any) -> bytes:
    """A package that is signed well around a payload that is none."""
    payload = b"not a patch of any kind" * 10
    return full(
        NEW,
        payload=payload,
        **{
            **{"payload_head": b"", "base_size": len(OLD), "base_sha256": hashlib.sha256(OLD).digest()},
            **{"payload_codec": 2, "payload_params": {1: 1, 2: 10, 3: 5}, "payload_ram": 9000},
            **change,
        },
    )


# Refused before the first write.
REFUSED = {
    "CBOR_MALFORMED": (101, flipped(GOOD, 9)),
    "SIGNATURE_WRONG, a field": (102, flipped(GOOD, 60)),
    "SIGNATURE_WRONG, itself": (102, flipped(GOOD, manifests.size_of(GOOD[:8]) + 5)),
    "KEY_UNKNOWN": (103, by_another_key()),
    "NEEDS_NEWER_AGENT, level": (105, full(NEW, min_agent=99)),
    "NEEDS_NEWER_AGENT, key": (105, with_unknown_key()),
    "MANIFEST_TOO_LARGE": (106, GOOD[:4] + (9000).to_bytes(4, "little") + GOOD[8:]),
    "PACKAGE_TRUNCATED, manifest": (108, GOOD[:100]),
    "PACKAGE_MAGIC_WRONG": (118, NEW),
    "PATCH_NEEDS_MORE_RAM": (113, patch(payload_ram=1 << 24)),
    "CODEC_UNKNOWN": (114, patch(payload_codec=99)),
    "PRODUCT_WRONG": (201, full(NEW, product="toaster")),
    "BOARD_WRONG": (202, full(NEW, board="ESP32_GENERIC")),
    "CHIP_WRONG": (203, full(NEW, chip=0)),
    "DEVICE_WRONG": (204, full(NEW, device="cellar")),
    "BASE_WRONG": (205, patch(base_sha256=bytes(32))),
    "SEQ_TOO_OLD": (206, full(NEW, seq=5)),
    "SEQ_JUMP_TOO_FAR": (207, full(NEW, seq=9000)),
    "MANIFEST_EXPIRED": (209, full(NEW, not_after=1_000_000_000)),
    "IMAGE_TOO_LARGE": (210, full(NEW, image_size=600_000, payload_size=600_000 - 32)),
    "STAGING_TOO_SMALL": (212, patch(payload_size=900_000)),
}

# Seen only when the payload has come: the running image stays, nothing boots from the other slot.
SEEN_LATER = {
    "PACKAGE_TRUNCATED": (108, GOOD[:-1]),
    "PACKAGE_TRAILING_BYTES": (109, GOOD + b"x"),
    "PAYLOAD_HASH_WRONG": (110, flipped(patch(), -10)),
    "IMAGE_HASH_WRONG": (111, flipped(GOOD, len(GOOD) // 2)),
    "PATCH_INVALID": (112, patch(seq=9)),
}


async def _offer_each(board: Station, cases: dict[str, tuple[int, bytes]]) -> dict[str, int]:
    """The code that the board reports for each."""
    found: dict[str, int] = {}

    def failure(rollout: int) -> int:
        reports = board.service.reports
        return next((r["code"] for r in reports if (r["rollout"], r["state"]) == (rollout, "failed")), 0)

    for number, (name, (_, package)) in enumerate(cases.items(), 100):
        board.service.release(package, seq=1 << 20, rollout=number)
        board.service.logs.clear()
        await board.run(lambda s, number=number: bool(failure(number) and s.service.logs))
        found[name] = failure(number)
    return found


@pytest.mark.codes(*(code for code, _ in REFUSED.values()))
async def test_what_is_refused_before_the_first_write(tmp_path: Path) -> None:
    with Service() as service:
        board = Station(tmp_path, service, OLD)
        # A first update raises the floor to 6.
        service.release(full(OLD, seq=6, version="1.0.0"))
        await board.run(reported("confirmed"))
        erases = board.erases()
        assert await _offer_each(board, REFUSED) == {name: code for name, (code, _) in REFUSED.items()}
        assert board.erases() == erases


@pytest.mark.codes(*(code for code, _ in SEEN_LATER.values()))
async def test_what_is_seen_when_the_payload_came(tmp_path: Path) -> None:
    with Service() as service:
        board = Station(tmp_path, service, OLD)
        assert await _offer_each(board, SEEN_LATER) == {n: code for n, (code, _) in SEEN_LATER.items()}
        assert {e.data["slot"] for e in board.events if e.kind == "slot"} == {"ota_0"}
        # After all of that a good one still goes through.
        service.release(full(NEW, seq=10), seq=10)
        await board.run(reported("confirmed"))
        assert board.slot(1, len(NEW)) == NEW
