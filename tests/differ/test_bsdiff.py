"""Codec 2, there and back; codec 1 beside it."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from otadiff import bsdiff, heatshrink
from otadiff.codecs import Encoded
from otaspec import patch
from otaspec.errors import PatchError

from tests.differ.images import pair


class Bytes:
    """OLD, patch or NEW in memory, as the decoder's interface has them."""

    def __init__(self, data: bytes, size: int | None = None) -> None:
        self.data = bytearray(data)
        self.size = len(data) if size is None else size
        self.at = 0

    def readinto(self, *args: Any) -> int:
        at, buf = args if len(args) == 2 else (self.at, args[0])
        piece = self.data[at : at + len(buf)]
        buf[: len(piece)] = piece
        self.at = at + len(piece)
        return len(piece)

    def write(self, data: bytes) -> None:
        assert len(self.data) % 4096 == 0
        self.data += data


def decode(made: Encoded, old: bytes, size: int, payload: bytes | None = None) -> bytes:
    new = Bytes(b"", size)
    source = Bytes(made.payload if payload is None else payload)
    for done in patch.decode(made.codec, made.params, Bytes(old), source, new, made.ram):
        assert done == len(new.data) <= size
    return bytes(new.data)


REPEATED = st.builds(lambda b, n: b * n, st.binary(min_size=1), st.integers(1, 40))
PIECES = st.lists(st.binary(max_size=60) | REPEATED)
CHANGES = st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=20)), max_size=8)


@settings(deadline=None)
@given(PIECES, CHANGES)
def test_there_and_back(pieces: list[bytes], changes: list[tuple[int, bytes]]) -> None:
    old = b"".join(pieces)
    new = bytearray(old)
    for at, put in changes:
        new[at : at + len(put) // 2] = put
    made = bsdiff.encode(old, bytes(new), 8192)
    assert made
    assert decode(made, old, len(new)) == new


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=6000))
def test_a_compressed_image_there_and_back(new: bytes) -> None:
    made = heatshrink.encode_image(new, 8192)
    assert made
    assert decode(made, b"", len(new)) == new


@pytest.mark.parametrize("ram", [5632 + 16, 5632 + 100, 8192, 32768])
def test_the_decoder_needs_no_more_than_it_was_given(ram: int) -> None:
    old, new = pair()
    made = bsdiff.encode(old, new, ram)
    assert made
    assert made.ram <= ram
    assert decode(made, old, len(new)) == new


def test_too_little_memory_for_any_window() -> None:
    assert bsdiff.encode(b"a", b"b", 5632 + 15) is None
    assert heatshrink.encode_image(b"b", 5120 + 15) is None


def test_more_memory_never_makes_a_longer_patch() -> None:
    old, new = pair(60_000)
    made = [bsdiff.encode(old, new, ram) for ram in (5700, 6700, 9000, 24000)]
    sizes = [len(each.payload) for each in made if each]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) == 4


def test_every_truncation_is_refused() -> None:
    old, new = pair(6000)
    made = bsdiff.encode(old, new, 8192)
    assert made
    for length in range(len(made.payload)):
        with pytest.raises(PatchError, match="PATCH_INVALID"):
            decode(made, old, len(new), made.payload[:length])
    with pytest.raises(PatchError, match="PATCH_INVALID"):
        decode(made, old, len(new), made.payload + b"\0")


SMALL_OLD, SMALL_NEW = pair(2000)
SMALL = bsdiff.encode(SMALL_OLD, SMALL_NEW, 8192)


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_altered_patches_end_in_an_answer(data: st.DataObject) -> None:
    """A wrong image (its hash tells) or PatchError; never another exception, never more than NEW."""
    assert SMALL
    bad = bytearray(SMALL.payload)
    for _ in range(data.draw(st.integers(1, 4))):
        bad[data.draw(st.integers(0, len(bad) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(PatchError):
        assert len(decode(SMALL, SMALL_OLD, len(SMALL_NEW), bytes(bad))) == len(SMALL_NEW)


@pytest.mark.slow
def test_the_corpus(corpus: Path) -> None:
    """Every pair, and below detools with heatshrink."""
    for one in json.loads((corpus / "pairs.json").read_text()):
        old, new = ((corpus / one[which]).read_bytes() for which in ("old", "new"))
        made = bsdiff.encode(old, new, 24 << 10)
        assert made
        assert decode(made, old, len(new)) == new
        assert len(made.payload) < one["peers"]["detools + heatshrink"], one["name"]
