"""The writer: sector by sector, each read back. What was written, and how far, is for the journal (SLOTS.md)."""

from micropython import const
from otaspec.errors import error

from .slots import CHECK, SECTOR, WORK, hash_of

_IMAGE_HASH_WRONG = const(111)
_PATCH_INVALID = const(112)
HEAD = const(32)


class Writer:
    """Takes `size` bytes in order and writes them to `store`, all but the first `skip`: those are kept in `head`.

    `dirty`: a range of sectors that are erased and rewritten even where they
    read right, since a cut may have left their cells undecided. `hint(n)` is called when sectors
    below n were read back. Sectors that hold the right bytes already are left alone.
    """

    def __init__(self, store: "Slot", size: int, skip: int, dirty: range, hint: "callable", start: int = 0):
        self.head = b""
        self.at = start  # a multiple of SECTOR: what comes before is there already
        self.erases = 0
        self._store = store
        self._size = size
        self._skip = skip
        self._dirty = dirty
        self._hint = hint
        self._buf = memoryview(WORK)
        self._n = 0

    def room(self) -> "memoryview":
        """Where the next bytes belong, at least one; for those who can write in place."""
        left = self._size - self.at - self._n
        if left <= 0:
            raise error(_PATCH_INVALID, "more than %d bytes" % self._size)
        return self._buf[self._n : min(SECTOR, self._n + left)]

    def filled(self, n: int) -> None:
        """`n` bytes of room() are there."""
        self._n += n
        if self._n == SECTOR or self.at + self._n == self._size:
            self._flush()

    def write(self, data: "memoryview") -> None:
        at = 0
        while at < len(data):
            room = self.room()
            n = min(len(room), len(data) - at)
            room[:n] = data[at : at + n]
            self.filled(n)
            at += n

    @property
    def done(self) -> bool:
        return self.at == self._size

    def _flush(self) -> None:
        sector, want = self.at // SECTOR, self._buf[: self._n]
        skip = 0 if sector else self._skip
        if skip:
            self.head = bytes(want[:skip])
        if sector in self._dirty or not self._holds(sector, want, skip):
            self._store.erase(sector)
            self.erases += 1
            if len(want) > skip:
                self._store.program(self.at + skip, want[skip:])
        self.at += self._n
        self._n = 0
        self._hint(sector + 1)

    def _holds(self, sector: int, want: "memoryview", skip: int) -> bool:
        found = memoryview(CHECK)[: len(want)]
        self._store.readinto(sector * SECTOR, found)
        # A head that was begun is not blank: the sector must go. (Encrypted flash never reads blank:
        # there a resume costs one erase.)
        return found[skip:] == want[skip:] and all([b == 0xFF for b in found[:skip]])


async def verified(slot: "Slot", size: int, head: bytes, sha256: bytes, step: "callable") -> None:
    """IMAGE_HASH_WRONG unless `head` and the slot behind it are the image. `step()` is awaited often."""
    for digest in hash_of(slot, size, head):
        if digest is None:
            await step()
    if digest != sha256:
        raise error(_IMAGE_HASH_WRONG, "slot reads as " + digest[:4].hex())
