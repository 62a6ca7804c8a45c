"""LINUX_HOST: the firmware runs from the booted image itself, so another slot is other code."""

import asyncio
from pathlib import Path

from otaboards import runtime
from otasim.board import Board, Event, Options
from otaspec import bundle, image, image_file

from tests.simulated import new_board

_MAIN = b"""
import esp32, machine, sys
from helper.text import HELLO
print(HELLO, esp32.Partition(esp32.Partition.RUNNING).info()[4])
if HELLO == "old":
    esp32.Partition(esp32.Partition.RUNNING).get_next_update().set_boot()
machine.reset()
"""


def linux_image(files: dict[str, bytes]) -> bytes:
    return image_file.build([(0x3F400020, image_file.pack_desc() + bundle.build(files))], image.LINUX_HOST)


async def test_each_slot_runs_its_own_code(tmp_path: Path) -> None:
    def release(hello: bytes) -> bytes:
        return linux_image({"main.py": _MAIN, "helper/text.py": b"HELLO = '" + hello + b"'"})

    events: list[Event] = []
    options = Options(unpack_into=tmp_path / "code", max_boots=3)
    board = new_board(tmp_path, {0: release(b"old"), 1: release(b"new")})
    (tmp_path / "code").mkdir()
    running = Board(board, runtime.find(), options, on_event=events.append)
    assert await asyncio.wait_for(running.run(), 20) == "boots"
    # the new one is not confirmed, so the third boot is the old one's again
    assert [e.data["line"] for e in events if e.kind == "console"] == ["old ota_0", "new ota_1", "old ota_0"]
    unpacked = {p.name for p in (tmp_path / "code").iterdir()}
    assert unpacked == {e.data["image"][:32] for e in events if e.kind == "slot"}
