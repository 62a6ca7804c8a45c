"""What this board's own flash, NVS, memory and partition table may do: each has its code, none bricks it."""

from pathlib import Path

import pytest
from otasim.faults import Faults
from otaspec import image_file
from otaspec.image import LINUX_HOST
from otaspec.partition import APP, OTA_0

from .service import Service
from .station import Station, delta, full, image, reported

pytestmark = pytest.mark.slow

# Applications that make the board's hardware fail once the agent runs.
BREAK = """
import asyncio, esp32
def broken(*args):
    raise OSError(-1, "ESP_FAIL")
real = esp32.Partition.{call}
def {call}(self, *args):
    if self.info()[4] == "{label}" and {when}:
        return {then}
    return real(self, *args)
esp32.Partition.{call} = {call}
async def main(agent):
    pass
"""
BREAK_NVS = """
import esp32
def broken(self, *args):
    raise OSError(-0x1105, "ESP_ERR_NVS_NOT_ENOUGH_SPACE")
esp32.NVS.commit = broken
async def main(agent):
    pass
"""


def app(call: str, label: str, when: str = "True", then: str = "broken()") -> dict[str, bytes]:
    return {"app.py": BREAK.format(call=call, label=label, when=when, then=then).encode()}


def case(code: int, files: dict[str, bytes], name: str) -> object:
    return pytest.param(files, code, id=name, marks=pytest.mark.codes(code))


@pytest.mark.parametrize(
    ("files", "code"),
    [
        case(401, app("ioctl", "ota_1", "args[0] == 6"), "erase"),
        case(402, app("writeblocks", "ota_1"), "write"),
        case(403, app("writeblocks", "ota_1", then="None"), "read-back"),
        case(406, app("writeblocks", "otadata"), "arm"),
        case(404, {"app.py": BREAK_NVS.encode()}, "nvs"),
    ],
)
async def test_hardware_that_fails_is_told_and_the_board_stays(
    tmp_path: Path, files: dict[str, bytes], code: int
) -> None:
    old, new = image("1.0.0", files), image("1.1.0")
    with Service() as service:
        service.release(full(new))
        service.secrets["kitchen"] = b"d" * 32
        board = Station(tmp_path, service, old, {"ds": b"d" * 32})
        await board.run(reported("failed", code))
    assert board.runs() == "ota_0"
    assert board.slot(0, len(old)) == old


@pytest.mark.codes(401)
async def test_a_sector_that_does_not_erase(tmp_path: Path) -> None:
    old, new = image("1.0.0"), image("1.1.0")
    with Service() as service:
        service.release(full(new))
        board = Station(tmp_path, service, old)
        slot = next(row for row in board.rows if (row.type, row.subtype) == (APP, OTA_0 + 1))
        await board.run(reported("failed", 401), Faults(stuck_sector=slot.offset // 4096 + 7))
    assert board.runs() == "ota_0"


@pytest.mark.codes(408)
async def test_a_confirmation_that_never_holds(tmp_path: Path) -> None:
    # Nothing that the new release writes to otadata arrives.
    old, new = image("1.0.0"), image("1.1.0", app("writeblocks", "otadata", then="None"))
    with Service() as service:
        service.release(full(new))
        board = Station(tmp_path, service, old)
        await board.run(reported("reverted", 408))
    assert board.runs() == "ota_0"


@pytest.mark.codes(505)
async def test_power_that_goes_in_every_trial(tmp_path: Path) -> None:
    old, new = image("1.0.0"), image("1.1.0")
    cut = [0]
    with Service() as service:
        service.release(full(new))
        board = Station(tmp_path, service, old, {"soak": 30})

        def until(s: Station) -> bool:
            trials = s.said().count("pending-verify")
            if trials > cut[0]:
                cut[0] = trials
                s.board.cut_power()
            return reported("reverted", 505)(s)

        await board.run(until)
    assert cut[0] == 3
    assert board.runs() == "ota_0"


@pytest.mark.codes(506)
async def test_an_image_that_no_bootloader_takes(tmp_path: Path) -> None:
    old, new = image("1.0.0"), bytearray(image("1.1.0"))
    new[12] ^= 1  # another chip
    with Service() as service:
        service.release(full(bytes(new)))
        board = Station(tmp_path, service, old)
        await board.run(reported("failed", 506))
    assert [e.kind for e in board.events].count("boot") == 1


@pytest.mark.codes(208)
async def test_an_image_that_is_older_in_security(tmp_path: Path) -> None:
    plain = image("1.0.0")
    segment = plain[32 : 32 + int.from_bytes(plain[28:32], "little")]
    desc = image_file.pack_desc(version="1.0.0", secure_version=3)
    old = image_file.build([(0x3F400020, desc + segment[len(desc) :])], LINUX_HOST)
    with Service() as service:
        service.release(full(image("1.1.0")))
        board = Station(tmp_path, service, old)
        await board.run(reported("failed", 208))


@pytest.mark.parametrize(
    ("gone", "code"),
    [
        pytest.param("ota_1", 405, marks=pytest.mark.codes(405)),
        pytest.param("otadata", 409, marks=pytest.mark.codes(409)),
    ],
)
async def test_a_board_that_can_never_be_updated_says_so(tmp_path: Path, gone: str, code: int) -> None:
    old = image("1.0.0")
    with Service() as service:
        service.release(full(image("1.1.0")))
        board = Station(tmp_path, service, old, without=gone)
        await board.run(reported("failed", code))


@pytest.mark.codes(407)
async def test_a_heap_that_is_too_small_for_the_decoder(tmp_path: Path) -> None:
    eater = b"""
import asyncio
async def main(agent):
    global held
    held = []
    while agent.status["state"] != "downloading":
        await asyncio.sleep(0)
    try:
        while True:
            held.append(bytearray(512))
    except MemoryError:
        del held[:24]
    while agent.status["state"] == "downloading":
        await asyncio.sleep(0)
    held.clear()
"""
    old, new = image("1.0.0", {"app.py": eater}), image("1.1.0")
    with Service() as service:
        service.release(delta(old, new))
        board = Station(tmp_path, service, old)
        await board.run(reported("failed", 407))
    assert board.runs() == "ota_0"
