"""Golden vectors of codec 3: `python -m tests.spec.make_address` writes bootloader_spec/vectors/address.json.

The images are assembled by hand, instruction by instruction, as they are and moved. Every reference in
them is predicted, which is asserted. The refused patches are written number by number.
"""

import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.spec.patchref import (
    CALL0,
    NONE,
    RISCV,
    THUMB,
    WINDOWED,
    Block,
    Coder,
    Eg,
    Model,
    NewSegment,
    Op,
    Patch,
    Segment,
    esp_checksum,
    esp_new_segments,
)  # fmt: skip
from tests.spec.patchref_old import Old, field

Row = dict[str, Any]
FILE = Path(__file__).parents[2] / "bootloader_spec" / "vectors" / "address.json"
INVALID, RAM, UNKNOWN = "PATCH_INVALID", "PATCH_NEEDS_MORE_RAM", "CODEC_UNKNOWN"
OLD = bytes(range(256)) * 4
CODE, DATA, RAW = 0x400D0020, 0x3FFB0000, 0x08020000


def row(why: str, old: bytes, data: bytes, new: bytes, **change: Any) -> Row:
    params = [[1, data[0]], [2, data[1]]] if len(data) > 1 else [[1, 1], [2, 0]]
    made: Row = {"why": why, "codec": 3, "params": params, "ram": 1 << 20, "error": ""}
    made |= {"old": "" if old == OLD else old.hex(), "patch": data.hex(), "new_size": len(new)}
    return made | {"new_sha256": hashlib.sha256(new).hexdigest()} | change


# Images that move.


def esp(segments: list[tuple[int, bytes]]) -> bytes:
    """An ESP image with its 33 bytes at the end."""
    image = bytes([0xE9, len(segments), 2, 0x20]) + bytes(20)
    for address, data in segments:
        image += struct.pack("<II", address, len(data)) + data
    image += bytes(15 - len(image) % 16)
    return image + esp_checksum(image, esp_new_segments(image))


def le(v: int, n: int) -> bytes:
    return (v & (1 << 8 * n) - 1).to_bytes(n, "little")


def xtensa(base: int, pad: int, *, entry: bool) -> tuple[bytes, int]:
    """Code at `base`, with `pad` bytes more in its first function; the address of the second one."""
    start = (b"\x36\x41\x00" if entry else b"\xf0\x20\x00") + b"\x3d\xf0"  # entry or nop, then nop.n
    second = base + 32 + pad

    def call(at: int, target: int) -> bytes:
        return le(0x25 | (target - (at & ~3) - 4 >> 2) << 6, 3)

    code = le(second, 4) + le(DATA + 8, 4)  # two literals, before the function
    at = base + 8
    code += start
    code += le(0x21 | (base - (at + 5 + 3 & ~3) >> 2 & 0xFFFF) << 8, 3)  # l32r: the first literal
    code += call(at + 8, second)
    code += b"\x3d\xf0" * (pad // 2)  # what was added
    at += 11 + pad
    code += le(0x16 | 5 << 12, 3)  # beqz over the next two
    code += call(at + 3, base + 8)
    code += le(0x06 | 1 << 6, 3)  # j over the next one
    code += b"\x0c\x02" + b"\x1d\xf0"  # movi.n, retw.n
    assert len(code) == second - base
    return code + start + call(second + 5, base + 8) + b"\x90\x00\x00" + bytes(1), second


def riscv(base: int, pad: int) -> tuple[bytes, int]:
    first = 60 + pad
    second = base + first
    constant = base + 60  # a number, though it looks like an address

    def jal(at: int, target: int) -> bytes:
        v = target - at
        return le(0xEF | field((v, 20, 1, 31), (v, 1, 10, 21), (v, 11, 1, 20), (v, 12, 8, 12)), 4)

    def beq(at: int, target: int) -> bytes:
        v = target - at
        return le(0x63 | field((v, 12, 1, 31), (v, 5, 6, 25), (v, 1, 4, 8), (v, 11, 1, 7)), 4)

    def cj(at: int, target: int) -> bytes:
        v = target - at
        w = 0xA001 | field((v, 11, 1, 12), (v, 4, 1, 11), (v, 8, 2, 9), (v, 10, 1, 8))
        return le(w | field((v, 6, 1, 7), (v, 7, 1, 6), (v, 1, 3, 3), (v, 5, 1, 2)), 2)

    code = jal(base, second)
    code += le((second + 0x800 & 0xFFFFF000) | 0x537, 4)  # lui a0
    code += le((second & 0xFFF) << 20 | 0x50513, 4)  # addi a0, a0
    code += le((second + 0x800 & 0xFFFFF000) | 0x6B7, 4)  # lui a3
    code += le((second & 0xFFF) << 20 | 0x6A507, 4)  # flw fa0, (a3)
    code += le((second & 0xFE0) << 20 | (second & 31) << 7 | 0xA6A027, 4)  # fsw fa0, (a3)
    code += le((constant + 0x800 & 0xFFFFF000) | 0x737, 4) + b"\x05\x47"  # lui a4; c.li a4 puts an end to it
    code += le((constant & 0xFFF) << 20 | 0x72603, 4) + b"\x01\x00"  # lw a2, (a4)
    code += b"\x01\x00" * (pad // 2)  # c.nop: what was added
    at = base + 36 + pad
    v = second - at
    code += le((v + 0x800 & 0xFFFFF000) | 0x597, 4)  # auipc a1
    code += le((v & 0xFFF) << 20 | 0x5A603, 4)  # lw a2, (a1)
    code += le((v & 0xFE0) << 20 | (v & 31) << 7 | 0xC5A023, 4)  # sw a2, (a1)
    code += beq(at + 12, at + 20) + cj(at + 16, at + 20) + b"\x01\x00"
    code += le(0x33 | 0x5 << 7, 4)  # no reference: add t0, x0, x0
    assert len(code) == first
    return code + jal(second, base) + b"\x82\x80\x01\x00", second


def thumb(base: int, pad: int) -> tuple[bytes, int]:
    first = 24 + pad
    second = base + first

    def branch(at: int, target: int, low: int) -> bytes:
        v = target - at - 4
        sign = v >> 24 & 1
        j1, j2 = (1 - (v >> 23 & 1)) ^ sign, (1 - (v >> 22 & 1)) ^ sign
        h1 = 0xF000 | sign << 10 | v >> 12 & 0x3FF
        return struct.pack("<HH", h1, low | j1 << 13 | j2 << 11 | v >> 1 & 0x7FF)

    code = b"\x10\xb5" + branch(base + 2, second, 0xD000) + b"\x00\xbf" * (pad // 2)
    at = base + 6 + pad
    code += (
        branch(at, base, 0x9000) + b"\x00\xbf" + le(second | 1, 4) + le(0x20000010, 4) + b"\x10\xbd\x00\xbf"
    )
    assert len(code) == first
    return code + branch(second, base, 0xD000) + b"\x10\xbd\x00\xbf", second


def count_residuals(patch: Patch) -> int:
    """How many units of the patch are not as predicted."""
    found = 0
    put = Block._residual

    def counted(self: Block, *args: Any) -> None:
        nonlocal found
        found += 1
        put(self, *args)

    Block._residual = counted  # type: ignore[method-assign]
    try:
        patch.encode()
    finally:
        Block._residual = put  # type: ignore[method-assign]
    return found


def moved(cpu: int, **kind: Any) -> Patch:
    """OLD, and the same with eight bytes added in the middle of its first function."""
    make: Callable[[int, int], tuple[bytes, int]] = {
        WINDOWED: lambda base, pad: xtensa(base, pad, entry=True),
        CALL0: lambda base, pad: xtensa(base, pad, entry=False),
        RISCV: riscv,
        THUMB: thumb,
    }[cpu]
    if cpu in (CALL0, THUMB):
        (code, _), (fresh, _) = make(RAW, 0), make(RAW, 8)
        segments = [
            Segment(0, len(code), RAW, len(code) + 32, True),
            Segment(len(code), 0, 0x20000000, 64, False),
        ]
        if cpu == CALL0:
            segments[1] = Segment(len(code), 0, DATA, 64, False)
        news = [NewSegment(0, len(fresh), RAW)]
        patch = Patch(code, fresh, cpu, [], segments=segments, news=news, **kind)
        base, at = RAW, 0
    else:
        both = [make(CODE, pad) for pad in (0, 8)]
        images = [esp([(DATA, le(second, 4) * 3 + b"text"), (CODE, code)]) for code, second in both]
        patch = Patch(*images, cpu, [], news=esp_new_segments(images[1]), elide=True, **kind)
        base, at = CODE, 24 + 8 + 16 + 8
    old, new = patch.old, patch.new
    end = len(new) - (33 if patch.elide else 0)
    split = at + {WINDOWED: 19, CALL0: 19, RISCV: 36, THUMB: 6}[cpu]
    tail = min(len(old) - (48 if patch.elide else 0) - split, end - split - 8)
    patch.ops = [Op(0, split, 0), Op(8, tail, -8)]
    if split + 8 + tail < end:
        patch.ops.append(Op(end - split - 8 - tail, 0, 0))
    patch.moves = [(base + split - at, 8)]
    if patch.segments:
        patch.moves.append((patch.segments[1].address, 0))  # memory did not move
    return patch


def accepted() -> list[Row]:
    rows = []
    names = {WINDOWED: "Xtensa windowed", CALL0: "Xtensa call0", RISCV: "RISC-V", THUMB: "Thumb-2"}
    for cpu, name in names.items():
        for mix in (False, True):
            patch = moved(cpu, mix=mix)
            # the length in the segment's header is all that is not predicted
            assert count_residuals(patch) == int(patch.elide), name
            rows.append(
                row(
                    f"{name}: a function grows, {'mixed' if mix else 'small'}",
                    patch.old,
                    patch.encode(),
                    patch.new,
                )
            )
    old = bytes(i * 7 & 255 for i in range(600))
    raw = Patch(old, old[:300] + b"new" + old[300:], NONE, [Op(0, 300, 0), Op(3, 300, -3)], segments=[])
    rows.append(row("raw bytes: an insertion", old, raw.encode(), raw.new))
    changed = bytearray(raw.new)
    changed[10], changed[400:404] = 1, b"\xff\xff\xff\xff"
    raw = Patch(old, bytes(changed), NONE, [Op(0, 300, 0), Op(3, 300, -3)], segments=[])
    rows.append(row("raw bytes: and residuals", old, raw.encode(), raw.new))
    words = [Segment(4, 400, 0x1000000, 400, False)]
    table = Patch(le(0x1000010, 4) * 150, le(0x1000018, 4) * 150, NONE, [Op(0, 600, 0)], segments=words)
    table.news, table.moves = [NewSegment(4, 400, 0x1000000)], [(0x1000008, 8)]
    rows.append(
        row("data: pointers into the segment, bytes outside it", table.old, table.encode(), table.new)
    )
    rows.append(self_copies(old))
    rows += blocks(old)
    rows += [code_and_data(), described(), shared_literal()]
    return rows


def ram(base: int, pad: int) -> bytes:
    """RISC-V code, with data behind it in the same segment: pointers to its second function."""
    code, second = riscv(base, pad)
    return code + le(second, 4) * 5


def code_and_data() -> Row:
    """One segment of RAM is cut where its code ends (H0)."""
    olds, news = (esp([(0x40800000, ram(0x40800000, pad))]) for pad in (0, 8))
    length = len(riscv(0, 0)[0])
    codes = [1 + length // 4]
    patch = Patch(olds, news, RISCV, [], codes=codes, elide=True)
    patch.news = [NewSegment(32, length + 8, 0x40800000), NewSegment(40 + length, 20, 0x40800008 + length)]
    patch.ops = [Op(0, 68, 0), Op(8, length + 20 - 36, -8), Op(len(news) - 33 - 60 - length, 0, 0)]
    patch.moves = [(0x40800000 + 36, 8)]
    assert count_residuals(patch) == 1
    return row("RISC-V: code and data in one segment", olds, patch.encode(), news)


def described() -> Row:
    """Read-only data beside code is told by its app description; pointers may reach behind it."""
    made = [(riscv(CODE, pad)[0], le(0xABCD5432, 4) + le(0x42130000 + pad, 4) * 5) for pad in (0, 8)]
    olds, news = (esp([(0x42110020, data), (CODE, code)]) for code, data in made)
    patch = Patch(olds, news, RISCV, [], news=esp_new_segments(news), elide=True)
    split = 64 + 36
    patch.ops = [Op(0, split, 0), Op(8, len(made[0][0]) - 36, -8), Op(len(news) - 33 - split - 8, 0, 0)]
    patch.ops[2] = Op(len(news) - 33 - split - 8 - len(made[0][0]) + 36, 0, 0)
    patch.moves = [(CODE + 36, 8), (CODE + 0x1000000, 0), (0x42130000, 8)]
    assert count_residuals(patch) == 1
    return row("RISC-V: an app description makes data of its segment", olds, patch.encode(), news)


def shared_literal() -> Row:
    """One old literal has become two: the second L32R that finds the other one is predicted."""

    def image(slot: int) -> bytes:
        loads = b"".join(
            le(0x21 | (CODE + 4 * slot - (CODE + 19 + 3 * k + 3 & ~3) >> 2 & 0xFFFF) << 8, 3)
            for k in range(4)
        )
        return esp([(CODE, le(0, 4) * 4 + b"\x36\x41\x00" + loads + b"\x1d\xf0" + bytes(3))])

    olds, news = image(0), image(2)
    patch = Patch(olds, news, WINDOWED, [Op(0, len(news) - 33, 0)], news=esp_new_segments(news), elide=True)
    assert count_residuals(patch) == 1
    return row("Xtensa: a literal that became two", olds, patch.encode(), news)


def self_copies(old: bytes) -> Row:
    new = old[:5] + b"abcd" * 2000 + old[:5]
    ops = [Op(0, 5, 0), Op(4, 7996, len(old) - 4), Op(0, 5, len(old) - 8005)]
    patch = Patch(old, new, NONE, ops, segments=[])
    return row("self copies: a repetition at distance 4, and from the first sector", old, patch.encode(), new)


def blocks(old: bytes) -> list[Row]:
    new = (old * 120)[:65536] + b"second block" + old + b"12345678"
    ops = [Op(0, 600, 0), Op(0, 64936, 0), Op(12, 600, -65548), Op(8, 0, 0)]
    ops[1] = Op(0, 64936, len(old) - 600)
    made = Patch(old, new, NONE, ops, segments=[], block=16)
    rows = [row("two blocks, the first a repetition", old, made.encode(), new)]
    body = bytes(65530)
    elided = Patch(
        old,
        body + esp_checksum(body, []),
        NONE,
        [Op(4, 65526, len(old) - 4)],
        segments=[],
        block=16,
        elide=True,
    )
    rows.append(row("a last block of elided bytes alone", old, elided.encode(), elided.new))
    return rows


# Refused.


class Raw:
    """A patch without segments, written number by number: a lie costs one line."""

    def __init__(self, new_size: int = 100, fixed: bytes = b"\1\0\x10\0") -> None:
        self.fixed = fixed
        self.size = new_size
        self.coder = Coder()
        self.tables: dict[str, Eg] = {}
        self.same = [Model() for _ in range(3)]
        patch = Patch(OLD, bytes(new_size), NONE, [], segments=[])
        patch.image = Old(OLD, NONE, [])
        self.block = Block(patch, self.coder, [])

    def number(self, table: str, *values: int) -> "Raw":
        for v in values:
            self.tables.setdefault(table, Eg()).put(self.coder, v)
        return self

    def head(self) -> "Raw":
        return self.number("count", 0).number("nsegs", 0).number("entries", 0)

    def copy(self, length: int, d: int, literals: int = 0) -> "Raw":
        """An op whose displacement is coded as a difference to 0."""
        b = self.block
        b.lit.put(self.coder, literals)
        for k in range(literals):
            b._literal(k, 0, 0)
        b.copy.put(self.coder, length)
        self.coder.bit(b.hit[int(literals > 0)], 0)
        itself = d >= len(OLD)
        self.coder.bit(b.self[int(literals > 0)], int(itself))
        if itself:
            b.dist.put(self.coder, len(OLD) - 1 - d if d < len(OLD) else 0)
        else:
            b.disp.put_signed(self.coder, d)
        return self

    def gap_end(self) -> "Raw":
        self.block.gap[5 + 6].put_end(self.coder)
        return self

    def data(self) -> bytes:
        return self.fixed + self.coder.finish()

    def row(self, why: str, section: int, **change: Any) -> Row:
        """`section` of PATCH.md is the one that is broken."""
        changes = {"error": INVALID, "section": section} | change
        return row(why, OLD, self.data(), bytes(self.size), **changes)


def good() -> Raw:
    return Raw().head().copy(100, 0).gap_end()


def refused_files() -> list[Row]:
    data = good().data()
    new = OLD[:100]
    rows = [row("a whole patch, to be broken below", OLD, data, new)]

    def refuse(why: str, section: int, made: bytes, **change: Any) -> None:
        changes = {"error": INVALID, "section": section, "params": [[1, 1], [2, 0]]} | change
        rows.append(row(why, OLD, made, new, **changes))

    refuse("nothing", 3, b"")
    refuse("cut in its fixed fields", 3, data[:3])
    refuse("cut in its section", 8, data[:-3])
    refuse("nine bytes more", 3, data + b"\1" * 9)
    refuse("nine zero bytes more", 3, data + bytes(9))
    refuse("format version 2", 2, b"\2" + data[1:], error=UNKNOWN, params=[[1, 2], [2, 0]])
    refuse("format version 2, and the manifest says 1", 2, b"\2" + data[1:], error=UNKNOWN)
    refuse("an unknown feature", 2, b"\1\2" + data[2:], error=UNKNOWN, params=[[1, 1], [2, 2]])
    refuse("another feature than the manifest says", 2, b"\1\1" + data[2:])
    refuse("a parameter missing", 2, data, params=[[1, 1]], error=UNKNOWN)
    refuse("a parameter more", 2, data, params=[[1, 1], [2, 0], [3, 0]], error=UNKNOWN)
    refuse("CPU 5", 2, data[:2] + b"\x15" + data[3:], error=UNKNOWN)
    refuse("an unknown flag", 2, data[:2] + b"\x50" + data[3:], error=UNKNOWN)
    refuse("blocks of 32 KB", 2, data[:3] + b"\x0f" + data[4:])
    refuse("blocks of 2 MB", 2, data[:3] + b"\x15" + data[4:])
    refuse("a code that is not below the range", 3, data[:4] + b"\x3f\xff\xff\xff" + data[8:])
    refuse("all zeros", 4, data[:4])
    refuse("a directory cut short", 3, data[:3] + b"\x10\1\0\1\0")
    refuse("not enough memory", 15, data, ram=16127, error=RAM)
    rows.append(row("just enough memory", OLD, data, new, ram=16128))
    rows.append(Raw(33, b"\1\0\x30\0").head().row("33 elided bytes of 33", 2))
    return rows


def cut_too_far() -> Row:
    """H0 beyond the segment's end."""
    old = esp([(CODE, bytes(64))])
    raw = Raw(fixed=b"\1\0\3\0").number("count", 18).number("nsegs", 0).number("entries", 0)
    return row("code that ends behind its segment", old, raw.data(), bytes(100), error=INVALID, section=5)


def refused_heads() -> list[Row]:
    lists = ("count", "off", "size", "zaddr", "addr", "zaddr", "addr")

    def listed(why: str, section: int, *values: int, code: int = 0, cpu: int = WINDOWED) -> Row:
        raw = Raw(fixed=bytes([1, 0, 16 | cpu, 0]))
        for table, v in zip(lists, values, strict=False):
            raw.number(table, v)
        if len(values) == len(lists):
            raw.coder.put(code, 2048)
        return raw.number("nsegs", 0).number("entries", 0).row(why, section)

    def mapped(why: str, *rest: tuple[str, int], **change: Any) -> Row:
        raw = Raw().number("count", 1)
        for table, v in zip(lists[1:], (0, 64, 12, 1, 6, 1), strict=True):
            raw.number(table, v)
        raw.coder.put(0, 2048)
        raw.number("nsegs", 0)
        for table, v in rest:
            if table == "disp":
                raw.coder.bit(raw.same[0], 0)
            if table == "index":
                raw.coder.bit(raw.same[0], 1)
                raw.coder.bit(raw.same[1], int(v > 1))
            else:
                raw.number(table, v)
        return raw.row(why, 5, **change)

    rows = [
        cut_too_far(),
        listed("17 segments of OLD", 5, 17, *[0] * 6),
        listed("a segment behind OLD", 5, 1, 1000, 25, 12, 1, 12, 1),
        listed("a span shorter than its segment", 5, 1, 0, 65, 12, 1, 6, 1),
        listed("a span of 4 GB", 6, 1, 0, 64, 12, 1, 31, 1),
        listed("an address of 33 bits", 5, 1, 0, 64, 31, 2, 6, 1),
        listed("an address of 2 GB", 6, 1, 0, 64, 31, 1, 6, 1),
        listed("code at an odd address", 6, 1, 0, 64, 0, 4097, 6, 1, code=1),
        listed("code without a CPU", 5, 1, 0, 64, 12, 1, 6, 1, code=1, cpu=NONE),
        Raw().number("count", 0).number("nsegs", 17).row("17 segments of NEW", 5),
        Raw()
        .number("count", 0)
        .number("nsegs", 1)
        .number("naddr", 0)
        .number("nlen", 1, 0)
        .row("a length of -1", 5),
        Raw()
        .number("count", 0)
        .number("nsegs", 1)
        .number("naddr", 0)
        .number("nlen", 202, 0)
        .row("behind NEW", 5),
        Raw()
        .number("count", 0)
        .number("nsegs", 1)
        .number("naddr", (1 << 30) + 1)
        .number("nlen", 0, 0)
        .row("an address too low", 5),
        Raw().number("count", 0).number("nsegs", 0).number("entries", 1).row("a map without segments", 5),
        mapped("4096 entries", ("entries", 4096)),
        mapped("a map for which memory is missing", ("entries", 100), ram=16128 + 799, error=RAM),
        mapped(
            "a key twice",
            ("entries", 2),
            ("zkey", 0),
            ("key", 9),
            ("disp", 2),
            ("zkey", 0),
            ("key", 0),
            ("disp", 2),
        ),
        mapped("a key of 2^30", ("entries", 1), ("zkey", 30), ("key", 1), ("disp", 2)),
        mapped("a shift of 32", ("entries", 1), ("zkey", 32), ("key", 0), ("disp", 2)),
        mapped("a displacement of 2^29", ("entries", 1), ("zkey", 0), ("key", 9), ("disp", 1 << 30)),
        mapped("an index into an empty list", ("entries", 1), ("zkey", 0), ("key", 9), ("index", 1)),
    ]
    exponent = Raw()
    exponent.tables["count"] = Eg()
    exponent.tables["count"].put_end(exponent.coder)
    return [*rows, exponent.row("an exponent of 31 in the head", 4)]


def refused_ops() -> list[Row]:
    many = Raw().head()
    many.block.lit.put(many.coder, 101)
    huge = Raw().head()
    huge.block.lit.put(huge.coder, (1 << 25) - 1)
    end = Raw().head()
    end.block.lit.put_end(end.coder)
    early = Raw().head().copy(50, 0, literals=3)
    early.block.gap[11].put_end(early.coder)
    early.block.lit.put(early.coder, 0)
    early.block.copy.put(early.coder, 47)
    early.coder.bit(early.block.hit[0], 0)
    early.coder.bit(early.block.self[0], 1)
    early.block.dist.put(early.coder, 2)
    gap = Raw().head().copy(100, 0)
    gap.block.gap[11]._exponent(gap.coder, 25)
    candidates = Raw().head().copy(50, 0).gap_end()
    candidates.block.lit.put(candidates.coder, 0)
    candidates.block.copy.put(candidates.coder, 50)
    candidates.coder.bit(candidates.block.hit[0], 1)
    return [
        many.row("101 literals of 100", 8),
        huge.row("an exponent of 25 in the ops", 4),
        end.row("END for a number of literals", 4),
        Raw().head().copy(0, 0).row("a copy of nothing", 8),
        Raw().head().copy(101, 0).row("a copy beyond NEW", 8),
        Raw().head().copy(100, -1).row("a source before OLD", 8),
        Raw().head().copy(100, 925).row("a source that ends behind OLD", 8),
        Raw().head().copy(100, len(OLD)).row("a self copy of what is not written", 8),
        early.row("a self copy at distance 3", 8),
        gap.row("a gap with an exponent of 25", 10),
        candidates.row("no candidate: all recent displacements are the last one", 8),
    ]


def refused_blocks() -> list[Row]:
    body = bytes(65530)
    patch = Patch(OLD, body + bytes(100), NONE, [Op(4, 65526, len(OLD) - 4)], segments=[], block=16)
    patch.ops += [Op(6, 0, 0), Op(94, 0, 0)]
    data = patch.encode()
    rows = [row("two blocks, to be broken below", OLD, data, patch.new)]
    for at, why, section in ((4, "a head section", 3), (6, "a first block", 8), (9, "a second block", 3)):
        longer = bytearray(data)
        longer[at] += 10
        changes = {"error": INVALID, "section": section}
        rows.append(row(f"{why} that is said to be longer", OLD, bytes(longer), patch.new, **changes))
    return rows


def make() -> str:
    rows = accepted() + refused_files() + refused_heads() + refused_ops() + refused_blocks()
    return json.dumps({"old": OLD.hex(), "rows": rows}, indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(make())
