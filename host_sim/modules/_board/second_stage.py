"""What the second-stage bootloader does to a flash: verify images for real, decide, write otadata.

The decision is otaspec.boot's; `flash` is a Nor, so every write is counted and can be cut.
"""

from _board import _hot, layout
from _board.otaspec import boot, image, otadata, partition
from _board.otaspec.errors import OtaError

image.xor_bytes = lambda data: _hot.xor_all(data, len(data))  # the same in machine code: half of a boot


class NothingBoots(Exception):
    """A brick: the chip would reset for ever. str() says why."""


class Bootloader:
    """`chip`: id that images must carry; `variant`: boot.STOCK or boot.REFERENCE; `buffer`: for reading."""

    def __init__(self, flash, chip: int, variant: str, buffer: bytearray) -> None:
        self._flash = flash
        self._chip = chip
        self._variant = variant
        self._buffer = buffer
        self._images = {}
        self.rows = []
        self._table = None
        self.writes = 0
        self.writing = None  # the write to otadata that is under way

    def run(self):
        """(row, image) of what boots now, after the writes. NothingBoots."""
        try:
            table = self._flash.window(partition.OFFSET, partition.MAX_SIZE)
            self.rows = partition.parse(table, self._flash.size)
        except OtaError as error:
            raise NothingBoots(str(error))
        self._table = partition.Layout(self.rows)
        self._images = {}
        self.writing = None
        choice, writes = self._decide()
        self.writes = len(writes)
        for write in writes:
            self._write(write)
        if choice == boot.RESET:
            raise NothingBoots("no image verifies")
        return self._table.slot(choice), self._images[choice]

    def _decide(self):
        table = self._table
        entries = None
        if table.otadata:
            entries = [self._entry(i) for i in (0, 1)]
        return boot.decide(
            entries, table.app_count, bool(table.factory), self._verifies, self._variant, bool(table.test)
        )

    def _entry(self, i: int) -> bytes:
        entry = bytearray(otadata.SIZE)
        self._flash.read_into(self._table.otadata.offset + i * layout.SECTOR, entry)
        return bytes(entry)

    def _verifies(self, slot: int) -> bool:
        if slot not in self._images:
            self._images[slot] = self.verified(self._table.slot(slot))
        return self._images[slot] is not None

    def verified(self, row):
        """The image in a row of the table if it verifies, else None."""
        if row is None:
            return None
        try:
            return image.verify(self.reader(row), row.size, self._chip, self._buffer)
        except OtaError:
            return None

    def reader(self, row):
        return lambda at, buffer: self._flash.read_into(row.offset + at, buffer)

    def digest(self, row, size: int) -> bytes:
        """SHA-256 of an image of `size` bytes, which is its name."""
        return image.digest(self.reader(row), size, b"", self._buffer)

    def _write(self, write) -> None:
        at = self._table.otadata.offset + write[1] * layout.SECTOR
        self.writing = write
        if write[0] == "E":
            self._flash.erase(at)
        else:
            self._flash.program(at + write[2], write[3])
        self.writing = None
