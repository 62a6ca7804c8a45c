"""Counts flash and NVS operations, cuts the power at the planned one, keeps the faults of the cells."""

import gc

from _board import layout as L  # noqa: N812 - a table of word numbers
from _board import libc, tear


class Gate:
    """The gate of a whole board: its memory is the RTC file, its power cut is a real SIGKILL."""

    def __init__(self, words, flash_size: int) -> None:
        self._w = words
        self._sectors = flash_size // L.SECTOR
        self._reads = tear.Dice(words[L.W_BOOTS] + 1)

    def begin(self, what: int, at: int) -> int:
        """To be called before operation `what` (OP_*) at an address: 0, or how it is to be cut (CUT_*)."""
        w = self._w
        return w[L.W_CUT_KIND] if w[L.W_CUT_AT] == w[L.W_OPERATIONS] + 1 else 0

    def calm(self, operations: int) -> bool:
        """Whether nothing can happen in the next `operations`, so that begin() need not be asked for each."""
        return False

    def seed(self) -> int:
        return self._w[L.W_CUT_SEED]

    def cut(self) -> None:
        """The power is gone."""
        w = self._w
        w[L.W_POWER_CUTS] = w[L.W_POWER_CUTS] + 1
        w[L.W_CUT_AT] = 0
        w[L.W_EXIT] = L.EXIT_CUT
        libc.kill_self()

    def violation(self) -> None:
        self._w[L.W_VIOLATIONS] = self._w[L.W_VIOLATIONS] + 1

    def programmed(self, pages: int = 1) -> None:
        self._count(L.W_PROGRAMS, pages)

    def erased(self, sector: int, cells) -> None:
        w = self._w
        w[L.W_WEAR + sector] = w[L.W_WEAR + sector] + 1
        if w[L.W_STUCK_SECTOR] == sector + 1:
            cells[0] &= 0xFE
        self._count(L.W_ERASES)
        self._weigh()

    def nvs_written(self) -> None:
        self._count(L.W_NVS_WRITES)
        self._weigh()

    def _count(self, word: int, n: int = 1) -> None:
        w = self._w
        w[word] = w[word] + n
        w[L.W_OPERATIONS] = w[L.W_OPERATIONS] + n

    def _weigh(self) -> None:
        heap = gc.mem_alloc()
        if heap > self._w[L.W_HEAP_PEAK]:
            self._w[L.W_HEAP_PEAK] = heap

    def unsettle(self, address: int, mask: int) -> None:
        """Marks bits of one byte as undecided; at most UNSTABLE_MAX bytes are kept."""
        w = self._w
        count = w[L.W_UNSTABLE]
        if mask and count < L.UNSTABLE_MAX:
            w[L.W_UNSTABLE_CELLS + 2 * count] = address
            w[L.W_UNSTABLE_CELLS + 2 * count + 1] = mask
            w[L.W_UNSTABLE] = count + 1

    def undecided(self) -> int:
        """How many cells are."""
        return self._w[L.W_UNSTABLE]

    def settle(self, at: int, size: int, cells) -> None:
        """An erase (cells None) settles every bit; a program settles the bits that it set to 0."""
        w = self._w
        kept = 0
        for i in range(w[L.W_UNSTABLE]):
            address = w[L.W_UNSTABLE_CELLS + 2 * i]
            mask = w[L.W_UNSTABLE_CELLS + 2 * i + 1]
            if at <= address < at + size:
                mask = mask & cells[address - at] if cells is not None else 0
            if mask:
                w[L.W_UNSTABLE_CELLS + 2 * kept] = address
                w[L.W_UNSTABLE_CELLS + 2 * kept + 1] = mask
                kept += 1
        w[L.W_UNSTABLE] = kept

    def disturb(self, at: int, out) -> None:
        """What a read of undecided cells returns: something else each time."""
        w = self._w
        for i in range(w[L.W_UNSTABLE]):
            address = w[L.W_UNSTABLE_CELLS + 2 * i]
            if at <= address < at + len(out):
                out[address - at] ^= w[L.W_UNSTABLE_CELLS + 2 * i + 1] & self._reads.byte()
