"""A board boots a small program, is reset, hangs, crashes, loses its power, falls back to the other slot."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from otaboards import runtime
from otasim.board import Board, Event, Options
from otasim.faults import Cut, Faults
from otasim.files import BoardFiles
from otasim.fleet import Fleet
from otasim.parts import layout
from otasim.process import pause_of, watchdog
from otaspec import otadata

from tests.simulated import OTADATA, app_image, new_board

# Each boot runs the next line of the program; the position is kept in NVS.
_STEPS = """
import esp32, machine, time
def say(**what):
    import json
    print("@driblet " + json.dumps(what))
nvs = esp32.NVS("test")
try:
    at = nvs.get_i32("at")
except OSError:
    at = 0
nvs.set_i32("at", at + 1)
nvs.commit()
part = esp32.Partition(esp32.Partition.RUNNING)
say(at=at, cause=machine.reset_cause(), slot=part.info()[4], name=__name__)
steps = %r
exec(steps[at] if at < len(steps) else "while True: time.sleep(1)")
"""
HANG = "machine.WDT(timeout=100)\nwhile True: pass"


def program(folder: Path, *steps: str) -> Path:
    bundle = folder / "bundle"
    bundle.mkdir()
    (bundle / "main.py").write_text(_STEPS % (steps,))
    return bundle


async def watch(
    files: BoardFiles, bundle: Path, boots: int, faults: Faults = Faults(), **options: Any
) -> tuple[list[Event], str]:
    """Runs until the board has booted `boots` times and is reset again."""
    events: list[Event] = []
    chosen = Options(bundle=bundle, max_boots=boots, **{"watchdog_ms": 1000} | options)
    board = Board(files, runtime.find(), chosen, faults, events.append)
    return events, await asyncio.wait_for(board.run(), 30)


def told(events: list[Event], kind: str, *keys: str) -> list[Any]:
    found = [tuple(e.data[k] for k in keys) for e in events if e.kind == kind]
    return [f[0] for f in found] if len(keys) == 1 else found


async def test_resets_and_their_causes(tmp_path: Path) -> None:
    steps = (
        "machine.reset()",
        "machine.soft_reset()",
        HANG,
        "esp32.Partition(1).ioctl(6, 0)",
        "machine.reset()",
    )
    events, _ = await watch(new_board(tmp_path), program(tmp_path, *steps), 4)
    assert told(events, "exit", "why") == ["reset", "soft-reset", "watchdog", "panic", "reset"]
    assert told(events, "report", "cause") == [1, 2, 5, 3, 2]
    assert told(events, "boot", "cause") == ["power-on", "reset", "watchdog", "reset"]
    assert set(told(events, "report", "name")) == {"__main__"}


async def test_a_program_that_ends_stands_at_its_repl_until_the_watchdog(tmp_path: Path) -> None:
    events, _ = await watch(new_board(tmp_path), program(tmp_path, "raise ValueError", "machine.reset()"), 2)
    assert told(events, "exit", "why") == ["halted", "reset"]
    assert told(events, "boot", "cause") == ["power-on", "watchdog"]


async def test_without_a_watchdog_it_stands_for_ever(tmp_path: Path) -> None:
    events: list[Event] = []
    bundle = program(tmp_path, "raise ValueError")
    board = Board(
        new_board(tmp_path), runtime.find(), Options(bundle=bundle, watchdog_ms=0), on_event=events.append
    )
    async with Fleet([board]) as fleet:
        while not told(events, "exit", "why"):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        assert told(events, "boot", "count") == [1]
        board.cut_power()  # somebody pulls the plug
        while len(told(events, "report", "at")) < 2:
            await asyncio.sleep(0.01)
        board.switch_off()
        assert await fleet.wait() == ["off"]
    assert told(events, "report", "cause") == [1, 1]


async def test_a_feed_keeps_the_watchdog_quiet(tmp_path: Path) -> None:
    feed = "w = machine.WDT(timeout=300)\nfor _ in range(30):\n time.sleep_ms(30)\n w.feed()\nmachine.reset()"
    events, _ = await watch(new_board(tmp_path), program(tmp_path, feed), 1)
    assert told(events, "exit", "why") == ["reset"]


async def test_a_planned_cut_happens_once_and_the_board_starts_with_power_on(tmp_path: Path) -> None:
    board = new_board(tmp_path)
    steps = ("part.get_next_update().writeblocks(0, bytes(4096))", "machine.reset()")
    faults = Faults([Cut(5, "bits", 1), Cut(18, "before")])
    events, _ = await watch(board, program(tmp_path, *steps), 2, faults)
    # NVS write is operation 1, erase 2, pages from 3 on: operation 5 is torn, so 4 are whole
    assert told(events, "exit", "why") == ["power-cut", "reset"]
    assert told(events, "report", "cause") == [1, 1]
    rtc = board.open_rtc()
    assert (rtc[layout.W_POWER_CUTS], rtc[layout.W_OPERATIONS]) == (1, 5)
    rtc.close()


async def test_the_bootloader_too_can_lose_its_power(tmp_path: Path) -> None:
    """otadata {2, NEW}: the bootloader erases (1) and programs (2) it as PENDING before ota_1 runs."""
    board = new_board(tmp_path, active=1)
    raw = bytearray(board.flash.read_bytes())
    raw[OTADATA.offset : OTADATA.offset + 32] = otadata.pack(2, otadata.NEW)
    board.flash.write_bytes(raw)
    events, _ = await watch(board, program(tmp_path, "machine.reset()"), 2, Faults([Cut(1, "after")]))
    assert told(events, "exit", "why") == ["power-cut", "reset"]
    # both entries were blank then: ota_0 boots and becomes valid, which is what BOOT.md warns of
    assert told(events, "slot", "slot", "writes") == [("ota_0", 2)]


async def test_a_new_slot_is_tried_and_a_reset_before_confirm_reverts(tmp_path: Path) -> None:
    steps = ("part.get_next_update().set_boot(); machine.reset()", HANG, "machine.reset()")
    events, _ = await watch(new_board(tmp_path), program(tmp_path, *steps), 3)
    assert told(events, "slot", "slot", "writes") == [("ota_0", 0), ("ota_1", 2), ("ota_0", 2)]
    assert told(events, "report", "slot") == ["ota_0", "ota_1", "ota_0"]
    assert told(events, "report", "cause") == [1, 2, 3]


async def test_a_confirmed_slot_stays(tmp_path: Path) -> None:
    confirm = "esp32.Partition.mark_app_valid_cancel_rollback(); machine.reset()"
    steps = ("part.get_next_update().set_boot(); machine.reset()", confirm, "machine.reset()")
    events, _ = await watch(new_board(tmp_path), program(tmp_path, *steps), 3)
    assert told(events, "slot", "slot") == ["ota_0", "ota_1", "ota_1"]


async def test_an_image_that_does_not_verify_is_passed_over(tmp_path: Path) -> None:
    board = new_board(tmp_path, {0: app_image("1"), 1: app_image("2")[:-1] + b"x"}, active=1)
    events, _ = await watch(board, program(tmp_path, "machine.reset()"), 1)
    assert told(events, "slot", "slot") == ["ota_0"]


async def test_nothing_boots_is_a_brick_and_said(tmp_path: Path) -> None:
    events, why = await watch(new_board(tmp_path, {}), program(tmp_path), 5)
    assert why == "nothing-boots"
    assert told(events, "stopped", "why") == ["nothing-boots"]


async def test_power_cuts_by_time_are_kills_too(tmp_path: Path) -> None:
    endless = "while True: pass"
    events, _ = await watch(
        new_board(tmp_path), program(tmp_path, endless, "machine.reset()"), 2, Faults(cut_seconds=(0.4,))
    )
    assert told(events, "exit", "why") == ["power-cut", "reset"]


async def test_the_firmware_sees_nothing_of_the_simulator(tmp_path: Path) -> None:
    look = (
        "import os\nsay(at=0, env=[os.getenv(k) for k in ('DRIBLET_SIM_FLASH', 'DRIBLET_SIM_RTC', "
        "'DRIBLET_SIM_BUNDLE', 'MICROPYPATH', 'HOME', 'PATH')], files=os.listdir())\nmachine.reset()"
    )
    events, _ = await watch(new_board(tmp_path), program(tmp_path, look), 1)
    assert told(events[-3:], "report", "env") == [[None] * 6]
    assert told(events[-3:], "report", "files") == [[]]


async def test_a_console_log_is_kept(tmp_path: Path) -> None:
    board = new_board(tmp_path)
    await watch(board, program(tmp_path, "print('hello'); machine.reset()"), 1)
    assert "hello" in board.log.read_text().splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("count", [8])
async def test_a_fleet(tmp_path: Path, count: int) -> None:
    bundle = program(tmp_path, "machine.reset()", HANG, "machine.reset()")
    events: list[Event] = []
    boards = [
        Board(
            new_board(tmp_path / str(i)),
            runtime.find(),
            Options(bundle=bundle, max_boots=3),
            on_event=events.append,
        )
        for i in range(count)
    ]
    async with Fleet(boards) as fleet:
        assert await asyncio.wait_for(fleet.wait(), 30) == ["boots"] * count
    assert sorted(told(events, "report", "cause")) == [1] * count + [2] * count + [3] * count


@pytest.mark.parametrize(
    ("timeout", "left", "pause"),
    [
        (0, 0.0, 0.1),  # it does not run: when will it?
        (2_000, 1.9, 0.1),
        (60_000, 59.0, 1.5),  # hundreds of boards on one machine have something else to do
        (3_600_000, 3000.0, 2),  # somebody at the REPL may set a shorter one
        (60_000, 1.2, 1.2),  # never later than it bites
        (2_000, 0.0001, 0.005),
    ],
)
def test_how_often_a_watchdog_is_looked_at(timeout: int, left: float, pause: float) -> None:
    assert pause_of(timeout, left) == pause


async def test_a_watchdog_that_nobody_feeds_bites() -> None:
    rtc = {layout.W_WDT_TIMEOUT: 150, layout.W_WDT_FEEDS: 0}
    began = asyncio.get_running_loop().time()
    await asyncio.wait_for(watchdog(rtc), 30)  # type: ignore[arg-type]
    assert asyncio.get_running_loop().time() - began >= 0.15
