"""The writer: sector by sector, each read back. How far it came is for the journal (SLOTS.md)."""

from micropython import const
from otaspec.errors import BoardError, error

from .slots import CHECK, SECTOR, WORK

_PATCH_INVALID = const(112)


class Writer:
    """Takes `size` bytes in order and writes them to `store`, all but the first `skip`: those stay in `head`.

    `hints` and `name`: see journal.Hints; `start`: a multiple of SECTOR, what comes before is there
    already; `fresh`: sector 0 was just erased. A sector that holds the right bytes is left alone, unless a
    cut may have left its cells undecided.
    """

    def __init__(
        self,
        store: "Slot",
        size: int,
        skip: int,
        hints: "Hints",
        name: str,
        start: int = 0,
        fresh: bool = False,
    ) -> None:
        self.head = b""
        self.at = start
        self.erases = 0
        self._store = store
        self.size = size
        self._skip = skip
        self._hints = hints
        self._name = name
        self._fresh = fresh
        self._first = store.start // SECTOR
        self._buf = memoryview(WORK)
        self._n = 0

    def room(self) -> "memoryview":
        """Where the next bytes belong, at least one; for those who can write in place."""
        left = self.size - self.at - self._n
        if left <= 0:
            raise error(_PATCH_INVALID, "more than %d bytes" % self.size)
        return self._buf[self._n : min(SECTOR, self._n + left)]

    def filled(self, n: int) -> None:
        """`n` bytes of room() are there."""
        self._n += n
        if self._n == SECTOR or self.at + self._n == self.size:
            self._flush()

    def write(self, data: "memoryview") -> None:
        at = 0
        while at < len(data):
            room = self.room()
            n = min(len(room), len(data) - at)
            room[:n] = data[at : at + n]
            self.filled(n)
            at += n

    def readinto(self, at: int, mv: "memoryview") -> None:
        """What was written already, for a decoder that copies from the new image."""
        done = 0
        while done < len(mv):
            part = mv[done:]
            if at < len(self.head):
                part = part[: len(self.head) - at]
                part[:] = self.head[at : at + len(part)]
            elif at < self.at:
                part = part[: self.at - at]
                self._store.readinto(at, part)
            elif at + len(part) <= self.at + self._n:
                part[:] = self._buf[at - self.at : at - self.at + len(part)]
            else:
                raise error(_PATCH_INVALID, "reads what is not written")
            at += len(part)
            done += len(part)

    def pause(self) -> None:
        """Keep how far it went."""
        self._hints.done(self._name, self._first + self.at // SECTOR)

    @property
    def done(self) -> bool:
        return self.at == self.size

    def _flush(self) -> None:
        sector, want = self.at // SECTOR, self._buf[: self._n]
        skip = 0 if sector else self._skip
        if skip:
            self.head = bytes(want[:skip])
        number = self._first + sector
        if self._hints.is_dirty(number) or not self._holds(sector, want, skip):
            self._hints.begin(self._name, number)
            try:
                self._put(sector, skip)
            except BoardError:
                self._fresh = False
                self._put(sector, skip)
            self._hints.clean(number)
            # Now, and not with the next erase: what of the next sector was received until then would
            # be fetched twice.
            self._hints.done(self._name, number + 1)
        self.at += self._n
        self._n = 0
        if self.done:
            self._hints.done(self._name, number + 1)

    def _put(self, sector: int, skip: int) -> None:
        if sector or not self._fresh:
            self._store.erase(sector)
            self.erases += 1
        if self._n > skip:
            # Encrypted flash takes multiples of 16 bytes, the ESP32's rows have 32.
            end = self._n + (-self._n & 31)
            self._buf[self._n : end] = b"\xff" * (end - self._n)
            self._store.program(self.at + skip, self._buf[skip:end])

    def _holds(self, sector: int, want: "memoryview", skip: int) -> bool:
        found = memoryview(CHECK)[: len(want)]
        self._store.readinto(sector * SECTOR, found)
        # A head that was begun is not blank: the sector must go. (Encrypted flash never reads blank:
        # there a resume costs one erase.)
        return found[skip:] == want[skip:] and all([b == 0xFF for b in found[:skip]])
