"""A patch that comes chunk by chunk: the decoder reads what was signed, and nothing before it was checked."""

import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from otaspec import address, chunks
from otaspec.errors import OtaError
from otaspec.manifest import CHUNK_AHEAD, CHUNK_ROOM, CHUNK_SIZE

from tests.spec.memory import New, Old
from tests.spec.patchimages import CPUS, random_patch


class Transport:
    """A source and where its chunks come from."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        parts = [data[at : at + CHUNK_SIZE] for at in range(0, len(data), CHUNK_SIZE)]
        self.source = chunks.Source(len(data), b"".join(hashlib.sha256(part).digest() for part in parts))
        self.fetched: list[int] = []

    def fill(self) -> None:
        while (at := self.source.wanted()) >= 0:
            self.fetched.append(at)
            room = self.source.room()
            room[:] = self.data[at : at + len(room)]
            self.source.filled()

    def read(self, size: int) -> bytes:
        buf = bytearray(size)
        return bytes(buf[: self.source.readinto(memoryview(buf))])


SIZES = st.integers(1, 3 * CHUNK_ROOM)
READS = st.lists(st.integers(1, CHUNK_AHEAD), max_size=20)


@given(SIZES, READS, st.integers(0, 1 << 20))
def test_what_is_read_is_the_patch(size: int, reads: list[int], seek: int) -> None:
    data = random.Random(size).randbytes(size)
    transport = Transport(data)
    at = 0
    for n in reads:
        transport.fill()
        found = transport.read(n)
        assert found == data[at : at + n]  # as much as was asked for, but at the end
        at += len(found)
    at += seek % (size - at + 1)
    transport.source.seek(at)
    transport.fill()
    assert transport.read(CHUNK_AHEAD) == data[at : at + CHUNK_AHEAD]
    assert all(start % CHUNK_SIZE == 0 for start in transport.fetched)


@given(st.integers(0, 5 * CHUNK_SIZE - 1), st.integers(0, 7))
def test_a_bit_that_is_wrong_is_never_read(at: int, bit: int) -> None:
    data = random.Random(1).randbytes(5 * CHUNK_SIZE - 100)
    transport = Transport(data)
    at %= len(data)
    transport.data = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
    seen = bytearray()

    def read_all() -> None:
        while True:
            transport.fill()
            seen.extend(transport.read(1000))

    with pytest.raises(OtaError, match="CHUNK_HASH_WRONG"):
        read_all()
    assert seen == data[: len(seen)]
    assert len(seen) <= at // CHUNK_SIZE * CHUNK_SIZE


def test_a_sector_that_takes_more_than_it_may_is_refused() -> None:
    transport = Transport(bytes(5 * CHUNK_SIZE))
    transport.fill()
    assert len(transport.read(CHUNK_ROOM)) > CHUNK_AHEAD
    with pytest.raises(OtaError, match="PATCH_INVALID"):
        transport.read(1)


def test_what_is_here_is_not_fetched_again() -> None:
    transport = Transport(bytes(5 * CHUNK_SIZE))
    transport.fill()
    assert transport.fetched == [0, CHUNK_SIZE]
    transport.source.seek(CHUNK_AHEAD)
    assert transport.read(10) == bytes(10)
    transport.source.seek(4 * CHUNK_SIZE + 1)
    transport.fill()
    assert transport.fetched == [0, CHUNK_SIZE, 4 * CHUNK_SIZE]


@pytest.mark.slow
@pytest.mark.parametrize("cpu", CPUS)
def test_a_decoder_goes_on_at_each_block(cpu: int) -> None:
    """Reading only the chunks that it needs: PATCH.md 13."""
    patch = random_patch(9, cpu, explicit=False, mix=True, elide=True, block=16, size=200_000)
    data = patch.encode()
    for start in range(0, len(patch.new) - 33, 65536):
        transport, new = Transport(data), New(len(patch.new), patch.new[:start])
        transport.fill()
        assert transport.source.block_size() == 65536
        steps = address.decode({1: 1, 2: 1}, Old(patch.old), transport.source, new, 1 << 20, start)
        transport.fill()
        for _ in steps:
            transport.fill()
        assert new.data == patch.new


def test_a_patch_in_one_piece_has_no_block_size() -> None:
    transport = Transport(b"\1\1\1\0" + bytes(100))
    assert transport.source.block_size() == 0
    transport.fill()
    assert transport.source.block_size() == 0
