"""The files of one board, and how a new board's flash is made."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from otaspec import otadata, partition

from otasim.parts import nvs
from otasim.rtc import Rtc

SETTINGS = "driblet"  # the NVS namespace of the agent's settings
_FIRST_RUN = otadata.pack(1, otadata.VALID)  # what the bootloader writes when it first boots ota_0


@dataclass(frozen=True)
class BoardFiles:
    """`flash`: X.bin; beside it X.rtc (RTC memory), X.vfs/ (file system), X.log (console)."""

    flash: Path

    @property
    def name(self) -> str:
        return self.flash.stem

    @property
    def rtc(self) -> Path:
        return self.flash.with_suffix(".rtc")

    @property
    def vfs(self) -> Path:
        return self.flash.with_suffix(".vfs")

    @property
    def log(self) -> Path:
        return self.flash.with_suffix(".log")

    def environment(self) -> dict[str, str]:
        """What a process of this board is started with, and nothing else."""
        return {
            "DRIBLET_SIM_FLASH": str(self.flash.absolute()),
            "DRIBLET_SIM_RTC": str(self.rtc.absolute()),
        }

    def open_rtc(self) -> Rtc:
        return Rtc(self.rtc)

    def log_file(self, limit: int) -> TextIO:
        """Appends to the console log; begins anew where it has grown beyond `limit` bytes."""
        full = self.log.exists() and self.log.stat().st_size > limit
        return self.log.open("w" if full else "a", buffering=1, errors="replace")


def create(
    flash: Path,
    *,
    flash_size: int,
    rows: Sequence[partition.Row],
    images: Mapping[int, bytes],
    chip_id: int,
    settings: Mapping[str, str | bytes | int],
    write_unit: int = 1,
    active: int = 0,
) -> BoardFiles:
    """A new board: erased flash, partition table, `images` by slot number, the settings in NVS.

    otadata names slot `active` as VALID, as a board has it that left the factory and was confirmed.
    Raises ValueError where an image does not fit its slot or the settings do not fit the NVS.
    """
    chip = bytearray(b"\xff" * flash_size)
    table = partition.build(list(rows))
    chip[partition.OFFSET : partition.OFFSET + len(table)] = table
    layout = partition.Layout(list(rows))
    for slot, image in images.items():
        _place(chip, layout.slot(slot), image)
    _place(chip, layout.otadata, _FIRST_RUN if not active else otadata.pack(active + 1, otadata.VALID))
    write_settings(chip, partition.find(list(rows), partition.DATA, partition.NVS), settings)
    files = BoardFiles(flash)
    files.vfs.mkdir(parents=True, exist_ok=True)
    flash.write_bytes(chip)
    Rtc.create(
        files.rtc, flash_size, write_unit=write_unit, chip_id=chip_id, unique_id=b"\x02" + os.urandom(5)
    ).close()
    return files


def _place(chip: bytearray, row: partition.Row | None, data: bytes) -> None:
    if row is None or len(data) > row.size:
        raise ValueError(f"{len(data)} bytes do not fit {row.label if row else 'a slot that is not there'}")
    chip[row.offset : row.offset + len(data)] = data


def write_settings(
    chip: bytearray, row: partition.Row | None, settings: Mapping[str, str | bytes | int]
) -> None:
    """Puts settings into the NVS partition of a flash: texts and bytes as blobs, numbers as i32."""
    if row is None:
        raise ValueError("the partition table has no nvs row")
    area = memoryview(chip)[row.offset : row.offset + row.size]
    for key, value in settings.items():
        kind = nvs.I32 if isinstance(value, int) else nvs.BLOB
        raw = value.to_bytes(4, "little", signed=True) if isinstance(value, int) else value
        if not nvs.put(area, SETTINGS, key, kind, raw.encode() if isinstance(raw, str) else raw):
            raise ValueError(f"{key} does not fit the NVS")


def lose_nvs(board: BoardFiles, row: partition.Row) -> None:
    """A fault: the NVS partition is blank."""
    with board.flash.open("r+b") as file:
        file.seek(row.offset)
        file.write(b"\xff" * row.size)


def roll_back_nvs(board: BoardFiles, row: partition.Row) -> bool:
    """A fault: the newest NVS write never happened. False where there is no older state."""
    with board.flash.open("r+b") as file:
        file.seek(row.offset)
        area = bytearray(file.read(row.size))
        done = bool(nvs.roll_back(memoryview(area)))
        file.seek(row.offset)
        file.write(area)
    return done
