"""OLD as the address-aware decoder sees it: a window that moves, its types, its copies (PATCH.md 6, 10)."""

from array import array

from otaspec import _hot
from otaspec.addresscoder import const

# State words, as in _hot.py.
_I = const(3)
_IE = const(4)
_TB = const(5)
_O = const(6)
_REM = const(7)
_GAP = const(8)
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

_BLOCK = const(1024)
_WARM = const(48)


class Window:
    """A parsed block of OLD, with the bytes before it that let the parse fall into step.

    code: 1 if the block is executable, 0 data, 2 in no segment.
    """

    def __init__(self, old: "object", cpu: int, segments: list, news: list, s: list) -> None:
        self.old = old
        self.segments = segments
        self.news = news
        self.s = s
        self.c = s[0]
        self.start = -1
        s[4] = bytearray(_WARM + _BLOCK + (104 if cpu == _RISCV else 8))
        s[5] = bytearray(_BLOCK + 8)
        self.view = memoryview(s[4])
        if cpu == _RISCV:
            from otaspec import _hot_riscv as hot

            s += [array("i", range(256)), bytearray(256), array("i", range(64)), bytearray(32)]
        elif cpu == _THUMB:
            from otaspec import _hot_thumb as hot
        elif cpu:
            from otaspec import _hot_xtensa as hot

            s += [self.read2, bytearray(2), bytearray(270), array("i", range(128))]
            _hot.fill32(s[16], 128, -1)
        else:
            hot = None
        self.hot = hot

    def read2(self, offset: int) -> None:
        self.old.readinto(offset, self.s[14])

    def at(self, p: int, q: int) -> None:
        """Position p of OLD is the next to be copied to position q of NEW."""
        c = self.c
        found = segment(self.segments, p)
        self._load(p, found)
        end = 1 << 24
        new = segment(self.news, q)
        c[_VALID] = 0
        if new:
            end = new[1]
            c[_VALID] = 1
            if found:
                c[_DD] = new[2] - new[0] + q - (found[2] + p - found[0])
        else:
            end = before(self.news, q, end)
        c[_STOP] = min(end - q + c[_I], c[_IE])

    def _load(self, p: int, found: tuple) -> None:
        c = self.c
        warm = 0
        if found:
            first, last, address, self.code = found
            start = first + ((p - first) & -_BLOCK)
            end = min(start + _BLOCK, last)
            if self.code and start > first:
                warm = _WARM
        else:
            start = p
            end = before(self.segments, p, min(p + _BLOCK, self.old.size))
            self.code = 2
        c[_I] = warm + p - start
        if start == self.start:
            return
        self.start = start
        c[_WN] = n = min(len(self.view), self.old.size - start + warm)
        self.old.readinto(start - warm, self.view[:n])
        while n < len(self.view):
            self.view[n] = 0
            n += 1
        c[_TB] = warm
        c[_IE] = warm + end - start
        c[_OUTSIDE] = self.code
        if found:
            c[_OUTSIDE] = 0
            c[_SA] = address
            c[_SL] = last - start + warm
            c[_PC0] = address + start - warm - first
            if self.code:
                self.hot.parse(self.s)
            else:
                _hot.parse_data(self.s)

    def copy(self, page: memoryview) -> None:
        """Units to the page, as many as gap, copy, block and page allow; references rewritten."""
        c = self.c
        i = c[_I]
        n = c[_O]
        end = n + min(c[_IE] + 3 - i, c[_REM], len(page) - n, c[_GAP] << 2)
        page[n:end] = self.view[i : i + end - n]
        if self.code == 1:
            self.hot.walk(self.s)
        else:
            _hot.walk_data(self.s)


def segment(segments: list, p: int) -> tuple:
    """The segment that holds offset p, or None."""
    for found in segments:
        if found[0] <= p < found[1]:
            return found
    return None


def before(segments: list, p: int, end: int) -> int:
    """end, or the start of the first segment behind offset p if that is less."""
    for found in segments:
        if p < found[0] < end:
            end = found[0]
    return end
