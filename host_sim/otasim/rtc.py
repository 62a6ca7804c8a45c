"""The RTC memory of a board as its parent process sees it (modules/_board/layout.py)."""

import mmap
import struct
from pathlib import Path

from otasim.parts import layout


class Rtc:
    """Words of the RTC file, shared with the board's processes: `rtc[layout.W_BOOTS]`."""

    def __init__(self, path: Path) -> None:
        """Maps an RTC file. ValueError if it is none of ours."""
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self._words = memoryview(self._map).cast("I")
        if self[layout.W_MAGIC] != layout.MAGIC or self[layout.W_VERSION] != layout.VERSION:
            self.close()
            raise ValueError(f"{path} is not the RTC memory of this simulator; delete it, it is made anew")

    @staticmethod
    def create(path: Path, flash_size: int, *, write_unit: int, chip_id: int, unique_id: bytes) -> "Rtc":
        """A fresh one: first power-on of a board with `flash_size` bytes of flash."""
        words = [0] * (layout.rtc_size(flash_size) // 4)
        words[layout.W_MAGIC] = layout.MAGIC
        words[layout.W_VERSION] = layout.VERSION
        words[layout.W_FLASH_SIZE] = flash_size
        words[layout.W_WRITE_UNIT] = write_unit
        words[layout.W_CHIP_ID] = chip_id
        words[layout.W_UNIQUE_ID], words[layout.W_UNIQUE_ID + 1] = struct.unpack("<IH", unique_id)
        words[layout.W_RESET_CAUSE] = layout.PWRON_RESET
        path.write_bytes(struct.pack(f"={len(words)}I", *words))
        return Rtc(path)

    def __getitem__(self, word: int) -> int:
        return self._words[word]

    def __setitem__(self, word: int, value: int) -> None:
        self._words[word] = value

    def wear(self) -> list[int]:
        """Erases of each sector so far."""
        return self._words[layout.W_WEAR :].tolist()

    def close(self) -> None:
        self._words.release()
        self._map.close()
