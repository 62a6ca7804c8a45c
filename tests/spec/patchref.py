"""A slow, readable encoder of the bit syntax of PATCH.md: takes ops and a map, makes the patch.

It is written from PATCH.md alone and shares nothing with the decoder but the document; the section numbers
are PATCH.md's. It decides nothing: which ops and which map are good is the real encoder's business.
"""

import hashlib
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from tests.spec.patchref_old import (
    CALL0,
    NONE,
    RISCV,
    THUMB,
    WINDOWED,
    Old,
    Segment,
    cut_segments,
    esp_segments,
    u32,
)  # fmt: skip

__all__ = [
    "CALL0",
    "NONE",
    "RISCV",
    "THUMB",
    "WINDOWED",
    "NewSegment",
    "Op",
    "Patch",
    "Segment",
    "esp_new_segments",
]

RATES = (154, 98, 70, 56, 46, 39, 34, 30, 27, 24, 21, 18, 15, 12, 10, 16)
END = 1 << 24


class Op(NamedTuple):
    """Literals, then a copy of `length` bytes from q + d. length 0: the block ends after the literals."""

    literals: int
    length: int
    d: int


class NewSegment(NamedTuple):
    offset: int
    length: int
    address: int  # absolute


class Model:
    """A bit's probability (4)."""

    def __init__(self) -> None:
        self.p = 2048
        self.n = 0

    def learn(self, bit: int) -> None:
        if bit:
            self.p += ((4095 - self.p) * RATES[self.n] + 128) >> 8
        else:
            self.p -= (self.p * RATES[self.n] + 128) >> 8
        self.n = min(self.n + 1, 15)


class Coder:
    """Range encoder of one section (3): the bytes so far, then the 32 bits of `low`."""

    def __init__(self) -> None:
        self.out = bytearray()
        self.low = 0
        self.range = (1 << 30) - 1

    def put(self, bit: int, p: int) -> None:
        bound = (self.range >> 12) * p
        if bit:
            self.range = bound
        else:
            self.low += bound
            self.range -= bound
        self._carry()
        while self.range < 1 << 22:
            self.out.append(self.low >> 24)
            self.low = self.low << 8 & 0xFFFFFFFF
            self.range <<= 8

    def bit(self, model: Model, bit: int) -> None:
        self.put(bit, model.p)
        model.learn(bit)

    def finish(self) -> bytes:
        for zeros in range(29, -1, -1):
            value = -(-self.low >> zeros) << zeros
            if value < self.low + self.range:
                break
        self.low = value
        self._carry()
        data = bytes(self.out) + self.low.to_bytes(4, "big")
        return data[: max(len(data.rstrip(b"\0")), len(data) - 8)]

    def _carry(self) -> None:
        if self.low >> 32:
            self.low -= 1 << 32
            i = len(self.out) - 1
            while self.out[i] == 255:
                self.out[i] = 0
                i -= 1
            self.out[i] += 1


class Mantissa:
    def __init__(self) -> None:
        self.models = [[Model() for _ in range(4)] for _ in range(31)]


class Eg:
    """A table of numbers (4)."""

    def __init__(self, mantissa: Mantissa | None = None) -> None:
        self.tree = [Model() for _ in range(32)]
        self.mantissa = mantissa or Mantissa()

    def put(self, coder: Coder, v: int) -> None:
        x = v + 1
        nb = x.bit_length() - 1
        self._exponent(coder, nb)
        for k in range(nb):
            bit = x >> (nb - 1 - k) & 1
            if k == 0:
                coder.bit(self.mantissa.models[nb][1], bit)
            elif k == 1:
                coder.bit(self.mantissa.models[nb][2 + (x >> (nb - 1) & 1)], bit)
            else:
                coder.put(bit, 2048)

    def put_end(self, coder: Coder) -> None:
        self._exponent(coder, 31)

    def put_signed(self, coder: Coder, v: int) -> None:
        self.put(coder, 2 * v if v >= 0 else -2 * v - 1)

    def _exponent(self, coder: Coder, nb: int) -> None:
        m = 1
        for i in range(4, -1, -1):
            bit = nb >> i & 1
            coder.bit(self.tree[m], bit)
            m = m << 1 | bit


def shift_of(v: int) -> int:
    """The largest z <= 29 with v = w << z."""
    return min((v & -v).bit_length() - 1, 29) if v else 0


@dataclass
class Patch:
    """What a patch says; encode() makes its bytes.

    segments: of OLD, for an explicit list; None: OLD is an ESP image. codes: H0, by segment of OLD;
    empty: no segment is cut. news: of NEW. moves: the map,
    (absolute address, displacement). ops: of the whole image; they must not cross blocks.
    """

    old: bytes
    new: bytes
    cpu: int
    ops: list[Op]
    moves: list[tuple[int, int]] = field(default_factory=list)
    segments: list[Segment] | None = None
    codes: list[int] = field(default_factory=list)
    news: list[NewSegment] = field(default_factory=list)
    mix: bool = False
    elide: bool = False
    block: int = 0

    def old_segments(self) -> list[Segment]:
        """Of OLD, with absolute addresses."""
        if self.segments is not None:
            return self.segments
        found = esp_segments(self.old, self.cpu)
        return cut_segments(found, self.codes) if self.codes else found

    def encode(self) -> bytes:
        self.image = Old(self.old, self.cpu, self.old_segments())
        third = self.cpu | (16 if self.segments is not None else 0) | (32 if self.elide else 0)
        fixed = bytes([1, int(self.mix), third, self.block])
        end = len(self.new) - 33 if self.elide else len(self.new)
        head = Coder()
        self._head(head)
        ops = list(self.ops)
        if not self.block:
            Block(self, head, ops).put(0, end)
            assert not ops
            return fixed + head.finish()
        step = 1 << self.block
        sections = []
        for q in range(0, len(self.new), step):
            coder = Coder()
            if q < end:
                Block(self, coder, ops).put(q, min(q + step, end))
            sections.append(coder.finish() if q < end else b"")
        assert not ops
        first = head.finish()
        directory = len(first).to_bytes(2, "little") + b"".join(
            len(s).to_bytes(3, "little") for s in sections
        )
        return fixed + directory + first + b"".join(sections)

    # 5. Head

    def _head(self, coder: Coder) -> None:
        if self.segments is not None:
            self._put_old_segments(coder, self.segments)
        elif self.cpu == RISCV:
            count = Eg()
            for v in self.codes or [0] * len(esp_segments(self.old, self.cpu)):
                count.put(coder, v)
        self._put_new_segments(coder)
        self._map(coder)

    def _put_old_segments(self, coder: Coder, segments: list[Segment]) -> None:
        count, off, size, zaddr, addr = (Eg() for _ in range(5))
        count.put(coder, len(segments))
        end = 0
        for s in segments:
            off.put(coder, s.offset - end)
            size.put(coder, s.length)
            for v in (s.address, s.span):
                zaddr.put(coder, shift_of(v))
                addr.put(coder, v >> shift_of(v))
            coder.put(int(s.executable), 2048)
            end = s.offset + s.length

    def _put_new_segments(self, coder: Coder) -> None:
        nsegs, naddr, nlen = Eg(), Eg(), Eg()
        nsegs.put(coder, len(self.news))
        end = 0
        for i, s in enumerate(self.news):
            olds = self.image.segments
            address, length = (olds[i].address, olds[i].length) if i < len(olds) else (0, 0)
            naddr.put_signed(coder, s.address - self.image.base - address)
            nlen.put_signed(coder, s.length - length)
            nlen.put(coder, s.offset - end)
            end = s.offset + s.length

    def _map(self, coder: Coder) -> None:
        entries, zkey, key, disp = Eg(), Eg(), Eg(), Eg()
        same = [Model() for _ in range(3)]
        entries.put(coder, len(self.moves))
        recent = [0]
        for (before, _), (absolute, move) in pairwise([(self.image.base, 0), *self.moves]):
            gap = absolute - before
            assert gap >= 0, "keys ascend from the base"
            zkey.put(coder, shift_of(gap))
            key.put(coder, gap >> shift_of(gap))
            j = recent.index(move) if move in recent else 0
            coder.bit(same[0], int(j > 0))
            if j:
                coder.bit(same[1], int(j > 1))
                if j > 1:
                    coder.bit(same[2], j - 2)
                recent.pop(j)
            else:
                disp.put_signed(coder, move - recent[0])
            recent = [move, *recent][:4]

    def moved(self, t: int) -> int:
        """M(t) for an address t - base."""
        found = 0
        for key, move in self.moves:
            if key - self.image.base <= t:
                found = move
        return found

    def new_segment(self, q: int) -> NewSegment | None:
        return next((s for s in self.news if s.offset <= q < s.offset + s.length), None)

    def new_address(self, q: int) -> int | None:
        s = self.new_segment(q)
        return s.address - self.image.base + q - s.offset if s else None


class Block:
    """Models, state and ops of one block (8)."""

    def __init__(self, patch: Patch, coder: Coder, ops: list[Op]) -> None:
        self.patch = patch
        self.image = patch.image
        self.coder = coder
        self.ops = ops
        gaps, lengths = Mantissa(), Mantissa()
        self.gap = [Eg(gaps) for _ in range(12)]
        self.disp = Eg()
        self.lit, self.copy, self.dist = Eg(lengths), Eg(lengths), Eg(lengths)
        self.hit = [Model(), Model()]
        self.index = [[Model() for _ in range(5)] for _ in range(2)]
        self.self = [Model(), Model()]
        self.lit0 = [Model() for _ in range(1024)]
        self.lit1 = [Model() for _ in range(2048)]
        self.lit2 = [Model() for _ in range(1024)]
        self.weights = [[19660] * 3 for _ in range(32)]
        self.again = [[Model(), Model()] for _ in range(32)]
        self.some = [[[Model(), Model()] for _ in range(4)] for _ in range(32)]
        self.res = [Model() for _ in range(1024)]
        self.rep = [[0, 0] for _ in range(32)]
        self.recent = [0, 0, 0, 0]
        self.first = True
        self.last = 0
        self.kind = 5
        self.ranges: list[tuple[int, int, int]] = []
        self.slots: dict[int, tuple[int, int]] = {}
        self.run = (0, 0, 0)

    def put(self, start: int, end: int) -> None:
        new = self.patch.new
        q = start
        while q < end:
            op = self.ops.pop(0)
            assert op.literals <= end - q
            self.lit.put(self.coder, op.literals)
            self.run = (0, 0, 0)
            for k in range(op.literals):
                self._literal(q + k, new[q + k], new[q + k - 1] if q + k > start else 0)
            q += op.literals
            if q == end:
                assert op.length == 0
                break
            assert 0 < op.length <= end - q
            self.copy.put(self.coder, op.length)
            self._displacement(q, op)
            if q + op.d < len(self.patch.old):
                self._range(q, op)
            self._copy(q, op)
            q += op.length

    # 9. Literals

    def _in_code(self, q: int) -> bool:
        olds = self.image.segments
        for i, s in enumerate(self.patch.news):
            if s.offset <= q < s.offset + s.length:
                return self.patch.cpu > 0 and i < len(olds) and bool(olds[i].executable)
        return False

    def _literal(self, q: int, byte: int, prev: int) -> None:
        cpu, code = self.patch.cpu, self._in_code(q)
        j, n, kind = self.run
        if code and cpu == THUMB:
            j = q & 1
        x, y = (j, 256 + 64 * j + kind) if code else (q & 3, prev)
        m = 1
        for k in range(8):
            bit = byte >> (7 - k) & 1
            models = [self.lit0[x << 8 | m]]
            if self.patch.mix:
                models.append(self.lit1[(y * 0x9E5 + m * 0x265) & 2047])
                models.append(self.lit2[(prev * 0x9E5 + m * 0x265) & 1023])
                self._mixed(bit, models, self.weights[8 * x + k])
            else:
                self.coder.bit(models[0], bit)
            m = m << 1 | bit
        self.run = self._follow(byte, j, n, kind) if code else (0, 0, 0)

    def _follow(self, byte: int, j: int, n: int, kind: int) -> tuple[int, int, int]:
        """The run's state after a byte in code."""
        if self.patch.cpu == THUMB:
            return 0, 0, byte >> 3 if j == 1 else kind
        if j == 0 and self.patch.cpu == RISCV:
            kind, n = (byte >> 2 & 31, 4) if byte & 3 == 3 else (32 + (byte & 3), 2)
        elif j == 0:
            kind = byte & 15
            n = 2 if 8 <= kind <= 13 else 3
        return (j + 1) % n, n, kind

    def _mixed(self, bit: int, models: list[Model], w: list[int]) -> None:
        stretched = [stretch(m.p) for m in models]
        s = sum(a * b for a, b in zip(stretched, w, strict=True)) >> 16
        s = min(max(s, -2047), 2047)
        p = SQUASH[s >> 4] if s >= 0 else 4096 - SQUASH[-s >> 4]
        self.coder.put(bit, p)
        e = ((bit << 12) - p) * 12
        for i, st in enumerate(stretched):
            w[i] = min(max(w[i] + ((st * e + 8192) >> 14), -262143), 262143)
        for model in models:
            model.learn(bit)

    # 8. Where a copy comes from

    def candidates(self, q: int, literals: int) -> list[int]:
        image, patch = self.image, self.patch
        wanted = [self.recent[0]] if literals else []
        old = image.segment(q - literals + self.recent[0])
        new = patch.new_segment(q)
        if old and new:
            shift = (new.offset - (new.address - image.base)) - (old.offset - old.address)
            address = q - literals + self.recent[0] - old.offset + old.address
            k = sum(key - image.base <= address for key, _ in patch.moves)
            wanted.append(-(patch.moves[k - 1][1] if k else 0) - shift)
            wanted += [-move - shift for _, move in patch.moves[k : k + 2]]
        found: list[int] = []
        for d in wanted + self.recent:
            if d not in found and (d != self.recent[0] or literals or self.first):
                found.append(d)
        return found

    def _displacement(self, q: int, op: Op) -> None:
        coder, d, x = self.coder, op.d, int(op.literals > 0)
        old_size = len(self.patch.old)
        found = self.candidates(q, op.literals)[:6]
        coder.bit(self.hit[x], int(d in found))
        if d in found:
            for j in range(min(5, len(found) - 1)):
                coder.bit(self.index[x][j], int(found.index(d) > j))
                if found.index(d) == j:
                    break
        else:
            itself = q + d >= old_size
            coder.bit(self.self[x], int(itself))
            if itself:
                self.dist.put(coder, old_size - 1 - d)
            else:
                self.disp.put_signed(coder, d - self.last)
        if q + d < old_size:
            self.last = d
        if d in self.recent:
            self.recent.remove(d)
        self.recent = [d, *self.recent][:4]
        self.first = False

    def _range(self, q: int, op: Op) -> None:
        source, target = self.image.address(q + op.d), self.patch.new_address(q)
        known = source is not None and target is not None
        self.ranges.insert(0, (source, op.length, target - source) if known else (0, 0, 0))
        del self.ranges[9:]

    # 10. Copies

    def unit(self, q: int, op: Op, k: int) -> tuple[int, int, bytes, int]:
        """Bytes, type, prediction, and 6 for code or 0, of the unit at k."""
        image, new, old_size = self.image, self.patch.new, len(self.patch.old)
        p = q + op.d + k
        code = 0
        if p >= old_size:
            size, kind = 4 - ((q + k) & 3), 15
            prediction = new[p - old_size : p - old_size + size]
        else:
            size, kind = image.unit(p)
            s = image.segment(p)
            code = 6 if s is None or s.executable else 0
            whole = k + size <= op.length
            prediction = self._predict(p, q + k, size) if whole else image.bytes(p, size)
        size = min(size, op.length - k)
        return size, kind, prediction[:size], code

    def _predict(self, p: int, q: int, size: int) -> bytes:
        """7: OLD's bytes, rewritten if they are a reference."""
        image = self.image
        pc = self.patch.new_address(q)
        reference = image.reference(p)
        if reference is None or pc is None:
            return image.bytes(p, size)
        t = reference.target
        move = self.patch.moved(t)
        if reference.local:
            for a, length, d in self.ranges:
                if a <= t < a + length:
                    move = d
                    break
        slot = self.slots.get(t >> 2 & 31)
        if reference.kind == "l32r" and slot and slot[0] == t:
            move = slot[1]
        return image.rewritten(p, reference, t + move, pc)

    def _learn(self, p: int, q: int, size: int) -> None:
        """7, type 4: where a literal went that was not where it was expected."""
        reference, pc = self.image.reference(p), self.patch.new_address(q)
        if reference is None or pc is None or reference.kind != "l32r" or size != 3:
            return
        b0, b1, b2 = self.patch.new[q : q + 3]
        if b0 == self.image.byte(p):
            n = ((pc + 3) & ~3) - 0x40000 + (b1 | b2 << 8) * 4
            self.slots[reference.target >> 2 & 31] = reference.target, n - reference.target

    def _copy(self, q: int, op: Op) -> None:
        new = self.patch.new
        k = 0
        while k < op.length:
            code = self.unit(q, op, k)[3]
            gap = 0
            while k < op.length:
                size, kind, prediction, _ = self.unit(q, op, k)
                if new[q + k : q + k + size] != prediction:
                    break
                gap += 1
                k += size
            table = self.gap[self.kind + code]
            if k == op.length:
                table.put_end(self.coder)
                gap = END
            else:
                table.put(self.coder, gap)
            self.kind = next((n for n, most in enumerate((0, 2, 9, 39, 199)) if gap <= most), 5)
            if k < op.length:
                self._residual(kind, size, prediction, new[q + k : q + k + size])
                if q + op.d < len(self.patch.old):
                    self._learn(q + op.d + k, q + k, size)
                k += size

    # 11. Residuals

    def _residual(self, kind: int, size: int, prediction: bytes, wanted: bytes) -> None:
        coder = self.coder
        d = (int.from_bytes(wanted, "little") - int.from_bytes(prediction, "little")) % (1 << 8 * size)
        if size == 4 and d >> 31:
            d -= 1 << 32
        rep = self.rep[kind]
        done = False
        if rep[0]:
            done = d == rep[0]
            coder.bit(self.again[kind][0], int(done))
            if not done and rep[1]:
                done = d == rep[1]
                coder.bit(self.again[kind][1], int(done))
        if not done:
            self._bytes(kind, (d % (1 << 8 * size)).to_bytes(size, "little"))
        if d != rep[0]:
            self.rep[kind] = [d, rep[0]]

    def _bytes(self, kind: int, data: bytes) -> None:
        some = 0
        for j, byte in enumerate(data):
            if some or j < len(data) - 1:
                self.coder.bit(self.some[kind][j][some], int(byte > 0))
            if byte:
                some = 1
                m = 1
                for k in range(7, -1, -1):
                    model = self.res[((kind * 4 + j) * 0x9E5 + m * 0x265) & 1023]
                    self.coder.bit(model, byte >> k & 1)
                    m = m << 1 | byte >> k & 1


def esp_new_segments(image: bytes) -> list[NewSegment]:
    """Segments as an ESP image's own headers say."""
    found, at = [], 24
    for _ in range(image[1]):
        found.append(NewSegment(at + 8, u32(image, at + 4), u32(image, at)))
        at += 8 + found[-1].length
    return found


def esp_checksum(image: bytes, news: list[NewSegment]) -> bytes:
    """12: the 33 bytes that ELIDE leaves out, for an image without them."""
    check = 0xEF
    for s in news:
        for byte in image[s.offset : s.offset + s.length]:
            check ^= byte
    body = image + bytes([check])
    return bytes([check]) + hashlib.sha256(body).digest()


def stretch(p: int) -> int:
    return STRETCH[(p >> 4) - 128] if p >= 2048 else -STRETCH[127 - (p >> 4)]


def _numbers(name: str) -> list[int]:
    """A table of PATCH.md 9, from the document itself."""
    from pathlib import Path

    text = Path(__file__).parents[2].joinpath("bootloader_spec", "PATCH.md").read_text()
    rest = text.split(f"\n{name} =\n")[1].split("```")[0]
    words = []
    for word in rest.split():
        if not word.isdigit():
            break
        words.append(int(word))
    return words


STRETCH, SQUASH = _numbers("ST"), _numbers("SQ")
