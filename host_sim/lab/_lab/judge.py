"""What became of a board, by what stands in its flash and not by what its agent says."""

from binascii import hexlify

from _board import layout
from _board.otaspec import otadata

# Outcomes. The first two are right, each for its kind of release.
NEW, OLD = "new", "old"
BRICK, WRONG, UNMONITORED, NOT_CONVERGED = "brick", "wrong", "unmonitored", "not_converged"


class Judge:
    """`good`: the release works. `loader`: the Bootloader of this run."""

    def __init__(self, world, loader, job: dict) -> None:
        self._world = world
        self._loader = loader
        self._good = job["release"] == "good"
        self._old, self._new = (job["old"], job["old_size"]), (job["new"], job["new_size"])
        self._home = None  # row that holds the old image
        self.running = ""  # OLD, NEW, or the hash of what else was booted
        self.unmonitored = False
        self.armed = ""  # name of the state that the new image was first booted in
        self.why = ""

    def booted(self, row, image) -> None:
        if self._home is None:
            self._home = row
        self.running = self._name(row, image.size)
        if self.running not in (OLD, NEW):
            self.why = "booted an image that nobody made: " + self.running[:16]
        if self.running == NEW and not self.armed:
            self.armed = self._world.undecided()
        if self.running == NEW and not self._good and self._state(row) != otadata.PENDING:
            self.unmonitored = True

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

    def settled(self, row) -> str:
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
        return NOT_CONVERGED if self._good else OLD

    def _settled_new(self, row) -> str:
        if not self._good:
            self.why = "a dead release was confirmed"
            return WRONG
        if self._state(row) != otadata.VALID:
            self.why = "the new image was left in state %x" % self._state(row)
            return NOT_CONVERGED
        return NEW

    def worn_out(self) -> str:
        """Too many boots without an end."""
        return UNMONITORED if self.unmonitored and self.running == NEW else NOT_CONVERGED
