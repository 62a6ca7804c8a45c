"""Writes a patch file of codec 3: header, head section, block sections (PATCH.md 2, 5, 13)."""

import hashlib
import struct
from typing import NamedTuple

import numpy as np

from . import coding, rangecoder
from .addressmap import AddressMap
from .cover import Cover
from .image import Cpu, Image, References, in_code

VERSION = 1
MIX = 1
ELIDED = 33  # checksum byte and SHA-256 that a decoder can compute

PARTS = ("head", "map", "op counts", "op lengths", "op sources", "literals", "gaps", "exceptions")


class Written(NamedTuple):
    """A patch file, and where its bits went."""

    data: bytes
    ram: int  # bytes of decoder data (PATCH.md section 15)
    header: int  # bytes that are not in `parts`
    parts: dict[str, int]  # 1/1024 bit, by part
    record: (
        np.ndarray
    )  # 1/1024 bit, by coding.CELL bytes of the new image and by part; no rows if not asked for


def can_elide(image: Image) -> bool:
    """Whether the image ends in an ESP checksum and SHA-256 that follow from the rest of it."""
    data = image.data
    if image.cpu not in (Cpu.XTENSA, Cpu.RISCV) or len(data) < 64:
        return False
    checksum = 0xEF
    for s in image.segments:
        covered = np.frombuffer(data[s.offset : min(s.offset + s.size, len(data) - ELIDED)], np.uint8)
        checksum ^= int(np.bitwise_xor.reduce(covered)) if len(covered) else 0
    return checksum == data[-ELIDED] and hashlib.sha256(data[:-32]).digest() == data[-32:]


def decoder_ram(entries: int, *, mix: bool) -> int:
    """Bytes of data of the reference decoder (PATCH.md section 15)."""
    return 16128 + 8 * entries + (6752 if mix else 0)


def cut(cover: Cover, end: int, block: int) -> Cover:
    """The cover of new[:end], with no literal run and no copy across a multiple of `block` bytes."""
    rows = []
    q = 0
    for c, count, d in zip(*(a.tolist() for a in cover), strict=True):
        literals, copy = min(c, end - q), min(count, max(end - q - c, 0))
        while literals or copy:
            room = block - q % block
            now = min(literals, room)
            then = min(copy, room - now) if now == literals else 0
            rows.append((now, then, d if then else 0))
            q += now + then
            literals -= now
            copy -= then
    table = np.array(rows, np.int64).reshape(-1, 3)
    return Cover(*(np.ascontiguousarray(table[:, i]) for i in range(3)))


_TABLE = 32 + 30 * 4  # models of a table of numbers below 2^31


class _Head:
    """The head section: numbers with tables of their own."""

    def __init__(self, out: np.ndarray) -> None:
        self.out = out
        self.state = rangecoder.new_state()
        self.tables: dict[str, np.ndarray] = {}
        self.same = np.full(3, rangecoder.START, np.uint16)

    def number(self, table: str, value: int) -> None:
        models = self.tables.setdefault(table, np.full(_TABLE, rangecoder.START, np.uint16))
        rangecoder.put_number(self.state, self.out, models, 0, 32, value)

    def signed(self, table: str, value: int) -> None:
        self.number(table, -2 * value - 1 if value < 0 else 2 * value)

    def round(self, zeros: str, table: str, value: int) -> None:
        """A number that often ends in zero bits."""
        z = (value & -value).bit_length() - 1 if value else 0
        self.number(zeros, z)
        self.number(table, value >> z)

    def bit(self, index: int, bit: bool) -> None:
        rangecoder.put_bit(self.state, self.out, self.same, index, bit)

    def old_segments(self, image: Image) -> None:
        """H1 to H6."""
        self.number("count", len(image.segments))
        at = 0
        for s in image.segments:
            self.number("off", s.offset - at)
            self.number("size", s.size)
            self.round("zaddr", "addr", s.address)
            self.round("zaddr", "addr", s.span)
            rangecoder.put_raw(self.state, self.out, int(s.executable), 1)
            at = s.offset + s.size

    def code_ends(self, image: Image) -> None:
        """H0."""
        for code in image.codes:
            self.number("count", code)

    def new_segments(self, old: Image, new: Image, base: int) -> None:
        """H7 to H9."""
        self.number("nsegs", len(new.segments))
        at = 0
        for i, s in enumerate(new.segments):
            known = i < len(old.segments)
            self.signed("naddr", s.address - (old.segments[i].address if known else base))
            self.signed("nlen", s.size - (old.segments[i].size if known else 0))
            self.number("nlen", s.offset - at)
            at = s.offset + s.size

    def map(self, entries: AddressMap) -> None:
        """H10 to H12."""
        self.state[rangecoder.PART] = rangecoder.MAP
        self.number("entries", len(entries.keys))
        recent = [0]
        before = 0
        for key, move in zip(entries.keys.tolist(), entries.moves.tolist(), strict=True):
            self.round("zkey", "key", key - before)
            before = key
            index = recent.index(move, 1) if move in recent[1:] else 0
            self.bit(0, index > 0)
            if index:
                self.bit(1, index > 1)
                if index > 1:
                    self.bit(2, index > 2)
                del recent[index]
            else:
                self.signed("disp", move - recent[0])
            recent = [move, *recent][:4]


class Inputs(NamedTuple):
    """What is coded besides the cover and the map."""

    old: Image
    new: Image
    references: References
    new_address: np.ndarray
    base: int


def write(
    given: Inputs,
    cover: Cover,
    entries: AddressMap,
    *,
    mix: bool,
    block: int = 0,
    record: bool = False,
) -> Written:
    """The patch file; `block` 0 or 16..20 as in PATCH.md F4. `record`: also which bytes cost how much."""
    elide = can_elide(given.new)
    size = len(given.new.data)
    end = size - ELIDED if elide else size
    step = 1 << block if block else 1 << 30
    cover = cut(cover, end, step)
    out = np.zeros(2 * size + 65536, np.uint8)
    head = _Head(out)
    if given.old.raw:
        head.old_segments(given.old)
    head.code_ends(given.old)
    head.new_segments(given.old, given.new, given.base)
    head.map(entries)
    header = bytes([VERSION, MIX if mix else 0, given.old.cpu | given.old.raw << 4 | elide << 5, block])
    parts = rangecoder.costs(head.state).copy()
    rangecoder.costs(head.state)[:] = 0
    rows = np.zeros((size // coding.CELL + 1 if record else 0, rangecoder.PARTS), np.int64)
    view = _view(given, entries)
    if not block:
        _put(head.state, out, view, given, entries, cover, (0, 0, end), mix, rows)
        sections = [_finish(head.state, out)]
        parts += rangecoder.costs(head.state)
    else:
        sections = [_finish(head.state, out)]
        op = 0
        for start in range(0, size, step):
            state = rangecoder.new_state()
            if start < end:
                where = op, start, min(start + step, end)
                op = _put(state, out, view, given, entries, cover, where, mix, rows)
                sections.append(_finish(state, out))
            else:
                sections.append(b"")
            parts += rangecoder.costs(state)
        header += struct.pack("<H", len(sections[0]))
        header += b"".join(struct.pack("<I", len(s))[:3] for s in sections[1:])
    parts += rows.sum(0)
    by_part = {name: int(parts[i]) for i, name in enumerate(PARTS)}
    ram = decoder_ram(len(entries.keys), mix=mix)
    return Written(header + b"".join(sections), ram, len(header), by_part, rows)


def _view(given: Inputs, entries: AddressMap) -> tuple[np.ndarray | int, ...]:
    """The arrays that the coding pass reads, in its order."""
    r = given.references
    old = np.frombuffer(given.old.data, np.uint8).copy()
    new = np.zeros(len(given.new.data) + 8, np.uint8)
    new[: len(given.new.data)] = np.frombuffer(given.new.data, np.uint8)
    moved = entries.displacements(r.kind, r.target)
    return (
        old,
        new,
        r.unit,
        r.limit,
        r.kind,
        r.target,
        r.apart,
        moved,
        r.address,
        given.new_address,
        given.base,
        in_code(given.old, given.new),
    )


def _put(
    state: np.ndarray,
    out: np.ndarray,
    view: tuple[np.ndarray | int, ...],
    given: Inputs,
    entries: AddressMap,
    cover: Cover,
    where: tuple[int, int, int],
    mix: bool,
    record: np.ndarray,
) -> int:
    cpu = int(given.old.cpu)
    code_at = given.references.code_at
    plan = tuple(cover)
    op: int = coding.put_block(
        state, out, view, cpu, code_at, entries.keys, entries.moves, plan, *where, mix, record
    )
    return op


def _finish(state: np.ndarray, out: np.ndarray) -> bytes:
    """Ends the section; its first byte is always 0 and is not sent."""
    rangecoder.flush(state, out)
    return out[1 : state[rangecoder.SIZE]].tobytes()
