"""The sections of an address-aware patch: range coder and models (PATCH.md 3, 4), over _hot.py."""

from array import array

from otaspec import _hot

try:
    from micropython import const
except ImportError:
    from otaspec.hotstrip import const

# State words, as in _hot.py.
_RANGE = const(0)
_CODE = const(1)
_K = const(2)

_WORDS = const(54)
_PATCH_BYTES = const(256)
_MODELS = const(3192)
_MIX_MODELS = const(1024)
_FRESH = const(0x8000)  # p = 2048, n = 0


def refuse(evidence: str, code: int = 112) -> None:
    """Raises PatchError. The table of errors is loaded only here: a decoder that works does without it."""
    from otaspec.errors import PatchError

    raise PatchError(code, evidence)


def signed(u: int) -> int:
    """SZ (PATCH.md 4)."""
    return -((u + 1) >> 1) if u & 1 else u >> 1


class Coder:
    """Bits and numbers out of `patch`.

    s: the buffers that the hot loops share, in the order of _hot.py; c: its state words.
    """

    def __init__(self, patch: "object") -> None:
        self.patch = patch

    def allocate(self, mix: int) -> None:
        self.c = array("i", range(_WORDS))
        _hot.fill32(self.c, _WORDS, 0)
        self.s = [None] * 13
        self.s[0] = self.c
        self.s[1] = array("H", range(_MODELS + _MIX_MODELS if mix else _MODELS))
        self.s[2] = bytearray(_PATCH_BYTES)
        self.s[6] = array("i", range(64))
        self.s[11] = self.refill
        if mix:
            self.s[12] = array("i", range(272))

    def plain(self, buf: bytearray) -> None:
        """The next bytes of the patch as they stand."""
        if self._fill(buf, 0, len(buf)) < len(buf):
            refuse("the patch ends in its header")

    def _fill(self, buf: bytearray, at: int, end: int) -> int:
        view = memoryview(buf)
        while at < end:
            n = self.patch.readinto(view[at:end])
            if not n:
                break
            at += n
        return at

    def begin(self, size: int) -> None:
        """Starts the section of the next `size` bytes."""
        c = self.c
        b = self.s[2]
        self.size = size
        self.left = size
        self.taken = -_PATCH_BYTES
        c[_K] = _PATCH_BYTES
        self.refill()
        code = b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3]
        if code >= 0x3FFFFFFF:
            refuse("start of a section")
        c[_RANGE] = 0x3FFFFFFF
        c[_CODE] = code
        c[_K] = 4

    def fresh(self) -> None:
        """All models as at the start."""
        models = self.s[1]
        _hot.fill(models, len(models), _FRESH)
        _hot.fill32(self.s[6], 64, 0)
        if self.s[12]:
            from otaspec import addressmix

            addressmix.fill(self.s[12])

    def end(self) -> None:
        if not self.size <= self.taken + self.c[_K] <= self.size + 8:
            refuse("a section has bytes left, or too few")

    def refill(self) -> None:
        """Tops up the bytes that the hot loops read; zeros beyond the section."""
        b = self.s[2]
        k = self.c[_K]
        self.taken += k
        if self.taken > self.size + 8:
            refuse("a section ends too early")
        at = _PATCH_BYTES - k
        _hot.repeat(b, k, 0, at)
        end = min(_PATCH_BYTES, at + self.left)
        self.left -= end - at
        if self._fill(b, at, end) < end:
            refuse("the patch is cut")
        while end < _PATCH_BYTES:
            b[end] = 0
            end += 1
        self.c[_K] = 0

    def bit(self, model: int) -> int:
        return _hot.bit(self.s, model)

    def number(self, tree: int, mantissa: int, top: int) -> int:
        """EG number whose exponent is at most `top`."""
        v = _hot.eg(self.s, tree, mantissa, top)
        if v < 0:
            refuse("number out of range")
        return v
