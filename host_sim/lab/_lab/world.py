"""One board in this process: flash mapped privately, so that each fork has its own; RTC words in memory."""

import hashlib
import sys
from binascii import hexlify

from _board import gate, layout, libc, nor, nvs, table
from _board.otaspec import boot, journal

from _lab import ends

_HEAD = 32  # bytes of an image
_ALARM_SECONDS = 120  # of real time: a run that takes longer counts as hung


class Gate(gate.Gate):
    """Counts operations, forks at the planned ones, and cuts the power of the fork.

    `points`: {operation: [(kind, seed, then, nvs), ...]}, see otasim.lab.Point. In a fork `point` is
    (operation, kind, seed, then, nvs).
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
        self.hinted = lambda: 0  # sector that the journal names as the one in work
        self.is_right = lambda at: False  # whether the sector there holds what is wanted of it
        self.otadata_erases = 0
        self.last = 0  # sector that was erased
        self.rewritten = 0  # sectors that were erased though right, and not in work when the power went
        self._in_work = ()  # sectors
        self.holes = []  # names of SLOTS.md section 8: writes to otadata that were torn
        self.name = lambda what, at: ""  # gives them
        self.trace = False  # say each operation: one line "o what address", in a fork after its cut "f ..."

    def begin(self, what: int, at: int) -> int:
        if self._dead:
            raise ends.PowerCut  # a `finally` of the firmware, after the power went
        number = self._w[layout.W_OPERATIONS] + 1
        if self.trace and (self.cuts or not self.point):
            print("f" if self.point else "o", what, at)
        if what == layout.OP_ERASE and self.is_right(at):
            self.rewritten += at // layout.SECTOR not in self._in_work
        if self.point:
            return self._torn(what, at, *self._then.pop(number, (0, 0)))
        for kind, seed, then, keep in self._points.get(number, ()):
            if self._in_fork((number, kind, seed, then, keep)):
                self.point = (number, kind, seed, then, keep)
                return self._torn(what, at, kind, seed)
        return 0

    def _torn(self, what: int, at: int, kind: int, seed: int) -> int:
        self._kind, self._seed = kind, seed
        if kind >= layout.CUT_PREFIX and at // layout.SECTOR in self.otadata:
            self.holes.append(self.name(what, at))
        return kind

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

    def nvs_written(self) -> None:
        gate.Gate.nvs_written(self)
        self.remember()

    def erased(self, sector: int, cells) -> None:
        gate.Gate.erased(self, sector, cells)
        self.otadata_erases += sector in self.otadata
        self.last = sector

    def seed(self) -> int:
        return self._seed

    def cut(self) -> None:
        self._dead = True
        self.cuts += 1
        self._in_work += (self.last, self.last + 1, self.hinted())
        raise ends.PowerCut

    def power_on(self) -> bool:
        """True after the first cut. The next cut of a double one counts from here."""
        first = self._dead and self.cuts == 1
        self._dead = False
        if first and self.point[3]:
            after, kind, seed = self.point[3]
            self._then = {self._w[layout.W_OPERATIONS] + after: (kind, seed)}
        return first


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
        self._otadata = where[2]
        self.the_gate.otadata = range(where[2] // layout.SECTOR, (where[2] + where[3]) // layout.SECTOR)
        self.the_gate.name = self._name
        self.the_gate.remember = self.remember
        self.loader = None  # the Bootloader
        self._wanted = self._wanted_at = self._wanted_size = 0
        keep = self.first(1, 2)
        self._nvs = self.flash.window(keep[2], keep[3])
        self._past = []  # what NVS held, commit by commit
        self.remember()

    def save(self, path: str, row, size: int) -> None:
        with open(path, "wb") as file:
            file.write(self.flash.window(row.offset, size))

    def want(self, path: str, at: int, size: int) -> None:
        """The file holds what is to stand in flash from `at` on."""
        self._wanted, self._wanted_at, self._wanted_size = libc.map_file(path, size), at, size
        self.the_gate.is_right, self.the_gate.hinted = self._is_right, self._hinted

    def _record(self, kind: int):
        return nvs.get(self._nvs, journal.NAMESPACE, journal.BLOBS[kind][0], nvs.BLOB) or b""

    def undecided(self) -> str:
        """A name for all that the boot rules and the bootloader look at beside the images."""
        state = hashlib.sha256(self.flash.window(self._otadata, 32))
        state.update(self.flash.window(self._otadata + layout.SECTOR, 32))
        for kind in (journal.TRIAL, journal.BLOCKED, journal.FLOOR):
            state.update(self._record(kind))
        return hexlify(state.digest()[:8]).decode()

    def _hinted(self) -> int:
        hint = journal.decode(journal.HINT, self._record(journal.HINT))
        return self._wanted_at // layout.SECTOR + hint["written"] if hint else 0

    def _is_right(self, at: int) -> bool:
        """Of a sector of the image as it stands until its head is programmed."""
        start = at - self._wanted_at
        if not 0 <= start < self._wanted_size:
            return False
        skip = 0 if start else _HEAD
        size = min(layout.SECTOR, self._wanted_size - start) - skip
        if bytes(self.flash.window(at, skip)) != b"\xff" * skip:
            return False
        return libc.same(self._here + at + skip, self._wanted + start + skip, size)

    def remember(self) -> None:
        """NVS as it is now; the first time it holds what provisioning has put there."""
        self._past.append(bytes(nvs.banks(self._nvs)[0][1]))

    def fault_of_nvs(self, how: int, seed: int) -> None:
        """NVS is lost (and the board provisioned again), one commit old, or as old as the seed says."""
        older = self._past[:-1] or self._past
        nvs.restore(self._nvs, (self._past[0], older[-1], older[seed % len(older)])[how - 1])

    def _name(self, what: int, at: int) -> str:
        """Of a write to otadata."""
        write = self.loader.writing
        k = (at - self._otadata) // layout.SECTOR
        entry = bytes(self.flash.window(self._otadata + k * layout.SECTOR, 32))
        return boot.residual(write is None, write or ("E" if what == layout.OP_ERASE else "P", k), entry)

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
