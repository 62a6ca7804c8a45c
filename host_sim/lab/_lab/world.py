"""One board in this process: flash mapped privately, so that each fork has its own; RTC words in memory."""

import sys

from _board import gate, layout, libc, nor, nvs, table
from _board.otaspec import boot, journal

from _lab import ends

_HEAD = 32  # bytes of an image
_ALARM_SECONDS = 120  # of real time: a run that takes longer counts as hung


class Gate(gate.Gate):
    """Counts operations, forks at the planned ones, and cuts the power of the fork.

    `points`: {operation: {(kind, seed, nvs): [(then, release), ...]}}, see otasim.lab.Point. One fork serves
    all that begin with the same cut: it forks again where their second cuts are, and where releases part.
    In a fork `point` is (operation, kind, seed, nvs).
    """

    def __init__(self, words, flash_size: int, points: dict) -> None:
        gate.Gate.__init__(self, words, flash_size)
        self._points = points
        self._kind = 0
        self._seed = 0
        self._dead = False
        self.point = None
        self.then = None  # the second cut, in a fork that has come to it
        self.releases = ()  # that are judged without another cut
        self._wanted = ()  # what this fork is for: (then, release)
        self.due = {}  # second cuts to come: {operation: [(then, releases), ...]}
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
            return self._second(what, at, number) if number in self.due else 0
        cuts = self._points.get(number)
        return self._first(what, at, number, cuts) if cuts else 0

    def _first(self, what: int, at: int, number: int, cuts: dict) -> int:
        for cut in cuts:
            if self._in_fork(cuts[cut], (number,) + cut):
                self.point, self._wanted = (number,) + cut, cuts[cut]
                return self._torn(what, at, cut[0], cut[1])
        return 0

    def _second(self, what: int, at: int, number: int) -> int:
        """What is left for this process after the last of them is that one itself."""
        cuts = self.due.pop(number)
        for then, releases in cuts:
            only = not self.due and not self.releases and then is cuts[-1][0]
            if only or self._in_fork([(then, release) for release in releases]):
                self.then, self.releases, self.due = then, releases, {}
                return self._torn(what, at, then[1], then[2])
        return 0

    def wanted(self) -> list:
        """What this fork is for, by now: (then, release)."""
        found = [(None, release) for release in self.releases]
        for cuts in self.due.values():
            found += [(then, release) for then, releases in cuts for release in releases]
        return found

    def only(self, name: str) -> bool:
        """Whether this process goes on as release `name`, which parts from the others here."""
        wanted = self.wanted()
        ours = [one for one in wanted if one[1] == name]
        if not ours:
            return False
        mine = len(ours) == len(wanted) or self._in_fork(ours)
        self._keep(lambda release: (release == name) == mine)
        return mine

    def _keep(self, wants) -> None:
        self.releases = [release for release in self.releases if wants(release)]
        for number in list(self.due):
            cuts = []
            for then, releases in self.due.pop(number):
                cuts.append((then, [release for release in releases if wants(release)]))
            cuts = [cut for cut in cuts if cut[1]]
            if cuts:
                self.due[number] = cuts

    def _torn(self, what: int, at: int, kind: int, seed: int) -> int:
        self._kind, self._seed = kind, seed
        if kind >= layout.CUT_PREFIX and at // layout.SECTOR in self.otadata:
            self.holes.append(self.name(what, at))
        return kind

    def _in_fork(self, wanted: list, point: tuple = ()) -> bool:
        """True in the child. The parent goes on when the child has ended, and says so if it ended badly."""
        child = libc.fork()
        if child < 0:
            raise OSError("fork")
        libc.alarm(_ALARM_SECONDS if self.point or not child else 0)
        if not child:
            return True
        status = libc.wait_for(child)
        if status:
            for then, release in wanted:
                self.lost((point or self.point) + (then, release), status)
        if self.point:
            libc.alarm(_ALARM_SECONDS)
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

    def calm(self, operations: int) -> bool:
        """Whether none of the next `operations` is planned for anything."""
        if self.trace or self._dead:
            return False
        planned = self.due if self.point else self._points
        first = self._w[layout.W_OPERATIONS] + 1
        return not planned or not any([n in planned for n in range(first, first + operations)])

    def seed(self) -> int:
        return self._seed

    def cut(self) -> None:
        self._dead = True
        self.cuts += 1
        self._in_work += (self.last, self.last + 1, self.hinted())
        raise ends.PowerCut

    def power_on(self) -> bool:
        """True after the first cut: second ones count from here."""
        first = self._dead and self.cuts == 1
        self._dead = False
        if first:
            self.releases = [release for then, release in self._wanted if not then]
            for then, release in self._wanted:
                if then:
                    self._plan(self._w[layout.W_OPERATIONS] + then[0], then, release)
        return first

    def _plan(self, number: int, then: tuple, release: str) -> None:
        cuts = self.due.setdefault(number, [])
        for other, releases in cuts:
            if other == then:
                releases.append(release)
                return
        cuts.append((then, [release]))


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

    def known_images(self, job: dict) -> list:
        """[(address, size), ...]: what stands in the slots before the update, and what it is to come to."""
        found = [(self._there + row[2], row[3]) for row in self.partitions if row[0] == 0]
        if job["points"] and job["wanted"]:
            found.append((libc.map_file(job["wanted"], job["new_size"]), job["new_size"]))
        return found

    def save(self, path: str, row, size: int) -> None:
        with open(path, "wb") as file:
            file.write(self.flash.window(row.offset, size))

    def want(self, path: str, at: int, size: int) -> None:
        """The file holds what is to stand in flash from `at` on."""
        self._wanted, self._wanted_at, self._wanted_size = libc.map_file(path, size), at, size
        self.the_gate.is_right, self.the_gate.hinted = self._is_right, self._hinted

    def _record(self, kind: int):
        return nvs.get(self._nvs, journal.NAMESPACE, journal.BLOBS[kind][0], nvs.BLOB) or b""

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
