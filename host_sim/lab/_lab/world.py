"""One board in this process: flash mapped privately, so that each fork has its own; RTC words in memory."""

import sys

from _board import gate, layout, libc, nor, table

from _lab import ends

_ALARM_SECONDS = 120  # of real time: a run that takes longer counts as hung


class Gate(gate.Gate):
    """Counts operations, forks at the planned ones, and cuts the power of the fork.

    `points`: {operation: [(kind, seed), ...]}. In a fork `point` is (operation, kind, seed).
    """

    def __init__(self, words, flash_size: int, points: dict) -> None:
        gate.Gate.__init__(self, words, flash_size)
        self._points = points
        self._kind = 0
        self._seed = 0
        self._dead = False
        self._then = {}  # cuts to come in this fork: {operation: (kind, seed)}
        self.point = None
        self.cuts = 0
        self.otadata = range(0)  # sectors
        self.otadata_erases = 0
        self.trace = False  # say each operation: one line "o what address", in a fork after its cut "f ..."

    def begin(self, what: int, at: int) -> int:
        if self._dead:
            raise ends.PowerCut  # a `finally` of the firmware, after the power went
        number = self._w[layout.W_OPERATIONS] + 1
        if self.trace and (self.cuts or not self.point):
            print("f" if self.point else "o", what, at)
        if self.point:
            self._kind, self._seed = self._then.pop(number, (0, 0))
            return self._kind
        for kind, seed, then in self._points.get(number, ()):
            if self._in_fork((number, kind, seed, then)):
                self.point = (number, kind, seed, then)
                self._kind, self._seed = kind, seed
                return kind
        return 0

    def _in_fork(self, point: tuple) -> bool:
        """True in the child. The parent goes on when the child has ended, and says so if it ended badly."""
        child = libc.fork()
        if child < 0:
            raise OSError("fork")
        if not child:
            libc.alarm(_ALARM_SECONDS)
            return True
        status = libc.wait_for(child)
        if status:
            self.lost(point, status)
        return False

    def lost(self, point: tuple, status: int) -> None:
        """A fork that could not judge itself."""
        raise RuntimeError("a run ended with status %d" % status)

    def _weigh(self) -> None:
        pass  # the lab's heap says nothing of a board's

    def erased(self, sector: int, cells) -> None:
        gate.Gate.erased(self, sector, cells)
        self.otadata_erases += sector in self.otadata

    def seed(self) -> int:
        return self._seed

    def cut(self) -> None:
        self._dead = True
        self.cuts += 1
        raise ends.PowerCut

    def power_on(self) -> None:
        """The next cut of a double one counts from here."""
        self._dead = False
        if self.cuts == 1 and self.point and self.point[3]:
            after, kind, seed = self.point[3]
            self._then = {self._w[layout.W_OPERATIONS] + after: (kind, seed)}


class World:
    """Stands in for `_board.here`; install() before esp32 or machine are imported."""

    def __init__(self, flash_path: str, flash_size: int, chip: int, unit: int, points: dict) -> None:
        address = libc.map_file(flash_path, flash_size, True)
        self._here, self._there = address, libc.map_file(flash_path, flash_size)
        self._memory = bytearray(layout.rtc_size(flash_size))
        self.rtc = libc.words_of(self._memory)
        self.rtc[layout.W_CHIP_ID] = chip
        self.the_gate = Gate(self.rtc, flash_size, points)
        self.flash = nor.Nor(address, flash_size, self.the_gate, unit)
        self.partitions = table.rows(lambda at, size: bytes(self.flash.window(at, size)))
        where = self.first(1, 0)
        self.the_gate.otadata = range(where[2] // layout.SECTOR, (where[2] + where[3]) // layout.SECTOR)

    def install(self) -> None:
        import _board

        sys.modules["_board.here"] = self
        _board.here = self

    def untouched(self, row, size: int) -> bool:
        """Whether the first `size` bytes of a row of the table are what they were before the update."""
        return libc.same(self._here + row.offset, self._there + row.offset, size)

    def first(self, kind: int, subtype: int):
        for row in self.partitions:
            if row[0] == kind and row[1] == subtype:
                return row
        return None

    def leave(self, why: int) -> None:
        raise ends.Reset
