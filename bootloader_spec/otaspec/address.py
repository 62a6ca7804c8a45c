"""The address-aware decoder (codec 3): PATCH.md, streaming.

It reads the patch in order, OLD in windows of about 1 KB, and writes NEW in sectors of 4 KB. What takes
time is in _hot.py and in the module of the CPU; here is what happens once per op or per gap.
"""

import gc
import hashlib
import sys

from otaspec import _hot
from otaspec.addressinput import Input, behind, collect, const, refuse, segment, signed

# State words, as in _hot.py.
_I = const(3)
_IE = const(4)
_O = const(6)
_REM = const(7)
_GAP = const(8)
_UT = const(12)
_UM = const(13)
_STOP = const(18)
_RG = const(23)
_RG0 = const(27)
_LC = const(54)
_LJ = const(55)
_LN = const(56)
_LK = const(57)

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


def decode(params: dict, old: object, patch: object, new: object, ram: int, start: int = 0) -> object:
    """NEW from OLD and a patch; see patch.decode.

    start: bytes of NEW that are there and right, a multiple of the patch's block size (PATCH.md 13); `patch`
    must then have seek(offset) too. What the transport may fetch in between, and how much is read at a time:
    PATCH.md 13.
    """
    d = Decoder(old, patch)
    head = _head(d, params, new.size, ram)
    _forget()
    d.open(head[0])
    return d.run(new, head, start)


def _head(d: "Decoder", params: dict, size: int, ram: int) -> tuple:
    from otaspec import addresshead

    collect()  # what the import left: the largest buffers come next
    return addresshead.head(d, params, size, ram)


def _forget() -> None:
    """The head's modules, if loaded from files, give 4 KB back, just before the last buffers are made."""
    if hasattr(gc, "mem_free"):  # MicroPython
        import otaspec

        for name in ("addresshead", "addressraw"):
            if "otaspec." + name in sys.modules:
                del sys.modules["otaspec." + name]
                delattr(otaspec, name)
        collect()


class Decoder(Input):
    """The ops of a patch (PATCH.md 8 to 12)."""

    def run(self, new: object, head: tuple, start: int) -> object:
        """Yields the bytes of NEW written so far, after each sector. head: see addresshead.head."""
        _, elide, block, sizes = head
        self.page = memoryview(self.s[3])
        self.new = new
        self.written = 0
        self.sum = 0xEF
        self.sha = None
        end = new.size
        if elide:
            end -= 33
            self.sha = hashlib.sha256()
        if not block:
            yield from self.block(0, end)
        else:
            if start & (1 << block) - 1 or start > end:
                refuse(13)
            if start:
                yield from self.seek(start, 6 + 3 * len(sizes) + self.size + sum(sizes[: start >> block]))
            for q in range(start, end, 1 << block):
                self.begin(sizes[q >> block])
                yield from self.block(q, min(end, q + (1 << block)))
        yield from self.finish()

    def seek(self, start: int, n: int) -> object:
        """Goes on with the section at n of the patch; what is written already is read back for the sums."""
        self.patch.seek(n)
        yield 0  # the section's first bytes may have to be fetched
        while self.written < start:
            if self.sha:
                self.new.readinto(self.written, self.page[:_SECTOR])
                self.update(_SECTOR)
            self.written += _SECTOR
            yield self.written

    def block(self, q: int, end: int) -> object:
        """The ops of one block of NEW, from q to end."""
        c = self.c
        self.clear()
        self.recent = [0, 0, 0, 0]
        self.first = True
        self.last = 0  # d of the last copy from OLD
        self.kind = 5  # class of the last gap
        self.before = 0  # byte before the page
        for k in range(_RG0, _RG0 + 27):
            c[k] = 0
        while q < end:
            literals = n = self.number(_LIT, _MAN_LEN, _TOP)
            if n > end - q:
                refuse(8)
            c[_LJ] = c[_LN] = c[_LK] = 0
            while n:
                m = min(n, _SECTOR - c[_O])
                self.literals(m, q)
                n -= m
                q += m
                if c[_O] >= _SECTOR:
                    yield self.flush(_SECTOR)
            if q == end:
                break
            n = self.number(_COPY, _MAN_LEN, _TOP)
            if not 0 < n <= end - q:
                refuse(8)
            p = q + self.index(q, literals)
            c[_REM] = n
            if p < self.old.size:
                yield from self._copy_old(q, p)
            else:
                yield from self._copy_new(q, p - self.old.size)
            q += n
            if c[_O] >= _SECTOR:
                yield self.flush(_SECTOR)
        self.close()

    def literals(self, n: int, q: int) -> None:
        c = self.c
        table = self.new_table
        end = q + n
        while q < end:
            k = segment(table, q)
            if k < 0:
                n = behind(table, q, end)
                c[_LC] = 0
            else:
                n = min(end, q + table[k + 1] - table[k] - (q - table[k + 3]))
                c[_LC] = table[k + 4]
            if not c[_LC]:
                c[_LJ] = c[_LN] = c[_LK] = 0
            o = c[_O]
            if self.s[12]:
                self.mixed(self.s, n - q, q, self.page[o - 1] if o else self.before)
            else:
                _hot.literals(self.s, n - q, q)
            q = n

    # Where a copy comes from.

    def index(self, q: int, literals: int) -> int:
        """d of the copy to q."""
        s = self.s
        recent = self.recent
        x = 1 if literals else 0
        k = _HIT + 6 * x
        if _hot.bit(s, k):
            found = self._candidates(q, literals)
            n = 0
            while n < 5 and n + 1 < len(found) and _hot.bit(s, k + 1 + n):
                n += 1
            if not found:
                refuse(8)
            d = found[n]
        elif _hot.bit(s, _SELF + x):
            d = self.old.size - 1 - self.number(_DIST, _MAN_LEN, _TOP)
        else:
            d = self.last + signed(self.number(_DISP, _MAN_DISP, _TOP))
        if q + d < self.old.size:
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
        p = q - literals + recent[0]
        old = self.old_table
        new = self.new_table
        k = segment(old, p)
        n = segment(new, q)
        wanted = []
        if literals:
            wanted.append(recent[0])
        if k >= 0 and n >= 0:
            m = new[n + 3] - new[n] - old[k + 3] + old[k]
            moves = self.s[8]
            # the interval of p's address, and the next two
            k = _hot.above(self.s, p - old[k + 3] + old[k])
            wanted.append(-m - (moves[k - 1] if k else 0))
            for move in moves[k : k + 2]:
                wanted.append(-m - move)
        found = []
        for d in wanted + recent:
            if d not in found and (d != recent[0] or literals or self.first):
                found.append(d)
        return found

    # Copies.

    def _gap(self, tree: int) -> int:
        """Units that equal their prediction; tree: 0 data, 6 code."""
        n = _hot.eg(self.s, (tree + self.kind) << 5, _MAN_GAP, _TOP)
        if n < 0:
            if n != -31:
                refuse(10)
            n = _ALL
        self.kind = 0 if n < 1 else 1 if n < 3 else 2 if n < 10 else 3 if n < 40 else 4 if n < 200 else 5
        return n

    def _copy_old(self, q: int, p: int) -> object:
        c = self.c
        page = self.page
        if p < 0 or p + c[_REM] > self.old.size:
            refuse(8)
        self._range(p, q)
        p -= q
        c[_STOP] = 0
        c[_GAP] = 0
        unit = True  # the units at hand are one, with a residual; else a gap
        while c[_REM]:
            if c[_O] >= _SECTOR:
                yield self.flush(_SECTOR)
            if c[_I] >= c[_STOP]:
                q = self.written + c[_O]
                self.at(p + q, q)
            if not c[_GAP]:
                n = self._gap(6 if self.code else 0) if unit else 0
                unit = not n
                c[_GAP] = n or 1
            # units, as many as gap, copy, block and page allow; then the references among them
            n = c[_O]
            q = c[_I]
            end = n + min(c[_IE] + 3 - q, c[_REM], len(page) - n, c[_GAP] << 2)
            page[n:end] = self.view[q : q + end - n]
            if self.code == 1:
                self.hot.walk(0, 0, 0, self.s)
            else:
                _hot.walk_data(self.s)
            if unit and not c[_GAP]:
                _hot.residual(self.s)
                if c[_UT] == 4:
                    self.hot.learn(self.s)

    def _range(self, p: int, q: int) -> None:
        """Enters the copy into the list that local references look at (PATCH.md 7)."""
        c = self.c
        old = self.old_table
        new = self.new_table
        m = segment(old, p)
        n = segment(new, q)
        c[_RG] = k = (c[_RG] + 1) % 9
        k = _RG0 + 3 * k
        c[k + 1] = 0
        if m >= 0 and n >= 0:
            c[k] = old[m] + p - old[m + 3]
            c[k + 1] = c[_REM]
            c[k + 2] = new[n] + q - new[n + 3] - c[k]

    def _copy_new(self, q: int, p: int) -> object:
        c = self.c
        if p > q - 4:
            refuse(8)
        left = c[_REM]
        while left:
            n = self._gap(0)
            if n:
                n = min(left, 4 - (q & 3) + 4 * (n - 1))
            unit = min(left - n, 4 - (q + n & 3))
            n += unit
            left -= n
            while n:
                if c[_O] >= _SECTOR:
                    yield self.flush(_SECTOR)
                m = self.copy(p, min(n, _SECTOR - c[_O]))
                n -= m
                q += m
                p += m
            if unit:
                c[_UT] = 15
                c[_UM] = unit
                _hot.residual(self.s)

    def copy(self, p: int, n: int) -> int:
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

    def update(self, n: int) -> None:
        """Checksum and hash go on over the first n bytes of the page."""
        at = self.written
        table = self.new_table
        for k in range(0, len(table), 5):
            p = table[k + 3] - at
            end = p + table[k + 1] - table[k]
            if p < n and end > 0:
                p = max(p, 0)
                self.sum = _hot.xor(self.sum, p, self.page, min(end, n), _hot.WORD)
        self.sha.update(self.page[:n])

    def flush(self, n: int) -> int:
        """n bytes to NEW; how many are there now."""
        if self.sha:
            self.update(n)
        self.new.write(self.page[:n])
        self.written += n
        self.before = self.page[n - 1]
        self.c[_O] -= n
        _hot.repeat(self.page, n, 0, self.c[_O])
        return self.written

    def finish(self) -> object:
        """What is in the page, then the 33 bytes of ELIDE (PATCH.md 12)."""
        page = self.page
        o = self.c[_O]
        if self.sha:
            self.update(o)
            tail = bytes((self.sum,))
            self.sha.update(tail)
            tail += self.sha.digest()
            self.sha = None
            n = min(_SECTOR - o, 33)
            page[o : o + n] = tail[:n]
            o += n
            self.c[_O] = o
            if n < 33:
                yield self.flush(_SECTOR)
                o = 33 - n
                page[:o] = tail[n:]
        self.c[_O] = o
        if o:
            yield self.flush(o)
