"""The stream against heatshrink's own code."""

import heatshrink2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from otaspec import heatshrink
from otaspec.errors import PatchError

SHAPES = [(w, look) for w in range(4, heatshrink.MAX_WINDOW + 1) for look in range(3, w)]


class Patch:
    """Hands out its bytes in pieces of at most `step`."""

    def __init__(self, data: bytes, step: int = 1 << 20) -> None:
        self.data, self.step, self.at = data, step, 0

    def readinto(self, buf: memoryview) -> int:
        piece = self.data[self.at : self.at + min(self.step, len(buf))]
        buf[: len(piece)] = piece
        self.at += len(piece)
        return len(piece)


def unpack(patch: Patch, window: int, lookahead: int, size: int, step: int) -> bytes:
    stream = heatshrink.Stream(patch, window, lookahead)
    out = bytearray(size)
    for at in range(0, size, step):
        end = min(at + step, size)
        assert stream.readinto(out, at, end) == end
    stream.finish()
    return bytes(out)


# Bytes with repeats at all distances, as firmware has them.
DATA = st.lists(
    st.binary(max_size=30)
    | st.builds(lambda b, n: b * n, st.binary(min_size=1, max_size=4), st.integers(1, 90)),
    max_size=12,
).map(b"".join)


@settings(deadline=None)
@given(DATA, st.sampled_from(SHAPES), st.integers(1, 300), st.integers(1, 300))
def test_unpacks_what_heatshrink_packs(data: bytes, shape: tuple[int, int], piece: int, step: int) -> None:
    window, lookahead = shape
    packed = heatshrink2.compress(data, window_sz2=window, lookahead_sz2=lookahead)
    assert unpack(Patch(packed, piece), window, lookahead, len(data), step) == data


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_shape(shape: tuple[int, int]) -> None:
    data = b"".join(bytes([i & 0xFF, i >> 8]) * (i % 7) for i in range(2000)) + bytes(9000)
    packed = heatshrink2.compress(data, window_sz2=shape[0], lookahead_sz2=shape[1])
    assert unpack(Patch(packed), *shape, len(data), 4096) == data


@given(st.binary(max_size=60), st.sampled_from(SHAPES))
def test_any_bytes_end_in_an_answer(data: bytes, shape: tuple[int, int]) -> None:
    stream = heatshrink.Stream(Patch(data), *shape)
    out = bytearray(4096)
    try:
        while stream.readinto(out, 0, 4096) == 4096:
            pass
    except PatchError as error:
        assert error.name == "PATCH_INVALID"  # noqa: PT017 - any other way out is a failure too
