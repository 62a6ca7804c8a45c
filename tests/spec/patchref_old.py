"""OLD as PATCH.md 6 and 7 describe it: segments, parse, references. Slow, readable, a whole image at once."""

from typing import NamedTuple

NONE, WINDOWED, CALL0, RISCV, THUMB = range(5)
BLOCK, WARM = 1024, 48


class Segment(NamedTuple):
    offset: int
    length: int
    address: int
    span: int
    executable: bool


class Reference(NamedTuple):
    kind: str
    target: int
    back: int = 0

    @property
    def local(self) -> bool:
        return self.kind in ("xj", "xb", "branch", "cj")


def u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def sext(v: int, bits: int) -> int:
    v &= (1 << bits) - 1
    return v - (1 << bits) if v >> (bits - 1) else v


def field(*parts: tuple[int, int, int, int]) -> int:
    """Sum of (value, lowest bit there, number of bits, lowest bit here)."""
    return sum((v >> at & (1 << n) - 1) << to for v, at, n, to in parts)


def esp_segments(image: bytes, cpu: int) -> list[Segment]:
    """6.1"""
    found, at = [], 24
    for _ in range(image[1]):
        address, length = u32(image, at), u32(image, at + 4)
        at += 8
        if at + length > len(image):
            break
        described = length >= 4 and u32(image, at) == 0xABCD5432
        code = address >> 24 in (0x40, 0x42) or address >> 20 == 0x4FF
        executable = cpu > 0 and code and not described
        ext = 0x40
        if address >> 20 in (0x3FF, 0x3FC, 0x408, 0x4FF):
            ext = 0x30000
        elif 0x3C0 <= address >> 20 <= 0x3F7 or described:
            ext = 0x20000
        found.append(Segment(at, length, address, length + ext, executable))
        at += length
    return found


def cut_segments(segments: list[Segment], codes: list[int]) -> list[Segment]:
    """H0: codes[i] is v of segment i."""
    found = []
    for s, v in zip(segments, codes, strict=True):
        w = 4 * (v - 1)
        assert w <= s.length
        if v == 0:
            found.append(s)
        else:
            rest = Segment(s.offset + w, s.length - w, s.address + w, s.span - w, False)
            if w:
                found.append(s._replace(length=w, span=w if rest.length else s.span, executable=True))
            if rest.length or not w:
                found.append(rest)
    return found


class Old:
    def __init__(self, image: bytes, cpu: int, segments: list[Segment] | None = None) -> None:
        absolute = esp_segments(image, cpu) if segments is None else segments
        self.image = image
        self.cpu = cpu
        self.base = min((s.address for s in absolute), default=0) & ~0xFFFFFF
        self.segments = [s._replace(address=s.address - self.base) for s in absolute]
        self.types = bytearray(len(image))
        self.references: dict[int, Reference] = {}
        for s in self.segments:
            if s.executable:
                for b in range(0, s.length, BLOCK):
                    self._parse(s, b)
            else:
                self._parse_data(s)

    def byte(self, p: int) -> int:
        return self.image[p] if p < len(self.image) else 0

    def bytes(self, p: int, n: int) -> bytes:
        return bytes(self.byte(p + k) for k in range(n))

    def word(self, p: int, n: int = 4) -> int:
        return int.from_bytes(self.bytes(p, n), "little")

    def segment(self, p: int) -> Segment | None:
        return next((s for s in self.segments if s.offset <= p < s.offset + s.length), None)

    def address(self, p: int) -> int | None:
        s = self.segment(p)
        return s.address + p - s.offset if s else None

    def reference(self, p: int) -> Reference | None:
        return self.references.get(p)

    def unit(self, p: int) -> tuple[int, int]:
        """Bytes and type of the unit at p (10), not cut."""
        s = self.segment(p)
        if s is None:
            return 1, 15
        kind = self.types[p]
        if kind:
            return self.length(kind), kind
        end = s.length
        if s.executable:
            end = min(end, ((p - s.offset) // BLOCK + 1) * BLOCK)
        size = 1
        while size < 4 and p + size < s.offset + end and not self.types[p + size]:
            size += 1
        return size, 15

    def length(self, kind: int) -> int:
        if kind in (1, 13):
            return 4
        if kind == 14:
            return 1
        if self.cpu in (WINDOWED, CALL0):
            return 2 if 24 <= kind <= 29 else 3
        return 4 if kind < 24 else 2

    # 6.1 tests

    def pointer(self, v: int, in_code: bool) -> bool:
        for s in self.segments:
            if s.address <= v < s.address + s.span:
                if in_code and s.executable and self.cpu == WINDOWED:
                    return self.entry(v)
                return True
        return False

    def code_at(self, t: int) -> Segment | None:
        return next(
            (s for s in self.segments if s.executable and s.address <= t and t + 3 <= s.address + s.length),
            None,
        )

    def entry(self, t: int) -> bool:
        s = self.code_at(t)
        return t & 3 == 0 and s is not None and self.is_entry(s.offset + t - s.address)

    def is_entry(self, p: int) -> bool:
        return self.byte(p) == 0x36 and self.byte(p + 1) & 15 == 1

    # 6.3, 6.4

    def _parse_data(self, s: Segment) -> None:
        for p in range(s.offset, s.offset + s.length - 3, 4):
            v = self.word(p) - self.base
            self.types[p] = 13
            if self.pointer(v, False):
                self.types[p] = 1
                self.references[p] = Reference("pointer", v)

    def _parse(self, s: Segment, b: int) -> None:
        self.s, self.b, self.e = s, b, min(b + BLOCK, s.length)
        self.kind, self.high, self.at = [0] * 32, [0] * 32, [0] * 32
        i = max(b - WARM, 0)
        step = {WINDOWED: self._xtensa, CALL0: self._xtensa, RISCV: self._riscv, THUMB: self._thumb}[self.cpu]
        while i < self.e:
            i += step(i)

    def _type(self, i: int, kind: int, length: int, reference: Reference | None = None) -> None:
        """Offset i of the segment has this type, if it lies in the block and the unit in the segment."""
        if self.b <= i < self.e and i + length <= self.s.length:
            self.types[self.s.offset + i] = kind
            if reference:
                self.references[self.s.offset + i] = reference

    def _word_counts(self, a: int) -> bool:
        return a + 4 <= self.s.length and self.pointer(self.word(self.s.offset + a) - self.base, True)

    def _xtensa(self, i: int) -> int:
        s = self.s
        p, pc = s.offset + i, s.address + i
        b0, b1, b2 = self.bytes(p, 3)
        length = 2 if 8 <= b0 & 15 <= 13 else 3
        a = (i + 3) & ~3
        if a < i + length and a + 4 <= s.length:
            entry = a > i and self.cpu == WINDOWED and self.is_entry(s.offset + a)
            if entry or self._word_counts(a):
                for k in range(i, a):
                    self._type(k, 14, 1)
                if a > i:
                    return a - i
                self._type(i, 1, 4, Reference("pointer", self.word(p) - self.base))
                return 4
        w = b0 | b1 << 8 | b2 << 16
        kind, reference = 16 + (b0 & 15), None
        if b0 & 15 == 5:
            t = (pc & ~3) + 4 + sext(w >> 6, 18) * 4
            if self.entry(t) if self.cpu == WINDOWED else self.code_at(t):
                kind, reference = 2, Reference("call", t)
        elif b0 & 15 == 1:
            t = ((pc + 3) & ~3) - 0x40000 + (w >> 8) * 4
            if s.address <= t < pc:
                kind, reference = 4, Reference("l32r", t)
        elif b0 & 0x3F == 6:
            reference = Reference("xj", pc + 4 + sext(w >> 6, 18))
        elif b0 & 0x3F == 0x16:
            reference = Reference("xb", pc + 4 + sext(w >> 12, 12))
        self._type(i, kind, length, reference)
        jump = (
            b0 & 0x3F == 6
            or (b0 in (0x0D, 0x1D) and b1 == 0xF0)
            or (b0 in (0x80, 0x90) and b1 == b2 == 0)
            or (b0 == 0xA0 and b1 & 0xF0 == 0 and b2 == 0)
        )
        n = length
        while jump and n < length + 4 and i + n < self.e and self.byte(p + n) == 0:
            self._type(i + n, 14, 1)
            n += 1
        return n

    def _riscv(self, i: int) -> int:
        s = self.s
        p, pc = s.offset + i, s.address + i
        w = self.word(p)
        if w & 3 != 3:
            reference = None
            if w & 3 == 1 and w >> 13 & 7 in (1, 5):
                bits = field((w, 3, 3, 1), (w, 11, 1, 4), (w, 2, 1, 5), (w, 7, 1, 6), (w, 6, 1, 7))
                bits |= field((w, 9, 2, 8), (w, 8, 1, 10), (w, 12, 1, 11))
                reference = Reference("cj", pc + sext(bits, 12))
            if i + 2 <= s.length:
                self.kind[self._writes(w) or 0] = 0
            self._type(i, 24 + (w >> 13 & 7), 2, reference)
            return 2
        if i + 4 > s.length:
            return 4
        op, rs1 = w & 0x7F, w >> 15 & 31
        kind, reference = 16 + (w >> 2 & 7), None
        if op == 0x6F:
            bits = field((w, 21, 10, 1), (w, 20, 1, 11), (w, 12, 8, 12), (w, 31, 1, 20))
            kind, reference = 5, Reference("jal", pc + sext(bits, 21))
        elif op in (0x37, 0x17):
            kind, reference = self._upper(i, w)
        elif op == 0x63:
            bits = field((w, 8, 4, 1), (w, 25, 6, 5), (w, 7, 1, 11), (w, 31, 1, 12))
            reference = Reference("branch", pc + sext(bits, 13))
        else:
            low = self._low(w)
            if low is not None and self.kind[rs1] and i - self.at[rs1] < 512:
                t, auipc = self.high[rs1] + low, self.kind[rs1] == 2
                if auipc or self.pointer(t, False):
                    kind = 8 + (op in (0x23, 0x27)) + 2 * auipc
                    reference = Reference("low", t, i - self.at[rs1])
            self.kind[self._writes(w) or 0] = 0
        self._type(i, kind, 4, reference)
        return 4

    def _writes(self, w: int) -> int | None:
        """The register that the instruction w writes."""
        if w & 3 == 3:
            return None if w & 0x7F in (0x07, 0x23, 0x27, 0x63) else w >> 7 & 31
        f = w >> 13 & 7
        if w & 3 == 0:
            return 8 + (w >> 2 & 7) if f in (0, 2) or (f == 4 and w >> 10 & 7 < 2) else None
        if w & 3 == 1:
            return {0: w >> 7 & 31, 1: 1, 2: w >> 7 & 31, 3: w >> 7 & 31, 4: 8 + (w >> 7 & 7)}.get(f)
        return w >> 7 & 31 if f in (0, 2) or (f == 4 and w >> 2 & 31) else None

    def _low(self, w: int) -> int | None:
        """The low part that a 4-byte instruction adds to its rs1."""
        op = w & 0x7F
        if op in (0x03, 0x07, 0x67) or (op == 0x13 and w >> 12 & 7 == 0):
            return sext(w >> 20, 12)
        if op in (0x23, 0x27):
            return sext(w >> 25 << 5 | (w >> 7 & 31), 12)
        return None

    def _upper(self, i: int, w: int) -> tuple[int, Reference | None]:
        auipc = w & 0x7F == 0x17
        rd, other = w >> 7 & 31, 16 + (w >> 2 & 7)
        self.kind[rd] = 0
        if rd == 0:
            return other, None
        h = w & 0xFFFFF000
        if auipc:
            if not -(1 << 29) <= sext(h, 32) < 1 << 29:
                return other, None
            high = self.s.address + i + sext(h, 32)
        else:
            high = h - self.base
            if not -4096 <= high <= 1 << 30:
                return other, None
        self.kind[rd], self.high[rd], self.at[rd] = 1 + auipc, high, i
        low = self._first_use(i + 4, rd)
        if low is None or not (auipc or self.pointer(high + low, False)):
            return other, None
        return 6 + auipc, Reference("auipc" if auipc else "lui", high + low)

    def _first_use(self, o: int, rd: int) -> int | None:
        for _ in range(24):
            if o + 4 > self.s.length:
                return None
            w = self.word(self.s.offset + o)
            if w & 3 == 3:
                low = self._low(w)
                if low is not None and w >> 15 & 31 == rd:
                    return low
            if self._writes(w) == rd:
                return None
            o += 4 if w & 3 == 3 else 2
        return None

    def _thumb(self, i: int) -> int:
        s = self.s
        p, pc = s.offset + i, s.address + i
        if i & 3 == 0 and self._word_counts(i):
            self._type(i, 1, 4, Reference("pointer", self.word(p) - self.base))
            return 4
        h1, h2 = self.word(p, 2), self.word(p + 2, 2)
        length = 4 if h1 >> 11 >= 29 else 2
        kind = 16 + (h1 >> 11 & 3) if length == 4 else 24 + (h1 >> 13)
        reference = None
        if h1 >> 11 == 30 and h2 & 0x9000 == 0x9000:
            sign = h1 >> 10 & 1
            i1, i2 = 1 - ((h2 >> 13 & 1) ^ sign), 1 - ((h2 >> 11 & 1) ^ sign)
            bits = sign << 24 | i1 << 23 | i2 << 22 | (h1 & 0x3FF) << 12 | (h2 & 0x7FF) << 1
            kind, reference = 12, Reference("bl", pc + 4 + sext(bits, 25))
        self._type(i, kind, length, reference)
        return length

    # 7

    def rewritten(self, p: int, r: Reference, n: int, pc: int) -> bytes:
        """The unit at p for target n at new address pc."""
        size = self.length(self.types[p])
        w = self.word(p, size)
        if r.kind == "pointer":
            if (pc - (self.address(p) or 0)) & 3 == 0:
                w = (n + self.base) % (1 << 32)
        elif self.cpu == RISCV:
            w = self._riscv_rewritten(w, self.types[p], r, n, pc)
        elif self.cpu == THUMB:
            w = thumb_bl(w, n - pc - 4)
        else:
            w = xtensa_rewritten(w, r.kind, n, pc)
        return w.to_bytes(size, "little")

    def _riscv_rewritten(self, w: int, kind: int, r: Reference, n: int, pc: int) -> int:
        v = n - pc
        if r.kind == "jal":
            return w & 0xFFF | field((v, 20, 1, 31), (v, 1, 10, 21), (v, 11, 1, 20), (v, 12, 8, 12))
        if r.kind == "branch":
            return w & 0x01FFF07F | field((v, 12, 1, 31), (v, 5, 6, 25), (v, 1, 4, 8), (v, 11, 1, 7))
        if r.kind == "cj":
            w = w & 0xE003 | field((v, 11, 1, 12), (v, 4, 1, 11), (v, 8, 2, 9), (v, 10, 1, 8))
            return w | field((v, 6, 1, 7), (v, 7, 1, 6), (v, 1, 3, 3), (v, 5, 1, 2))
        if r.kind in ("lui", "auipc"):
            v = n + self.base if r.kind == "lui" else v
            return w & 0xFFF | field(((v + 0x800) >> 12, 0, 20, 12))
        v = n if kind in (8, 9) else v + r.back
        if kind in (8, 10):
            return w & 0xFFFFF | field((v, 0, 12, 20))
        return w & 0x01FFF07F | field((v, 5, 7, 25), (v, 0, 5, 7))


def xtensa_rewritten(w: int, kind: str, n: int, pc: int) -> int:
    if kind == "call":
        return w & 0x3F | field(((n - (pc & ~3) - 4) >> 2, 0, 18, 6))
    if kind == "l32r":
        return w & 0xFF | field(((n - ((pc + 3) & ~3)) >> 2, 0, 16, 8))
    if kind == "xj":
        return w & 0x3F | field((n - pc - 4, 0, 18, 6))
    return w & 0xFFF | field((n - pc - 4, 0, 12, 12))


def thumb_bl(w: int, v: int) -> int:
    sign = v >> 24 & 1
    h1 = 0xF000 | sign << 10 | v >> 12 & 0x3FF
    j1, j2 = (1 - (v >> 23 & 1)) ^ sign, (1 - (v >> 22 & 1)) ^ sign
    return h1 | ((w >> 16) & 0xD000 | j1 << 13 | j2 << 11 | v >> 1 & 0x7FF) << 16
