"""Puts partition table and app image on a board with esptool. The bootloader that is there stays."""

import subprocess
import sys
import tempfile
from pathlib import Path

from otaspec import image_file, partition
from otaspec.errors import TargetError, code
from otaspec.partition import DATA, OTA

from otaboards.loader import Board


def steps(board: Board, image: bytes) -> list[tuple[int, bytes, str]]:
    """(offset, bytes, what): the table, an empty otadata so that ota_0 boots, the image in ota_0.

    Raises 601 to 606 for what is no app image of the board's chip, IMAGE_TOO_LARGE.
    """

    def read(at: int, buffer: bytearray) -> None:
        buffer[:] = image[at : at + len(buffer)]

    image_file.check(read, len(image), board.chip_id)
    if len(image) > board.slot_size:
        raise TargetError(code("IMAGE_TOO_LARGE"), f"{len(image)} bytes, the slot has {board.slot_size}")
    otadata = next(row for row in board.rows if (row.type, row.subtype) == (DATA, OTA))
    slot = board.slots[0]
    blank = b"\xff" * otadata.size
    return [
        (partition.OFFSET, board.table, "partition table"),
        (otadata.offset, blank, "otadata, blank"),
        (slot.offset, image, f"image in {slot.label}"),
    ]


def write(port: str, board: Board, parts: list[tuple[int, bytes, str]], attempts: int = 7) -> None:
    """Writes and verifies them; BOARD_SILENT where esptool finds no chip in download mode."""
    with tempfile.TemporaryDirectory(prefix="flash-") as scratch:
        words = ["--chip", board.chip.replace("-", "").lower(), "--port", port]
        words += ["--connect-attempts", str(attempts), "write-flash"]
        for n, (offset, data, _) in enumerate(parts):
            file = Path(scratch, f"{n}.bin")
            file.write_bytes(data)
            words += [hex(offset), str(file)]
        # A process of its own: esptool ends the interpreter on some errors, and leaves files open.
        done = subprocess.run(
            [sys.executable, "-m", "esptool", *words], capture_output=True, text=True, check=False
        )
    if done.returncode:
        lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise TargetError(code("BOARD_SILENT"), f"{port}: {''.join(lines[-1:])}"[:120])
