"""Codec 2: bsdiff's cover, unchanged bytes folded, under heatshrink (PATCH.md part B, section 3)."""

from array import array

from . import _hot_bsdiff as hot
from . import heatshrink
from .errors import error
from .heatshrink import SECTOR

_PATCH_INVALID = 112
_STAGE = 256


def ram_needed(window: int) -> int:
    """Bytes of data for the decoder with a window of `window` bits: window, sector, buffers, objects."""
    return (1 << window) + SECTOR + 1536


def decode(params: dict, old: object, patch: object, new: object, ram: int) -> object:
    """Yields the bytes written so far after each sector; PatchError (112, 113) on anything wrong."""
    fields = _Fields(heatshrink.Stream(patch, *heatshrink.settings(params, ram, ram_needed)))
    page = bytearray(SECTOR)
    view = memoryview(page)
    at = done = place = 0
    while done + at < new.size:
        seek, diff, extra = fields.record()
        place += seek
        if not 0 < diff + extra <= new.size - done - at:
            _wrong("a record of %d + %d" % (diff, extra))
        if not 0 <= place <= old.size - diff:
            _wrong("outside of the old image")
        left = diff + extra
        while left:
            if left > extra:
                n = min(left - extra, SECTOR - at)
                old.readinto(place, view[at : at + n])
                fields.add(page, at, at + n)
                place += n
            else:
                n = min(left, SECTOR - at)
                fields.copy(page, at, at + n)
            at += n
            left -= n
            if left == extra:
                fields.end_pairs()
            if at == SECTOR:
                new.write(page)
                done += at
                at = 0
                yield done
    if at:
        new.write(view[:at])
        yield done + at
    fields.finish()


class _Fields:
    """The unpacked stream, field by field."""

    def __init__(self, stream: object) -> None:
        self.stream = stream
        self.stage = bytearray(_STAGE)
        self.state = array("i", [0] * hot.ADD)

    def record(self) -> tuple:
        """(signed step in the old image, length of differences, length of new bytes)."""
        seek, diff, extra = self._number(), self._number(), self._number()
        return -(seek + 1 >> 1) if seek & 1 else seek >> 1, diff, extra

    def add(self, page: bytearray, start: int, end: int) -> None:
        """Adds the differences of page[start:end]."""
        state = self.state
        state[hot.PAGE] = start
        state[hot.PAGE_END] = end
        while True:
            hot.add(state, self.stage, page)
            if state[hot.STEP] == hot.WRONG:
                _wrong("a difference of 0, or a number too large")
            if state[hot.PAGE] == end:
                return
            self._more()

    def end_pairs(self) -> None:
        """The differences of a record end with a byte or with the last unchanged one."""
        if self.state[hot.GAP]:
            _wrong("more unchanged bytes than differences")
        self.state[hot.STEP] = hot.NUMBER_NEXT

    def copy(self, page: bytearray, start: int, end: int) -> None:
        """Fills page[start:end] with new bytes."""
        state = self.state
        while start < end:
            if state[hot.READ] == state[hot.READ_END]:
                self._more()
            n = min(end - start, state[hot.READ_END] - state[hot.READ])
            page[start : start + n] = memoryview(self.stage)[state[hot.READ] : state[hot.READ] + n]
            state[hot.READ] += n
            start += n

    def finish(self) -> None:
        if self.state[hot.READ] != self.state[hot.READ_END]:
            _wrong("bytes left over")
        self.stream.finish()

    def _more(self) -> None:
        self.state[hot.READ] = 0
        self.state[hot.READ_END] = self.stream.readinto(self.stage, 0, _STAGE)
        if not self.state[hot.READ_END]:
            _wrong("truncated")

    def _number(self) -> int:
        """7 bits a byte, least significant first, at most 4 bytes."""
        state = self.state
        value = 0
        for shift in (0, 7, 14, 21):
            if state[hot.READ] == state[hot.READ_END]:
                self._more()
            byte = self.stage[state[hot.READ]]
            state[hot.READ] += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        _wrong("a number of more than 4 bytes")


def _wrong(why: str) -> None:
    raise error(_PATCH_INVALID, why)
