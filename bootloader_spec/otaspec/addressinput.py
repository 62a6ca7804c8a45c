"""What the address-aware decoder reads: the patch, section by section, and OLD, through a window.

PATCH.md 3, 4 (range coder and models, over _hot.py), 6 and 10 (blocks of OLD and their types).
"""

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


def signed(n: int) -> int:
    """SZ (PATCH.md 4)."""
    return -((n + 1) >> 1) if n & 1 else n >> 1


def segment(segments: list, p: int) -> tuple:
    """The segment that holds offset p, or None."""
    for found in segments:
        if found[0] <= p < found[1]:
            return found
    return None


class Input:
    """Base of the decoder.

    s: the buffers that the hot loops share, in the order of _hot.py; c: its state words. segments: of OLD,
    (offset, end offset, address, executable), news: of NEW, (offset, end offset, address), both set by
    addresshead.py. code: 1 if the window is executable, 0 data, 2 in no segment.
    """

    def __init__(self, old: object, patch: object) -> None:
        self.old = old
        self.patch = patch

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

    def fresh(self) -> None:
        """All models as at the start."""
        s = self.s
        _hot.fill(s[1], len(s[1]), _FRESH)
        _hot.fill32(s[6], 64, 0)
        if s[12]:
            _hot.fill32(s[12], 16, 19660)

    def number(self, tree: int, man: int, top: int) -> int:
        """EG number whose exponent is at most `top`."""
        n = _hot.eg(self.s, tree, man, top)
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

            s += [bytearray(270), array("H", range(32))]
        elif cpu == _THUMB:
            from otaspec import _hot_thumb as hot
        elif cpu:
            from otaspec import _hot_xtensa as hot

            s += [self.pair, bytearray(2), array("i", range(64))]
            _hot.fill32(s[15], 64, -1)
        else:
            return
        self.hot = hot

    def pair(self, p: int) -> None:
        """Two bytes of OLD, for a test of an address outside the window."""
        self.old.readinto(p, self.s[14])

    def at(self, p: int, q: int) -> None:
        """Position p of OLD is the next to be copied to position q of NEW."""
        c = self.c
        found = segment(self.segments, p)
        self.load(p, found)
        new = segment(self.news, q)
        end = 1 << 24
        c[_VALID] = 0
        if new:
            end = new[1]
            c[_VALID] = 1
            if found:
                c[_DD] = new[2] - new[0] + q - (found[2] + p - found[0])
        else:
            for new in self.news:
                if q < new[0] < end:
                    end = new[0]
        c[_STOP] = min(end - q + c[_I], c[_IE])

    def load(self, p: int, found: tuple) -> None:
        """The block of position p, read and parsed if it is not the one at hand."""
        c = self.c
        warm = 0
        self.code = 2
        start = p
        end = self.old.size
        if found:
            self.code = found[3]
            end = found[1]
            start = found[0] + ((p - found[0]) & -_BLOCK)
            if self.code and start > found[0]:
                warm = _WARM
            c[_SL] = end - start + warm
        else:
            for new in self.segments:
                if p < new[0] < end:
                    end = new[0]
        c[_I] = warm + p - start
        if start == self.start:
            return
        self.start = start
        c[_IE] = warm + min(end - start, _BLOCK)
        c[_WN] = n = min(len(self.view), self.old.size - start + warm)
        self.old.readinto(start - warm, self.view[:n])
        while n < len(self.view):
            self.view[n] = 0
            n += 1
        c[_OUTSIDE] = self.code & 2
        if found:
            c[_SA] = found[2]
            c[_PC0] = found[2] + start - warm - found[0]
            if self.code:
                self.hot.parse(self.s)
            else:
                _hot.parse_data(self.s)
