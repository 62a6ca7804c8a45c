"""Every value has one encoding, the one that cbor2 writes too; anything else is refused."""

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from otaspec import cbor
from otaspec.errors import PackageError

INT = st.integers(-cbor.MAX_INT, cbor.MAX_INT)
LEAF = INT | st.booleans() | st.binary(max_size=40) | st.text(max_size=20)
SHALLOW = LEAF | st.lists(LEAF, max_size=4) | st.dictionaries(INT, LEAF, max_size=6)
VALUE = SHALLOW | st.lists(SHALLOW, max_size=3) | st.dictionaries(INT, SHALLOW, max_size=4)


def ordered(value: object) -> object:
    if isinstance(value, dict):
        return {k: ordered(value[k]) for k in sorted(value, key=cbor2.dumps)}
    return [ordered(v) for v in value] if isinstance(value, list) else value


@given(VALUE)
def test_encodes_as_cbor2_does(value: object) -> None:
    encoded = cbor.encode(value)
    assert encoded == cbor2.dumps(ordered(value))
    assert cbor.decode(encoded) == value


@given(st.binary(max_size=64))
def test_whatever_is_accepted_has_that_one_encoding(data: bytes) -> None:
    try:
        value = cbor.decode(data)
    except PackageError:
        return
    assert cbor.encode(value) == data


@given(VALUE, st.data())
def test_every_truncation_and_trailing_byte_is_refused(value: object, data: st.DataObject) -> None:
    encoded = cbor.encode(value)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    for bad in (encoded[:cut], encoded + b"\0"):
        with pytest.raises(PackageError, match="CBOR_MALFORMED"):
            cbor.decode(bad)


@pytest.mark.parametrize("value", [1.0, None, 1 << 53, -(1 << 53), {"a": 1}, {True: 1}, [[[[[]]]]]])
def test_the_encoder_refuses_what_the_decoder_would(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        cbor.encode(value)
