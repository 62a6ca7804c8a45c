"""Which codec a board gets: the smallest that it can decode and has room for."""

import hashlib
from dataclasses import replace

import pytest
from otaboards import loader
from otaboards.loader import Board
from otadiff import address, plan
from otadiff.codecs import Encoded
from otadiff.image import Cpu
from otaspec import image_file
from otaspec.manifest import CHUNK_ROOM, CHUNK_SIZE
from otaspec.partition import APP, Row

from tests.differ.images import image
from tests.differ.synthetic import build, grow, program
from tests.differ.test_build import make

DESC = image_file.pack_desc("1.0.0")


def tight(size: int, **change: int) -> Board:
    """A board whose slots just hold an image of `size` bytes."""
    board = loader.load("ESP32_GENERIC")
    slot = -(-size // 4096) * 4096
    rows = [Row(r.type, r.subtype, r.offset, slot if r.type == APP else r.size, r.label) for r in board.rows]
    return replace(board, rows=tuple(rows), **{"staging": 0} | change)


@pytest.fixture(scope="module")
def pair() -> tuple[bytes, bytes]:
    """A program of some 180 KB in which every twentieth function grew: a patch of more than a sector."""
    old = new = program(Cpu.XTENSA, 5, functions=1500)
    for i in range(0, 1500, 20):
        new = grow(new, i, i, instructions=30)
    return build(old, DESC), build(new, DESC)


@pytest.mark.slow
def test_what_cannot_be_staged_comes_in_blocks(pair: tuple[bytes, bytes]) -> None:
    old, new = pair
    staged = make(loader.load("ESP32_GENERIC"), old, new, codecs=())
    assert (staged.facts()["codec"], staged.facts()["blocks"]) == ("address", False)
    assert not staged.manifest.payload_chunks
    made = make(tight(len(new)), old, new, codecs=())
    m, payload = made.manifest, made.encoded.payload
    assert (made.facts()["codec"], made.facts()["blocks"]) == ("address", True)
    assert len(payload) > CHUNK_SIZE
    assert len(payload) < 1.5 * len(staged.encoded.payload)
    parts = [payload[at : at + CHUNK_SIZE] for at in range(0, len(payload), CHUNK_SIZE)]
    assert m.payload_chunks == b"".join(hashlib.sha256(part).digest() for part in parts)
    assert CHUNK_ROOM + 16_000 < m.payload_ram <= 32768
    assert set(made.tried) == {"address", "image"}  # no other codec could be staged
    assert made.estimate.flash[1] < staged.estimate.flash[1]  # nothing is staged


@pytest.mark.slow
def test_a_board_without_memory_for_chunks_gets_the_image(pair: tuple[bytes, bytes]) -> None:
    old, new = pair
    board = tight(len(new), decoder_ram=address.RAM[address.SMALL] + CHUNK_ROOM - 1)
    assert make(board, old, new, codecs=()).facts()["codec"] == "image"


@pytest.mark.slow
def test_the_image_where_blocks_are_larger() -> None:
    old, new = image(1, 70_000), image(2, 70_000)
    assert make(tight(len(new)), old, new, codecs=()).facts()["codec"] == "image"


def test_blocks_that_no_transport_can_feed_are_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stretch of NEW takes more of the patch than PATCH.md 13 allows: the next best is sent."""
    old, new = image(1), image(2)

    def dense(old: bytes | None, new: bytes, ram: int, progress: object) -> Encoded:
        head = bytes([1, 0, 0x21, 16]) + b"\xff\xff" + bytes(3)
        return Encoded(3, {1: 1, 2: 0}, head + bytes(9000), 30_000, chunked=True)

    plain = next(codec for codec in plan.CODECS if codec.number == 0)
    monkeypatch.setattr(plan, "CODECS", [plan.Codec(3, "address", True, dense), plain])
    made = make(tight(len(new)), old, new, codecs=())
    assert made.facts()["codec"] == "image"
    assert set(made.tried) == {"address", "image"}
