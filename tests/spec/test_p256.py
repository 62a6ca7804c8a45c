"""Signature checks against two other implementations. The edge cases are in vectors/p256.json."""

import hashlib

import ecdsa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from otaspec import comb, p256

SECRET = st.integers(1, p256.N - 1)


@settings(max_examples=15, deadline=None)
@given(SECRET, st.binary(max_size=40), st.integers(0, 511))
def test_agrees_with_ecdsa(secret: int, message: bytes, bit: int) -> None:
    key = ecdsa.SigningKey.from_secret_exponent(secret, ecdsa.NIST256p, hashlib.sha256)
    public, signature = key.verifying_key.to_string(), key.sign_deterministic(message)
    digest = hashlib.sha256(message).digest()
    altered = bytearray(signature)
    altered[bit // 8] ^= 1 << bit % 8
    for table in (None, comb.make_table(public)):
        assert p256.verify(public, digest, signature, table)
        assert not p256.verify(public, digest, bytes(altered), table)


def test_a_table_of_another_key_is_not_used() -> None:
    one, other = (ecdsa.SigningKey.from_secret_exponent(n, ecdsa.NIST256p, hashlib.sha256) for n in (11, 12))
    digest = hashlib.sha256(b"m").digest()
    table = comb.make_table(other.verifying_key.to_string())
    public, signature = one.verifying_key.to_string(), one.sign_deterministic(b"m")
    assert not p256.verify(public, digest, signature, table)
    assert not p256.verify(public, digest, signature, table[:-1])
    assert p256.verify(public, digest, signature, comb.make_table(public))


@pytest.mark.parametrize("public", [bytes(64), b"\xff" * 64, p256.P.to_bytes(32, "big") + bytes(32)])
def test_no_table_for_what_is_no_point(public: bytes) -> None:
    with pytest.raises(ValueError, match="point"):
        comb.make_table(public)


@given(SECRET)
def test_inverse(a: int) -> None:
    assert p256.inverse(a, p256.N) == pow(a, -1, p256.N)
