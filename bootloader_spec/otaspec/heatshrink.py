"""The heatshrink stream: LZSS in a few hundred bytes of code (PATCH.md part B, section 1)."""

from array import array

from . import _hot_bsdiff as hot
from .errors import error

_PATCH_INVALID = 112
_PATCH_NEEDS_MORE_RAM = 113
_CODEC_UNKNOWN = 114

VERSION = 1
MAX_WINDOW = 14
SECTOR = 4096
_SOURCE = 256  # bytes of the patch held at once


def settings(params: dict, ram: int, needed: object) -> tuple:
    """(window bits, lookahead bits) of codecs 1 and 2.

    params: {1: format version, 2: window bits 4..14, 3: lookahead bits 3..window bits - 1}.
    needed(window bits): bytes of the decoder. CODEC_UNKNOWN, PATCH_INVALID or PATCH_NEEDS_MORE_RAM.
    """
    if sorted(params) != [1, 2, 3] or params[1] != VERSION:
        raise error(_CODEC_UNKNOWN, "parameters")
    window, lookahead = params[2], params[3]
    if not 3 <= lookahead < window <= MAX_WINDOW:
        raise error(_PATCH_INVALID, "window %d, lookahead %d" % (window, lookahead))
    if needed(window) > ram:
        raise error(_PATCH_NEEDS_MORE_RAM, "%d of %d" % (needed(window), ram))
    return window, lookahead


class Stream:
    """What a patch unpacks to, read in order. `patch.readinto(buf)` returns 0 at its end."""

    def __init__(self, patch: object, window: int, lookahead: int) -> None:
        self.patch = patch
        self.source = bytearray(_SOURCE + hot.TOKEN)
        self.filled = 0
        self.ended = False
        self.window = bytearray(1 << window)
        self.state = array("i", [0] * hot.INFLATE)
        self.state[hot.WINDOW] = window
        self.state[hot.LOOKAHEAD] = lookahead

    def readinto(self, out: bytearray, start: int, end: int) -> int:
        """Unpacks into out[start:end]; the place it got to, below `end` only where the stream ends."""
        state = self.state
        state[hot.AT] = start
        state[hot.END] = end
        while True:
            hot.inflate(state, self.source, self.window, out)
            if self.ended and state[hot.NEXT] > self.filled:
                raise error(_PATCH_INVALID, "truncated")
            if self.ended or state[hot.AT] == end:
                return state[hot.AT]
            self._refill()

    def _refill(self) -> None:
        view = memoryview(self.source)
        kept = self.filled - self.state[hot.NEXT]
        view[:kept] = bytes(view[self.state[hot.NEXT] : self.filled])
        self.state[hot.NEXT] = 0
        n = self.patch.readinto(view[kept:_SOURCE])
        self.filled = kept + n
        if n:
            self.state[hot.STOP] = max(self.filled - hot.TOKEN + 1, 0)
        else:
            # Zeros behind the end let the last token be read like any other; fewer than 8 bits stay.
            self.ended = True
            self.state[hot.STOP] = self.filled
            view[self.filled : self.filled + hot.TOKEN] = bytes(hot.TOKEN)

    def finish(self) -> None:
        """PATCH_INVALID unless the stream ends here, with zeros as padding."""
        more = self.readinto(bytearray(1), 0, 1)
        if more or self.state[hot.LEFT] or self.state[hot.BITS]:
            raise error(_PATCH_INVALID, "bytes left over")
