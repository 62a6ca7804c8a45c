"""`driblet board`: what it prints, as text and as JSON, and the board that it makes."""

import json
import re
from pathlib import Path

import pytest
from otaboards import load
from otaspec import image_file
from otaspec.image import LINUX_HOST

from tests.conftest import Driblet


def test_list_fits_eighty_columns(driblet: Driblet) -> None:
    answer = driblet("board", "list")
    lines = answer.stdout.splitlines()
    assert answer.status == 0
    assert max(len(line) for line in lines) <= 80
    assert "ESP32_GENERIC_S3-8M   ESP32-S3    8 MB   2 x 2496 KB  32 KB    never run" in answer.stdout


def test_list_as_json_names_the_boards_an_image_fits(driblet: Driblet, tmp_path: Path) -> None:
    file = tmp_path / "app.bin"
    file.write_bytes(image_file.build([(0x3F400020, image_file.pack_desc("1.0") + b"code")], LINUX_HOST))
    answer = driblet("board", "list", "--image", str(file), "--json")
    assert [board["name"] for board in json.loads(answer.stdout)] == ["LINUX_HOST"]


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["check", "NOWHERE"], 2, "611 NOT_FOUND  board NOWHERE"),
        (["list", "--image", __file__], 2, "602 IMAGE_RAW"),
        (["new", "a/b", "--from", "LINUX_HOST"], 2, "BOARD_INVALID  name 'a/b'"),
        (["new", "X", "--from", "ESP32_GENERIC", "--slot", "100"], 2, "a multiple of 0x10000 is needed"),
    ],
)
def test_wrong_input_is_refused_with_a_remedy(
    driblet: Driblet, words: list[str], status: int, says: str
) -> None:
    answer = driblet("board", *words)
    assert (answer.status, answer.stdout) == (status, "")
    assert says in answer.stderr
    assert "What to do: " in answer.stderr


def test_errors_as_json(driblet: Driblet) -> None:
    answer = driblet("board", "check", "NOWHERE", "--json")
    error = json.loads(answer.stderr)["error"]
    assert (error["code"], error["name"], error["evidence"]) == (611, "NOT_FOUND", "board NOWHERE")


def test_a_new_board_loads_and_checks(driblet: Driblet, tmp_path: Path) -> None:
    words = ["--from", "ESP32_GENERIC_C3", "--flash", "8", "--slot", "3072", "--into", str(tmp_path)]
    assert driblet("board", "new", "LAMP", *words).status == 0
    lamp = load(tmp_path / "LAMP")
    assert (lamp.chip, lamp.flash_size, lamp.slot_size) == ("ESP32-C3", 8 << 20, 3072 << 10)
    assert driblet("board", "check", str(lamp.folder)).status == 0
    again = driblet("board", "new", "LAMP", *words)
    assert again.status == 2
    assert "NAME_EXISTS" in again.stderr


def test_a_new_board_that_cannot_be_leaves_no_folder(driblet: Driblet, tmp_path: Path) -> None:
    answer = driblet("board", "new", "BIG", "--from", "LINUX_HOST", "--slot", "8192", "--into", str(tmp_path))
    assert answer.status == 2
    assert "ota_1 ends behind the flash of 4 MB" in answer.stderr
    assert list(tmp_path.iterdir()) == []


def test_check_of_a_table_without_a_second_slot(driblet: Driblet, tmp_path: Path) -> None:
    table = tmp_path / "partitions.csv"
    table.write_text("nvs, data, nvs, 0x9000, 0x4000\nfactory, app, factory, 0x10000, 1M\n")
    answer = driblet("board", "check", str(table))
    assert answer.status == 2
    assert re.search("there is no otadata.*there are 0 slots", answer.stderr)


def test_runtime_says_what_is_used(driblet: Driblet) -> None:
    answer = driblet("board", "runtime")
    assert answer.status == 0
    assert answer.stdout.startswith("MicroPython 1.25")
