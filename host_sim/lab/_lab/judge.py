"""What became of a board, by what stands in its flash and not by what its agent says."""

from binascii import hexlify

from _board import layout
from _board.otaspec import otadata

GOOD = "good"  # a release
# Outcomes. The first two are right, each for its kind of release.
NEW, OLD = "new", "old"
NOTHING_BOOTS, SETTLED, WORN_OUT = ENDS = ("nothing boots", "settled", "too many boots without an end")
BRICK, WRONG, UNMONITORED, NOT_CONVERGED = "brick", "wrong", "unmonitored", "not_converged"


class Judge:
    """`good`: the release works. `loader`: the Bootloader of this run."""

    def __init__(self, world, loader, job: dict) -> None:
        self._world = world
        self._loader = loader
        self._old, self._new = (job["old"], job["old_size"]), (job["new"], job["new_size"])
        self._home = None  # row that holds the old image
        self.running = ""  # OLD, NEW, or the hash of what else was booted
        self.release = ""  # how the new image behaves, once that is decided
        self.unwatched = False  # the new image was booted by a word that no bootloader watches
        self.why = ""

    def booted(self, row, image) -> None:
        if self._home is None:
            self._home = row
        self.running = self._name(row, image.size)
        if self.running not in (OLD, NEW):
            self.why = "booted an image that nobody made: " + self.running[:16]
        if self.running == NEW:
            self.unwatched = self.unwatched or self._state(row) != otadata.PENDING

    def unmonitored(self) -> bool:
        return self.unwatched and self.release not in ("", GOOD)

    def _name(self, row, size: int) -> str:
        """Which image stands there, whole files with all that is appended to them."""
        if row.offset == self._home.offset and self._world.untouched(row, self._old[1]):
            return OLD
        for name, (sha256, length) in ((NEW, self._new), (OLD, self._old)):
            if self._digest(row, length) == sha256:
                return name
        return self._digest(row, size)

    def _digest(self, row, size: int) -> str:
        return hexlify(self._loader.digest(row, size)).decode()

    def _state(self, row) -> int:
        """State of the active otadata entry, -1 unless it names `row`."""
        entries = self._entries()
        active = otadata.active(entries, otadata.is_whole(entries))
        if active < 0 or otadata.slot_of(entries[active], 2) != row.subtype & 0x0F:
            return -1
        return otadata.state_of(entries[active])

    def _entries(self):
        where = self._world.first(1, 0)
        return [bytes(self._world.flash.window(where[2] + i * layout.SECTOR, 32)) for i in (0, 1)]

    def outcome(self, end: str, row, release: str) -> str:
        """`end`: how the run ended, one of the ENDS; row: what ran last."""
        if end == NOTHING_BOOTS:
            return BRICK
        if end == WORN_OUT:
            return UNMONITORED if self.unmonitored() and self.running == NEW else NOT_CONVERGED
        return self._settled(row, release)

    def _settled(self, row, release: str) -> str:
        """The board rests, running `row`."""
        world = self._world
        if self.why:
            return WRONG
        if world.rtc[layout.W_VIOLATIONS] or world.rtc[layout.W_PANICS]:
            self.why = "the flash was used in a way that no chip forgives"
            return WRONG
        if not world.untouched(self._home, self._home.size):
            self.why = "the old image was changed"
            return WRONG
        if self.running == NEW:
            return self._settled_new(row)
        return NOT_CONVERGED if release == GOOD else OLD

    def _settled_new(self, row) -> str:
        if self.release != GOOD:
            self.why = "a dead release was confirmed"
            return WRONG
        if self._state(row) != otadata.VALID:
            self.why = "the new image was left in state %x" % self._state(row)
            return NOT_CONVERGED
        return NEW
