"""Boards are data: one folder each, with board.toml and partitions.csv. README.md explains the fields.

A board of your own is a folder like those, named by its path or found in `$DRIBLET_BOARDS`.
"""

import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otaspec import partition
from otaspec.errors import InputError, code
from otaspec.image import CHIPS, chip_name
from otaspec.partition import Row

from otaboards.partitions import ota_slots, read_csv, update_problems

DATA = Path(__file__).resolve().parent / "data"
SECTOR = 4096
# field of board.toml: (type, least, most)
FIELDS: dict[str, tuple[type, int, int]] = {
    "description": (str, 1, 120),
    "chip": (str, 1, 20),
    "flash_mb": (int, 1, 128),
    "decoder_ram": (int, 4096, 1 << 20),
    "staging": (int, 0, 1 << 26),
    "codecs": (list, 1, 8),
    "wdt_ms": (int, 1000, 600_000),
    "heap": (int, 32 << 10, 64 << 20),
    "tried_on_hardware": (bool, 0, 1),
}


@dataclass(frozen=True)
class Board:
    """One kind of board. Sizes in bytes.

    decoder_ram: what a decoder may hold. staging: what a patch may take of the file system if it
    does not fit behind the image in the slot. codecs: PATCH.md's numbers. wdt_ms: watchdog during a trial.
    heap: MicroPython's heap in the simulator, which there holds the agent's code too.
    """

    name: str
    folder: Path
    description: str
    chip_id: int
    flash_size: int
    rows: tuple[Row, ...]
    decoder_ram: int
    staging: int
    codecs: tuple[int, ...]
    wdt_ms: int
    heap: int
    tried_on_hardware: bool

    @property
    def chip(self) -> str:
        """Espressif's name of the chip: "ESP32-S3"."""
        return str(chip_name(self.chip_id))

    @property
    def slots(self) -> list[Row]:
        return ota_slots(self.rows)

    @property
    def slot_size(self) -> int:
        return int(min(slot.size for slot in self.slots))

    @property
    def table(self) -> bytes:
        """The binary partition table, 0xC00 bytes, for offset 0x8000."""
        return bytes(partition.build(list(self.rows)))

    @property
    def manifest(self) -> Path:
        """What MicroPython freezes into the firmware: the board's own manifest.py, or the common one."""
        own = self.folder / "manifest.py"
        return own if own.is_file() else DATA / "manifest.py"

    def staging_for(self, new_size: int, other_size: int = 0) -> int:
        """Bytes that a patch may have: behind both images in the slot, in whole sectors, or in a file.

        `other_size`: the image in the backup slot, which stays bootable until the patch is verified.
        """
        used = -(-max(new_size, other_size) // SECTOR) * SECTOR
        return max(self.slot_size - used, self.staging, 0)


def load(name: str | Path) -> Board:
    """The board called `name`, or in the folder `name`.

    Raises NOT_FOUND for no such board, BOARD_INVALID or TABLE_INVALID for one whose files are wrong.
    """
    folder = Path(name)
    if folder.is_dir() and (folder / "board.toml").is_file():
        return _read(folder)
    for folder in _folders():
        if folder.name == str(name):
            return _read(folder)
    raise InputError(code("NOT_FOUND"), f"board {name}")


def all_boards() -> list[Board]:
    """Every board here and in `$DRIBLET_BOARDS`, by chip, then flash and slot size."""
    boards = [_read(folder) for folder in _folders()]
    return sorted(boards, key=lambda b: (b.chip_id, b.flash_size, b.slot_size, b.name))


def smallest_for(chip_id: int, image_size: int) -> Board:
    """The board of a chip with the least flash, then slot, that takes an image; else NO_BOARD_FITS."""
    of_chip = [board for board in all_boards() if board.chip_id == chip_id]
    fitting = [board for board in of_chip if board.slot_size >= image_size]
    if fitting:
        return fitting[0]
    largest = max((board.slot_size for board in of_chip), default=0)
    have = f"the largest slot has {largest}" if largest else "there is no board of this chip"
    raise InputError(code("NO_BOARD_FITS"), f"{chip_name(chip_id)}, image of {image_size} bytes: {have}")


def _folders() -> Iterator[Path]:
    for parent in [DATA, *(Path(p) for p in os.environ.get("DRIBLET_BOARDS", "").split(os.pathsep) if p)]:
        yield from sorted(folder.parent for folder in parent.glob("*/board.toml"))


def _read(folder: Path) -> Board:
    name = folder.resolve().name
    try:
        fields = tomllib.loads((folder / "board.toml").read_text())
        table = (folder / "partitions.csv").read_text()
    except OSError as error:
        raise InputError(code("FILE_UNREADABLE"), f"{error.filename}: {error.strerror}"[:120]) from error
    except tomllib.TOMLDecodeError as error:
        raise _wrong(name, str(error)) from error
    _check(name, fields)
    flash_size = fields.pop("flash_mb") << 20
    chip = fields.pop("chip")
    chip_id = next((number for number, known in CHIPS.items() if known == chip), None)
    if chip_id is None:
        raise _wrong(name, f"chip {chip} is not one of {', '.join(CHIPS.values())}")
    rows = tuple(read_csv(table, flash_size))
    problems = update_problems(rows)
    if problems:
        raise _wrong(name, problems[0])
    codecs = tuple(fields.pop("codecs"))
    return Board(
        name=name, folder=folder, chip_id=chip_id, flash_size=flash_size, rows=rows, codecs=codecs, **fields
    )


def _check(name: str, fields: dict[str, Any]) -> None:
    """Every field is there, none is misspelt, each is of its type and in its range."""
    for field in fields:
        if field not in FIELDS:
            raise _wrong(name, f"{field} is not a field of board.toml")
    for field, (kind, least, most) in FIELDS.items():
        if field not in fields:
            raise _wrong(name, f"{field} is missing")
        value = fields[field]
        size = len(value) if isinstance(value, str | list) else value
        if type(value) is not kind or not least <= size <= most:
            raise _wrong(name, f"{field} = {value!r}")
    if any(type(codec) is not int for codec in fields["codecs"]):
        raise _wrong(name, f"codecs = {fields['codecs']!r}")


def _wrong(name: str, evidence: str) -> InputError:
    return InputError(code("BOARD_INVALID"), f"{name}: {evidence}"[:120])
