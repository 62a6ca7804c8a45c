"""HMAC against Python's own."""

import hmac

from hypothesis import given
from hypothesis import strategies as st
from otaspec import mac


@given(st.binary(max_size=100), st.lists(st.binary(max_size=80), max_size=4))
def test_hmac(key: bytes, parts: list[bytes]) -> None:
    assert mac.hmac(key, *parts) == hmac.digest(key, b"".join(parts), "sha256")


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4))
def test_no_two_lists_have_the_same_input(items: list[bytes]) -> None:
    joined = b"".join(len(item).to_bytes(2, "big") + item for item in items)
    assert mac.over(b"k", tuple(items)) == hmac.digest(b"k", joined, "sha256")


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_equal(a: bytes, b: bytes) -> None:
    assert mac.equal(a, b) == (a == b)
    assert mac.equal(a, bytes(a))
