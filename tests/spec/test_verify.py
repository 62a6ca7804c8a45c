"""The verifier: every wrong bit has its error, and the cheap check comes first."""

import hashlib

import pytest
from otaspec import keyset, p256, verify
from otaspec.errors import OtaError

from tests.spec import packages

WHOLE = packages.package()
CHUNKED = {"payload_codec": 3, "payload_chunk_size": 4096, "payload_chunks": packages.BASE}
HEAD = WHOLE[: -len(packages.PAYLOAD)]


def read(data: bytes) -> None:
    """What a board does with a package up to the decoder."""
    found = verify.open_package(data, packages.KEYS)
    verify.check(found, packages.board())
    payload = verify.Payload(found)
    payload.feed(data[found.payload_offset :])
    payload.finish()


def refusal(data: bytes) -> str:
    with pytest.raises(OtaError) as caught:
        read(data)
    return caught.value.name


def part_of(at: int) -> set[str]:
    """The errors that may name a wrong bit in byte `at` of WHOLE."""
    kid = HEAD.index(packages.KEYS.keys[0].kid)
    after = kid + 8  # empty map, then a bstr with one length byte
    signature = len(HEAD) - 64
    if at < 4:
        return {"PACKAGE_MAGIC_WRONG"}
    if at < 8:
        return {"MANIFEST_TOO_LARGE", "PACKAGE_TRUNCATED", "CBOR_MALFORMED"}
    if kid <= at < kid + 8:
        return {"KEY_UNKNOWN"}
    if at in (after, after + 1, after + 2, signature - 2, signature - 1) or at < kid - 5:
        return {"CBOR_MALFORMED", "SIGNATURE_WRONG"}
    return {"SIGNATURE_WRONG"} if at < len(HEAD) else {"PAYLOAD_HASH_WRONG"}


def test_the_package_is_right() -> None:
    read(WHOLE)


@pytest.mark.parametrize("bit", range(8))
def test_every_flipped_bit_is_refused_by_name(bit: int) -> None:
    for at in range(len(WHOLE)):
        bad = bytearray(WHOLE)
        bad[at] ^= 1 << bit
        assert refusal(bytes(bad)) in part_of(at), at


def test_every_truncation_is_refused_by_name() -> None:
    for length in range(len(WHOLE)):
        assert refusal(WHOLE[:length]) == "PACKAGE_TRUNCATED"


def test_trailing_bytes_are_refused() -> None:
    assert refusal(WHOLE + b"\0") == "PACKAGE_TRAILING_BYTES"


def test_another_or_revoked_key_or_product() -> None:
    stranger = keyset.KeySet([keyset.Key(bytes(64))])
    revoked = keyset.KeySet(packages.KEYS.keys, [packages.KEYS.keys[0].kid])
    other = keyset.KeySet([keyset.Key(packages.PUBLIC, "kettle")])
    same = keyset.KeySet([keyset.Key(packages.PUBLIC, "thermostat")])
    for keys, name in ((stranger, "KEY_UNKNOWN"), (revoked, "KEY_REVOKED"), (other, "KEY_UNKNOWN")):
        with pytest.raises(OtaError, match=name):
            verify.open_package(HEAD, keys)
    assert verify.open_package(HEAD, same).seq == 7


def test_the_digest_names_the_manifest_and_not_the_signature() -> None:
    """s and N - s are both right, so bytes of the signature name nothing."""
    mirrored = HEAD[:-32] + (p256.N - int.from_bytes(HEAD[-32:], "big")).to_bytes(32, "big")
    first, second = (verify.open_package(data, packages.KEYS) for data in (HEAD, mirrored))
    assert first.digest == second.digest
    assert hashlib.sha256(HEAD).digest() != hashlib.sha256(mirrored).digest()


# In the order of PACKAGE.md section 4: (error, what the manifest says, what the board says).
ORDER: list[tuple[str, dict[str, object], dict[str, object]]] = [
    ("PRODUCT_WRONG", {}, {"product": "kettle"}),
    ("BOARD_WRONG", {}, {"board": "ESP32_8M"}),
    ("DEVICE_WRONG", {"device": "cellar"}, {}),
    ("CHIP_WRONG", {}, {"chip": 5}),
    ("NEEDS_NEWER_AGENT", {"min_agent": 2}, {}),
    ("SEQ_TOO_OLD", {}, {"seq_floor": 7}),
    ("RELEASE_BLOCKLISTED", {}, {"blocklist": [(packages.IMAGE, 7)]}),
    ("SECURE_VERSION_TOO_OLD", {}, {"secure_version": 1}),
    ("MANIFEST_EXPIRED", {"not_after": 1000}, {"time": 1001}),
    ("IMAGE_TOO_LARGE", {}, {"slot_size": 4999}),
    ("BASE_WRONG", {}, {"running_sha256": packages.IMAGE}),
    ("CODEC_UNKNOWN", {"payload_codec": 9}, {}),
    ("PATCH_NEEDS_MORE_RAM", {}, {"ram": 8999}),
    ("STAGING_TOO_SMALL", {}, {"staging": len(packages.PAYLOAD) - 1}),
]


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_each_check_and_its_place(first: int) -> None:
    """With everything from `first` on wrong, `first` is what is said."""
    name = ORDER[first][0]
    for last in {first + 1, len(ORDER)}:
        says = {k: v for _, change, _ in ORDER[first:last] for k, v in change.items()}
        is_ = {k: v for _, _, change in ORDER[first:last] for k, v in change.items()}
        with pytest.raises(OtaError, match=name):
            verify.check(packages.manifest(**says), packages.board(**is_))


@pytest.mark.parametrize(
    ("says", "is_"),
    [
        ({}, {}),
        ({"device": "kitchen"}, {}),
        ({"min_agent": 1}, {}),
        ({"seq": 6 + verify.MAX_JUMP}, {}),
        ({"digest": b"d" * 32}, {"seq_floor": 7, "open_digest": b"d" * 32}),
        ({}, {"blocklist": [(packages.BASE, 7), (packages.IMAGE, 8)]}),
        ({"secure_version": 3}, {"secure_version": 3}),
        ({"not_after": 1000}, {"time": None}),
        ({"not_after": 1000}, {"time": 1000}),
        ({}, {"slot_size": 5000}),
        ({}, {"staging": len(packages.PAYLOAD)}),
        (CHUNKED, {"staging": 0, "chunks": True}),
        ({"payload_codec": 0, "base_size": 0, "payload_size": 4968}, {"staging": 0, "running_size": 1}),
    ],
)
def test_what_just_fits_is_taken(says: dict[str, object], is_: dict[str, object]) -> None:
    verify.check(packages.manifest(**says), packages.board(**is_))


def test_chunks_are_staged_where_the_agent_cannot_decode_them_one_by_one() -> None:
    with pytest.raises(OtaError, match="STAGING_TOO_SMALL"):
        verify.check(packages.manifest(**CHUNKED), packages.board(staging=0))
    # A codec without blocks could not go on after a cut.
    other = packages.manifest(**CHUNKED | {"payload_codec": 2})
    with pytest.raises(OtaError, match="STAGING_TOO_SMALL"):
        verify.check(other, packages.board(staging=0, chunks=True))


def test_a_jump_in_seq() -> None:
    with pytest.raises(OtaError, match="SEQ_JUMP_TOO_FAR"):
        verify.check(packages.manifest(seq=6 + verify.MAX_JUMP + 1), packages.board())


def test_the_payload_may_come_in_any_pieces() -> None:
    found = verify.open_package(HEAD, packages.KEYS)
    payload = verify.Payload(found)
    for byte in packages.PAYLOAD:
        payload.feed(bytes([byte]))
    payload.finish()
    with pytest.raises(OtaError, match="PACKAGE_TRAILING_BYTES"):
        payload.feed(b"\0")
