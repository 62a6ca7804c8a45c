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
        self._old, self._new = job["old"], job["new"]
        self._home = None  # row that holds the old image
        self.running = ""  # hash of the booted image
        self.unmonitored = False
        self.why = ""

    def booted(self, row, image) -> None:
        self.running = hexlify(self._loader.digest(row, image)).decode()
        if self._home is None:
            self._home = row
        if self.running not in (self._old, self._new):
            self.why = "booted an image that nobody made: " + self.running[:16]
        if self.running == self._new and not self._good and self._state(row) != otadata.PENDING:
            self.unmonitored = True

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

    def _holds(self, row, wanted: str) -> bool:
        image = self._loader.verified(row)
        return image is not None and hexlify(self._loader.digest(row, image)).decode() == wanted

    def settled(self, row) -> str:
        """The board rests, running `row`."""
        world = self._world
        if self.why:
            return WRONG
        if world.rtc[layout.W_VIOLATIONS] or world.rtc[layout.W_PANICS]:
            self.why = "the flash was used in a way that no chip forgives"
            return WRONG
        if not self._holds(self._home, self._old):
            self.why = "the old image was changed"
            return WRONG
        if self.running == self._new:
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
        return UNMONITORED if self.unmonitored and self.running == self._new else NOT_CONVERGED
