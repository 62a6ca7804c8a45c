"""The address-aware decoder (codec 3): PATCH.md, streaming.

It reads the patch in order, OLD in windows of about 1 KB, and writes NEW in sectors of 4 KB. What takes
time is in _hot.py and in the module of the CPU; here is what happens once per op or per gap.
"""

import gc
import hashlib
import sys

from otaspec import _hot
from otaspec.addresscoder import const, refuse, signed
from otaspec.addressold import Window, segment

# State words, as in _hot.py.
_I = const(3)
_O = const(6)
_REM = const(7)
_GAP = const(8)
_UT = const(12)
_UM = const(13)
_STOP = const(18)
_RG = const(23)
_RG0 = const(27)

# First model of each table (PATCH.md 8); those of literals and residuals are in _hot.py.
_LIT = const(384)
_COPY = const(416)
_DISP = const(448)
_DIST = const(480)
_MAN_GAP = const(512)
_MAN_DISP = const(608)
_MAN_LEN = const(704)
_HIT = const(3168)  # two sets of a hit and five index bits, then two `self`
_SELF = const(3180)

_TOP = const(24)  # largest exponent of a number
_ALL = const(16777216)  # the gap END: more units than any copy has
_SECTOR = const(4096)


def decode(params: dict, old: "object", patch: "object", new: "object", ram: int, start: int = 0) -> "object":
    """NEW from OLD and a patch; see patch.decode.

    start: bytes of NEW that are there and right, a multiple of the patch's block size (PATCH.md 13); `patch`
    must then have seek(offset) too.
    """
    decoder, cpu, directory, block = _read_head(params, old, patch, new, ram)
    _forget("addresshead")
    decoder.s[3] = bytearray(_SECTOR + 8)
    decoder.page = memoryview(decoder.s[3])
    decoder.window = Window(old, cpu, decoder.segments, decoder.news, decoder.s)
    return decoder.run(directory, block, start)


def _read_head(params: dict, old: "object", patch: "object", new: "object", ram: int) -> tuple:
    from otaspec import addresshead

    gc.collect()  # what the import left: the largest buffers come next
    head = addresshead.Head(params, old, patch, new, ram)
    return Decoder(head, old, patch, new), head.cpu, head.directory, head.block


def _forget(name: str) -> None:
    """A module that was loaded from a file gives its 3 KB back, just before the large buffers are made."""
    if sys.implementation.name == "micropython":
        import otaspec

        del sys.modules["otaspec." + name]
        delattr(otaspec, name)
        gc.collect()


class Decoder:
    """The ops of a patch (PATCH.md 8 to 12)."""

    def __init__(self, head: "object", old: "object", patch: "object", new: "object") -> None:
        self.coder = head.coder
        self.c = head.coder.c
        self.s = head.coder.s
        self.segments = head.segments
        self.news = head.news
        self.old = old.size
        self.new = new
        self.patch = patch
        self.written = 0
        self.sum = 0xEF
        self.end = new.size
        self.sha = None
        if head.elide:
            self.end -= 33
            self.sha = hashlib.sha256()

    def run(self, directory: bytes, block: int, start: int) -> "object":
        """Yields the bytes of NEW written so far, after each sector."""
        if not block:
            yield from self._block(0, self.end)
        else:
            self._resume(directory, block, start)
            for q in range(start, self.end, 1 << block):
                self.coder.begin(_size(directory, q >> block))
                yield from self._block(q, min(self.end, q + (1 << block)))
        yield from self._finish()

    def _resume(self, directory: bytes, block: int, start: int) -> None:
        """Goes on at the block of `start`; what is written already is read back for the sums."""
        if start & (1 << block) - 1 or start > self.end:
            refuse("no block starts at %d" % start)
        at = 4 + len(directory) + (directory[0] | directory[1] << 8)
        for k in range(start >> block):
            at += _size(directory, k)
        if start:
            self.patch.seek(at)
        while self.written < start:
            if self.sha:
                self.new.readinto(self.written, self.page[:_SECTOR])
                self._sums(_SECTOR)
            self.written += _SECTOR

    def _block(self, q: int, end: int) -> "object":
        """The ops of one block of NEW, from q to end."""
        c = self.c
        coder = self.coder
        coder.fresh()
        self.recent = [0, 0, 0, 0]
        self.first = True
        self.last = 0  # d of the last copy from OLD
        self.kind = 5  # class of the last gap
        self.before = 0  # byte before the page
        for k in range(_RG0, _RG0 + 27):
            c[k] = 0
        while q < end:
            literals = n = coder.number(_LIT, _MAN_LEN, _TOP)
            if n > end - q:
                refuse("literals")
            while n:
                m = min(n, _SECTOR - c[_O])
                self._literals(m, q)
                n -= m
                q += m
                if c[_O] >= _SECTOR:
                    yield self._flush()
            if q == end:
                break
            n = coder.number(_COPY, _MAN_LEN, _TOP)
            if not 0 < n <= end - q:
                refuse("length")
            source = q + self._displacement(q, literals)
            c[_REM] = n
            if source < self.old:
                yield from self._copy_old(q, source)
            else:
                yield from self._copy_new(q, source - self.old)
            q += n
            if c[_O] >= _SECTOR:
                yield self._flush()
        coder.end()

    def _literals(self, n: int, q: int) -> None:
        o = self.c[_O]
        if self.s[12]:
            _hot.mixed(self.s, n, q, self.page[o - 1] if o else self.before)
        else:
            _hot.literals(self.s, n, q)

    # Where a copy comes from.

    def _displacement(self, q: int, literals: int) -> int:
        coder = self.coder
        recent = self.recent
        x = 1 if literals else 0
        model = _HIT + 6 * x
        if coder.bit(model):
            found = self._candidates(q, literals)
            model += 1
            j = 0
            while j < 5 and j + 1 < len(found) and coder.bit(model + j):
                j += 1
            if not found:
                refuse("candidates")
            d = found[j]
        elif coder.bit(_SELF + x):
            d = self.old - 1 - coder.number(_DIST, _MAN_LEN, _TOP)
        else:
            d = self.last + signed(coder.number(_DISP, _MAN_DISP, _TOP))
        if q + d < self.old:
            self.last = d
        if d in recent:
            recent.remove(d)
        else:
            recent.pop()
        recent.insert(0, d)
        self.first = False
        return d

    def _candidates(self, q: int, literals: int) -> list:
        recent = self.recent
        found = []
        p = q - literals + recent[0]
        old = segment(self.segments, p)
        new = segment(self.news, q)
        if old and new:
            shift = new[0] - new[2] - old[0] + old[2]
            moves = self.s[8]
            # the interval of p's address, and the next two
            k = _hot.above(self.s, p - old[0] + old[2])
            found.append(-shift - (moves[k - 1] if k else 0))
            for move in moves[k : k + 2]:
                found.append(-shift - move)
        if literals:
            found.insert(0, recent[0])
        found += recent
        return [
            d
            for k, d in enumerate(found)
            if d not in found[:k] and (d != recent[0] or literals or self.first)
        ]

    # Copies.

    def _gap(self, table: int) -> int:
        """Units that equal their prediction; table: 0 data, 6 code."""
        n = _hot.eg(self.s, (table + self.kind) << 5, _MAN_GAP, _TOP)
        if n < 0:
            if n != -31:
                refuse("gap")
            n = _ALL
        self.kind = 0 if n < 1 else 1 if n < 3 else 2 if n < 10 else 3 if n < 40 else 4 if n < 200 else 5
        return n

    def _copy_old(self, q: int, p: int) -> "object":
        c = self.c
        window = self.window
        if p < 0 or p + c[_REM] > self.old:
            refuse("source")
        self._range(p, q)
        p -= q
        c[_STOP] = 0
        c[_GAP] = 0
        unit = True  # the units at hand are one, with a residual; else a gap
        while c[_REM]:
            if c[_O] >= _SECTOR:
                yield self._flush()
            if c[_I] >= c[_STOP]:
                q = self.written + c[_O]
                window.at(p + q, q)
            if not c[_GAP]:
                n = self._gap(6 if window.code else 0) if unit else 0
                unit = not n
                c[_GAP] = n or 1
            window.copy(self.page)
            if unit and not c[_GAP]:
                _hot.residual(self.s)

    def _range(self, p: int, q: int) -> None:
        """Enters the copy into the list that local references look at (PATCH.md 7)."""
        c = self.c
        old = segment(self.segments, p)
        new = segment(self.news, q)
        c[_RG] = k = (c[_RG] + 1) % 9
        k = _RG0 + 3 * k
        c[k + 1] = 0
        if old and new:
            c[k] = old[2] + p - old[0]
            c[k + 1] = c[_REM]
            c[k + 2] = new[2] + q - new[0] - c[k]

    def _copy_new(self, q: int, p: int) -> "object":
        c = self.c
        if p > q - 4:
            refuse("source")
        rest = c[_REM]
        while rest:
            n = self._gap(0)
            if n:
                n = min(rest, 4 - (q & 3) + 4 * (n - 1))
            unit = min(rest - n, 4 - (q + n & 3))
            n += unit
            rest -= n
            while n:
                if c[_O] >= _SECTOR:
                    yield self._flush()
                m = self._again(p, min(n, _SECTOR - c[_O]))
                n -= m
                q += m
                p += m
            if unit:
                c[_UT] = 15
                c[_UM] = unit
                _hot.residual(self.s)

    def _again(self, p: int, n: int) -> int:
        """Up to n bytes of NEW from position p into the page; how many."""
        o = self.c[_O]
        if p < self.written:
            n = min(n, self.written - p)
            self.new.readinto(p, self.page[o : o + n])
        else:
            _hot.repeat(self.page, p - self.written, o, n)
        self.c[_O] = o + n
        return n

    # The page.

    def _sums(self, n: int) -> None:
        """Checksum and hash go on over the first n bytes of the page."""
        at = self.written
        for p, end, _ in self.news:
            self.sum ^= _hot.xor(self.page, max(p - at, 0), min(end - at, n))
        self.sha.update(self.page[:n])

    def _flush(self) -> int:
        """A sector to NEW; bytes written so far."""
        if self.sha:
            self._sums(_SECTOR)
        return self._write(_SECTOR)

    def _write(self, n: int) -> int:
        c = self.c
        self.new.write(self.page[:n])
        self.written += n
        self.before = self.page[n - 1]
        c[_O] -= n
        _hot.repeat(self.page, n, 0, c[_O])
        return self.written

    def _finish(self) -> "object":
        """What is in the page, then the 33 bytes of ELIDE (PATCH.md 12)."""
        page = self.page
        o = self.c[_O]
        if self.sha:
            self._sums(o)
            tail = bytes((self.sum,))
            self.sha.update(tail)
            tail += self.sha.digest()
            n = min(_SECTOR - o, 33)
            page[o : o + n] = tail[:n]
            o += n
            self.c[_O] = o
            if n < 33:
                yield self._write(_SECTOR)
                o = 33 - n
                page[:o] = tail[n:]
        if o:
            yield self._write(o)


def _size(directory: bytes, k: int) -> int:
    """Bytes of the section of block k."""
    k = 2 + 3 * k
    return directory[k] | directory[k + 1] << 8 | directory[k + 2] << 16
