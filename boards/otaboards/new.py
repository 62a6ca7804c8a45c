"""Makes the folder of a new board from one that is there."""

import shutil
import tomllib
from pathlib import Path
from typing import Any

from otaspec.errors import InputError, code
from otaspec.partition import APP, Row

from otaboards.loader import Board, load
from otaboards.partitions import APP_ALIGNMENT, ota_slots, write_csv

NAME_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"


def new_board(name: str, base: Board, parent: Path, flash_mb: int | None, slot_size: int | None) -> Board:
    """Writes `parent`/`name` with board.toml and partitions.csv as `base` has them, and loads it.

    `slot_size`: bytes of each of the two slots, a multiple of 64 KB. Raises BOARD_INVALID for a bad name,
    NAME_EXISTS, and what `load` raises where the table does not fit.
    """
    if not name or len(name) > 64 or any(letter not in NAME_LETTERS for letter in name):
        raise InputError(code("BOARD_INVALID"), f"name {name!r}: letters, digits, _ and - (at most 64)"[:120])
    folder = parent / name
    if folder.exists():
        raise InputError(code("NAME_EXISTS"), str(folder)[:120])
    fields = tomllib.loads((base.folder / "board.toml").read_text())
    fields |= {"description": f"Made from {base.name}", "tried_on_hardware": False}
    fields["flash_mb"] = flash_mb or fields["flash_mb"]
    rows = with_slots(list(base.rows), slot_size) if slot_size else list(base.rows)
    folder.mkdir(parents=True)
    try:
        (folder / "board.toml").write_text(_toml(fields))
        (folder / "partitions.csv").write_text(write_csv(rows))
        return load(folder)
    except InputError:
        shutil.rmtree(folder)
        raise


def with_slots(rows: list[Row], size: int) -> list[Row]:
    """The table with slots of `size` bytes; whatever lay behind them moves up."""
    if size % APP_ALIGNMENT:
        raise InputError(code("TABLE_INVALID"), f"slots of 0x{size:x} bytes: a multiple of 0x10000 is needed")
    slots = ota_slots(rows)
    start = min(slot.offset for slot in slots)
    moved, at = [], start
    for row in rows:
        if row.offset < start:
            moved.append(row)
        else:
            length = size if row in slots else row.size
            at = -(-at // APP_ALIGNMENT) * APP_ALIGNMENT if row.type == APP else at
            moved.append(Row(row.type, row.subtype, at, length, row.label, row.flags))
            at += length
    return moved


def _toml(fields: dict[str, Any]) -> str:
    """Texts, numbers, lists of numbers, truth values: what a board needs of TOML."""
    lines = ["# Fields, units and ranges: boards/README.md"]
    for field, value in fields.items():
        text = f'"{value}"' if isinstance(value, str) else str(value).lower()
        lines.append(f"{field} = {text}")
    return "\n".join(lines) + "\n"
