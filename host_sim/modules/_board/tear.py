"""Operations caught in the middle by a power cut, in the ways that NOR flash is known to show.

prefix: the first words only (in order); subset: some words; bits: some of the bits that had to
change; poison: noise where bits had to change and where they had not; metastable: some bits, a few
of which read differently each time until the cell is programmed or erased again.
"""

from _board import layout


class Dice:
    """A small generator of our own: the firmware's `random` must not see that a fault was planned."""

    def __init__(self, seed: int) -> None:
        self._state = (seed * 2654435761 + 0x9E3779B9) & 0x7FFFFFFF

    def below(self, n: int) -> int:
        """0 .. n - 1, n <= 65536."""
        self._state = (self._state * 1103515245 + 12345) & 0x7FFFFFFF
        return (self._state >> 12) % n

    def byte(self) -> int:
        return self.below(256)


def program(nor, at: int, page, kind: int, gate) -> None:
    """Applies a part of the page program. Bits fall only, except where the sector is poisoned."""
    _apply(nor.window(at, len(page)), page, at, kind, gate, nor.unit)


def erase(nor, at: int, kind: int, gate) -> None:
    """Applies a part of the sector erase. Bits rise only, except where the sector is poisoned."""
    _apply(nor.window(at, layout.SECTOR), None, at, kind, gate, nor.unit)


def _apply(cells, page, at: int, kind: int, gate, unit: int) -> None:
    dice = Dice(gate.seed())
    word = max(4, unit)
    limit = dice.below(len(cells) // word + 1) * word  # prefix: words below it are done
    for start in range(0, len(cells), word):
        whole = start < limit if kind == layout.CUT_PREFIX else kind == layout.CUT_SUBSET and dice.below(2)
        if kind in (layout.CUT_PREFIX, layout.CUT_SUBSET) and not whole:
            continue
        for i in range(start, min(start + word, len(cells))):
            old = cells[i]
            new = 0xFF if page is None else old & page[i]
            if kind == layout.CUT_POISON:
                cells[i] = dice.byte()
            elif whole:
                cells[i] = new
            else:
                cells[i] = old ^ ((old ^ new) & dice.byte())
                if kind == layout.CUT_METASTABLE and old != new and not dice.below(4):
                    gate.unsettle(at + i, (old ^ new) & dice.byte())
