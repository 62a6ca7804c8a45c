"""What the address-aware decoder reads: the patch, section by section, and OLD, through a window.

PATCH.md 3, 4 (range coder and models, over _hot.py), 6 and 10 (blocks of OLD and their types).
"""

import gc
from array import array

from otaspec import _hot
from otaspec._hot import const

# State words, as in _hot.py.
_RANGE = const(0)
_CODE = const(1)
_K = const(2)
_I = const(3)
_IE = const(4)
_PC0 = const(9)
_DD = const(10)
_VALID = const(11)
_STOP = const(18)
_SL = const(19)
_SA = const(20)
_WN = const(22)
_OUTSIDE = const(26)

_RISCV = const(3)
_THUMB = const(4)

_WORDS = const(61)
_PATCH_BYTES = const(128)
_FRESH = const(0x8000)  # p = 2048, n = 0
_BLOCK = const(1024)
_WARM = const(48)


def refuse(n: int, code: int = 112) -> None:
    """Raises PatchError: the patch breaks section n of PATCH.md. 113: it needs n bytes.

    The table of errors is loaded only here: a decoder that works does without it.
    """
    from otaspec.errors import PatchError

    raise PatchError(code, ("%d bytes" if code == 113 else "PATCH.md %d") % n)


def collect() -> None:
    """Litter out: on a board, where the large buffers need room in one piece."""
    if hasattr(gc, "mem_free"):
        gc.collect()


def signed(n: int) -> int:
    """SZ (PATCH.md 4)."""
    return -((n + 1) >> 1) if n & 1 else n >> 1


def segment(table: list, p: int) -> int:
    """Where in the table the segment that holds offset p stands; -1 if there is none."""
    return _hot.segment(table, len(table), p)


def behind(table: list, p: int, end: int) -> int:
    """The start of the first segment behind offset p, or `end` if that is less."""
    for k in range(3, len(table), 5):
        if p < table[k] < end:
            end = table[k]
    return end


class Input:
    """Base of the decoder.

    s: the buffers that the hot loops share, in the order of _hot.py; c: its state words.
    old_table, new_table: segments, 5 words each: address, end, end of the span, offset, executable.
    code: 1 if the window is executable, 0 data, 2 in no segment.
    """

    def __init__(self, old: object, patch: object) -> None:
        self.old = old
        self.patch = patch
        self.s = [None] * 17
        self.c = self.s[0] = array("i", range(_WORDS))
        _hot.fill32(self.c, _WORDS, 0)
        self.s[2] = bytearray(_PATCH_BYTES)
        self.s[6] = array("i", range(64))
        self.s[11] = self.refill
        self.old_table = self.new_table = None
        self.size = self.left = self.taken = 0

    # The patch.

    def fill(self, buf: bytearray, n: int, end: int) -> None:
        """buf[n:end] from the patch."""
        buf = memoryview(buf)
        while n < end:
            m = self.patch.readinto(buf[n:end])
            if not m:
                refuse(3)
            n += m

    def begin(self, size: int) -> None:
        """Starts the section of the next `size` bytes."""
        c = self.c
        self.size = size
        self.left = size
        self.taken = -_PATCH_BYTES
        c[_K] = _PATCH_BYTES
        self.refill()
        b = self.s[2]
        if b[0] > 63 or b[0] == 63 and b[1] == b[2] == b[3] == 255:
            refuse(3)
        c[_RANGE] = 0x3FFFFFFF
        c[_CODE] = b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3]
        c[_K] = 4

    def refill(self) -> None:
        """Tops up the bytes that the hot loops read; zeros beyond the section."""
        b = self.s[2]
        n = self.c[_K]
        self.taken += n
        if self.taken > self.size + 8:
            refuse(3)
        end = _PATCH_BYTES - n
        _hot.repeat(b, n, 0, end)
        n = end
        end = min(_PATCH_BYTES, n + self.left)
        self.left -= end - n
        self.fill(b, n, end)
        while end < _PATCH_BYTES:
            b[end] = 0
            end += 1
        self.c[_K] = 0

    def close(self) -> None:
        """The end of a section: as many bytes as it said."""
        if not self.size <= self.taken + self.c[_K] <= self.size + 8:
            refuse(3)

    def clear(self) -> None:
        """All models as at the start."""
        s = self.s
        _hot.fill(s[1], len(s[1]), _FRESH)
        _hot.fill32(s[6], 64, 0)
        if s[12]:
            _hot.fill32(s[12], 96, 19660)
        if s[16]:
            _hot.fill32(s[16], 64, -1)

    def number(self, tree: int, k: int, n: int) -> int:
        """EG number: tree and mantissa tables, largest exponent."""
        n = _hot.eg(self.s, tree, k, n)
        if n < 0:
            refuse(4)
        return n

    # OLD.

    def open(self, cpu: int) -> None:
        """The window, and the hot loops of the profile and the CPU with what they need."""
        s = self.s
        s[4] = bytearray(_WARM + _BLOCK + (104 if cpu == _RISCV else 8))
        s[5] = bytearray(_WARM + _BLOCK + 8)
        self.view = memoryview(s[4])
        self.start = -1
        self.hot = None
        if s[12]:
            from otaspec._hot_mix import mixed

            self.mixed = mixed
        if cpu == _RISCV:
            from otaspec import _hot_riscv as hot

            s[13] = bytearray(270)
            s[14] = array("H", range(32))
        elif cpu == _THUMB:
            from otaspec import _hot_thumb as hot
        elif cpu:
            from otaspec import _hot_xtensa as hot

            s[13] = self.old.readinto
            s[14] = bytearray(2)
            s[15] = array("i", range(128))
            _hot.fill32(s[15], 128, -1)
            s[16] = array("i", range(64))
        else:
            return
        self.hot = hot

    def at(self, p: int, q: int) -> None:
        """Position p of OLD is the next to be copied to position q of NEW."""
        c = self.c
        old = self.old_table
        new = self.new_table
        k = segment(old, p)
        self.load(p, k)
        n = segment(new, q)
        c[_VALID] = 0
        if n < 0:
            end = behind(new, q, 1 << 24)
        else:
            end = new[n + 3] + new[n + 1] - new[n]
            c[_VALID] = 1
            if k >= 0:
                c[_DD] = new[n] + q - new[n + 3] - (old[k] + p - old[k + 3])
        c[_STOP] = min(end - q + c[_I], c[_IE])

    def load(self, p: int, k: int) -> None:
        """The block of position p, in the segment at k of the table, read and parsed if it is not at hand."""
        c = self.c
        table = self.old_table
        warm = 0
        if k < 0:
            self.code = 2
            start = p
            end = behind(table, p, self.old.size)
        else:
            self.code = table[k + 4]
            start = table[k + 3]
            end = start + table[k + 1] - table[k]
            p -= start
            start += p & -_BLOCK
            if self.code and start > table[k + 3]:
                warm = _WARM
            p += table[k + 3]
        c[_I] = warm + p - start
        if start == self.start:
            return
        self.start = start
        c[_IE] = warm + min(end - start, _BLOCK)
        c[_SL] = end - start + warm
        c[_WN] = n = min(len(self.view), self.old.size - start + warm)
        self.old.readinto(start - warm, self.view[:n])
        while n < len(self.view):
            self.view[n] = 0
            n += 1
        c[_OUTSIDE] = self.code & 2
        if self.code < 2:
            c[_SA] = table[k]
            c[_PC0] = table[k] + start - warm - table[k + 3]
            if self.code:
                if self.s[15]:  # Xtensa: its scan marks words; the others clear as they go
                    _hot.fill32(self.s[5], (_WARM + _BLOCK + 8) >> _hot.WORD, 0)
                self.hot.parse(0, 0, self.s[4], self.s)
            else:
                _hot.parse_data(self.s)
