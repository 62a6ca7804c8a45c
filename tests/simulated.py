"""Small boards for tests of the simulator: two slots in 4 MB, images of a few KB."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from otaboards import runtime
from otasim import files, parts
from otaspec import image, image_file
from otaspec.partition import APP, DATA, NVS, OTA, OTA_0, Row

FLASH_SIZE = 4 << 20
ROWS = [
    Row(DATA, NVS, 0x9000, 0x4000, "nvs"),
    Row(DATA, OTA, 0xD000, 0x2000, "otadata"),
    Row(APP, OTA_0, 0x10000, 0x180000, "ota_0"),
    Row(APP, OTA_0 + 1, 0x190000, 0x180000, "ota_1"),
]
NVS_ROW, OTADATA, SLOT_0, SLOT_1 = ROWS
CHIP = image.LINUX_HOST


def app_image(text: str = "1", size: int = 5000) -> bytes:
    """A sound image of about `size` bytes; another text, another image."""
    body = (text.encode() * size)[:size]
    return image_file.build([(0x3F400020, image_file.pack_desc(text[:20]) + body)], CHIP)


def new_board(folder: Path, images: Mapping[int, bytes] | None = None, **options: Any) -> files.BoardFiles:
    return files.create(
        folder / "board.bin",
        flash_size=FLASH_SIZE,
        rows=ROWS,
        images=images if images is not None else {0: app_image("1"), 1: app_image("2")},
        chip_id=CHIP,
        settings=options.pop("settings", {"pk": "p", "poll": 7}),
        **options,
    )


def run_on(board: files.BoardFiles, code: str, running: int = 2) -> "subprocess.CompletedProcess[str]":
    """Runs MicroPython code as a process of the board, as if partition number `running` had booted."""
    found = runtime.find()
    rtc = board.open_rtc()
    rtc[parts.layout.W_RUNNING] = running
    rtc[parts.layout.W_EXIT] = 0
    rtc.close()
    return subprocess.run(
        found.command(["-c", code], path=[parts.stand_ins(found)]),
        env=board.environment(),
        cwd=board.vfs,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def answer(board: files.BoardFiles, code: str) -> Any:
    """The JSON that the code prints."""
    done = run_on(board, code)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def plan(board: files.BoardFiles, operation: int, kind: str, seed: int = 1) -> None:
    """The next process of the board loses its power there."""
    rtc = board.open_rtc()
    rtc[parts.layout.W_CUT_AT] = operation
    rtc[parts.layout.W_CUT_KIND] = parts.layout.CUT_NAMES.index(kind)
    rtc[parts.layout.W_CUT_SEED] = seed
    rtc.close()


def words(board: files.BoardFiles, *indices: int) -> list[int]:
    """Words of the RTC memory."""
    rtc = board.open_rtc()
    found = [rtc[i] for i in indices]
    rtc.close()
    return found
