"""NOR flash in a mapped file.

Rules: a program is an AND within one 256-byte page, an erase sets one 4 KB sector to FF, nothing is
atomic above a bit. A program that would need a 0 to become a 1 is refused, as MCUboot's simulator
does: on a chip it would silently write something else. Every page program and every sector erase
is one operation; the gate counts it and may cut the power there.
"""

from _board import _hot, layout, libc, tear


class FlashError(Exception):
    """The flash was used in a way that a chip would not forgive."""


class Nor:
    """`size` bytes of flash at `address`. `gate` counts, cuts and knows the faults (class Gate)."""

    def __init__(self, address: int, size: int, gate, unit: int = 1) -> None:
        self.size = size
        self.unit = unit
        self._gate = gate
        self._address = address
        self._bytes = memoryview(libc.view(address, size))

    def read_into(self, at: int, out) -> None:
        """Fills `out` (a writable buffer) with the bytes from `at` on."""
        out = memoryview(out)
        out[:] = self._bytes[at : at + len(out)]
        if self._gate.undecided():
            self._gate.disturb(at, out)

    def window(self, at: int, size: int):
        """The flash itself, as a chip maps it: take no copy. Undecided cells are not disturbed here."""
        return self._bytes[at : at + size]

    def _refuse(self, why: str) -> None:
        self._gate.violation()
        raise FlashError(why)

    def program(self, at: int, data) -> None:
        """Programs `data` page by page; each page is an operation."""
        if at % self.unit or len(data) % self.unit:
            self._refuse("program of %d bytes at 0x%x: write unit is %d" % (len(data), at, self.unit))
        if at < 0 or at + len(data) > self.size:
            self._refuse("program beyond the chip: 0x%x" % at)
        data = memoryview(data)
        pages = (at + len(data) - 1) // layout.PAGE - at // layout.PAGE + 1
        cells = self._bytes[at : at + len(data)]
        if self._gate.calm(pages) and not _hot.needs_erase(cells, data, len(data)):
            self._program(at, cells, data, pages)
            return
        done = 0
        while done < len(data):
            size = min(layout.PAGE - (at + done) % layout.PAGE, len(data) - done)
            self._program_page(at + done, data[done : done + size])
            done += size

    def _program_page(self, at: int, page) -> None:
        old = self._bytes[at : at + len(page)]
        if _hot.needs_erase(old, page, len(page)):
            self._refuse("program at 0x%x needs a 0 to become a 1: erase first" % at)
        cut = self._gate.begin(layout.OP_PROGRAM, at)
        if cut and cut != layout.CUT_AFTER:
            if cut != layout.CUT_BEFORE:
                tear.program(self, at, page, cut, self._gate)
            self._gate.cut()
        self._program(at, old, page, 1)
        if cut:
            self._gate.cut()

    def _program(self, at: int, cells, data, pages: int) -> None:
        _hot.program(cells, data, len(data))
        if self._gate.undecided():
            self._gate.settle(at, len(data), cells)
        self._gate.programmed(pages)

    def erase(self, at: int) -> None:
        """Erases the sector at `at`, a multiple of 4,096: one operation."""
        if at % layout.SECTOR or not 0 <= at < self.size:
            self._refuse("erase at 0x%x: no sector starts there" % at)
        cut = self._gate.begin(layout.OP_ERASE, at)
        if cut and cut != layout.CUT_AFTER:
            if cut != layout.CUT_BEFORE:
                tear.erase(self, at, cut, self._gate)
            self._gate.cut()
        libc.fill(self._address + at, 0xFF, layout.SECTOR)
        if self._gate.undecided():
            self._gate.settle(at, layout.SECTOR, None)
        self._gate.erased(at // layout.SECTOR, self._bytes[at : at + layout.SECTOR])
        if cut:
            self._gate.cut()
