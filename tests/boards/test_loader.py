"""Boards as data: all of them load, the smallest that fits is chosen, a wrong one says what is wrong."""

import json
import re
import shutil
from pathlib import Path

import pytest
from otaboards import Board, all_boards, load, loader, smallest_for
from otaspec import image, partition
from otaspec.errors import InputError

BOARDS = all_boards()
MICROPYTHON_SLOTS = {4: 0x180000, 8: 0x270000, 16: 0x270000}


@pytest.mark.parametrize("board", BOARDS, ids=lambda b: b.name)
def test_a_board_of_ours(board: Board) -> None:
    assert load(board.name) == board
    assert load(board.folder) == board
    assert partition.parse(board.table, board.flash_size) == list(board.rows)
    assert [slot.offset % 0x10000 for slot in board.slots] == [0, 0]
    free = board.flash_size - max(row.offset + row.size for row in board.rows)
    assert board.staging <= free - 0x10000  # the file system keeps room for the application
    assert board.manifest.is_file()


@pytest.mark.parametrize("board", [b for b in BOARDS if b.name.startswith("ESP32")], ids=lambda b: b.name)
def test_esp32_boards_have_micropythons_ota_table(board: Board) -> None:
    size = MICROPYTHON_SLOTS[board.flash_size >> 20]
    assert [(row.label, row.offset, row.size) for row in board.rows] == [
        ("nvs", 0x9000, 0x4000),
        ("otadata", 0xD000, 0x2000),
        ("phy_init", 0xF000, 0x1000),
        ("ota_0", 0x10000, size),
        ("ota_1", 0x10000 + size, size),
    ]
    assert not board.tried_on_hardware  # say so in boards/README.md when that changes


@pytest.mark.parametrize(
    ("chip", "size", "name"),
    [
        (0, 1, "ESP32_GENERIC"),
        (0, 0x180000, "ESP32_GENERIC"),
        (0, 0x180001, "ESP32_GENERIC-8M"),
        (9, 1687024, "ESP32_GENERIC_S3-8M"),
        (2, 1456864, "ESP32_GENERIC_S2"),
        (image.LINUX_HOST, 200_000, "LINUX_HOST"),
    ],
)
def test_the_smallest_board_that_fits(chip: int, size: int, name: str) -> None:
    assert smallest_for(chip, size).name == name


@pytest.mark.parametrize(
    ("chip", "size", "says"),
    [
        (0, 0x270001, "ESP32, image of 2555905 bytes: the largest slot has 2555904"),
        (16, 1000, "ESP32-H2, image of 1000 bytes: there is no board of this chip"),
        (0x7777, 1000, "chip 0x7777, image of 1000 bytes: there is no board"),
    ],
)
def test_no_board_fits(chip: int, size: int, says: str) -> None:
    with pytest.raises(InputError, match="NO_BOARD_FITS: " + re.escape(says)):
        smallest_for(chip, size)


def test_every_image_of_the_corpus_finds_a_board(corpus: Path) -> None:
    """All of them but those of chips that are not ESP32s."""
    names = {
        n for pair in json.loads((corpus / "pairs.json").read_text()) for n in (pair["old"], pair["new"])
    }
    found = {}
    for name in sorted(names):
        raw = (corpus / name).read_bytes()
        chip = int.from_bytes(raw[12:14], "little")
        if raw[0] == image.MAGIC and chip in image.CHIPS and "esp8266" not in name:
            found[name] = smallest_for(chip, len(raw)).name
    assert found["st_GENERIC-7789_20e3cb5.bin"] == "ESP32_GENERIC-8M"
    assert found["c6-driver.new.bin"] == "ESP32_GENERIC_C6"
    assert found["p4-driver.new.bin"] == "ESP32_GENERIC_P4"
    assert len(found) >= 17


def test_room_for_a_patch() -> None:
    board = load("ESP32_GENERIC")
    assert board.staging_for(1_000_000) == 0x180000 - 1_003_520  # whole sectors behind the image
    assert board.staging_for(900_000, 1_000_000) == 0x180000 - 1_003_520  # the image that is there counts
    assert board.staging_for(0x180000) == board.staging  # the file system


def test_no_such_board() -> None:
    with pytest.raises(InputError, match="NOT_FOUND: board ESP33"):
        load("ESP33")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return Path(shutil.copytree(loader.DATA / "ESP32_GENERIC_C3", tmp_path / "MINE"))


def test_a_board_of_ones_own_is_found_by_path_and_by_name(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (own / "manifest.py").write_text("# mine\n")
    assert load(own).chip == "ESP32-C3"
    assert load(own).manifest == own / "manifest.py"
    with pytest.raises(InputError, match="NOT_FOUND"):
        load("MINE")
    monkeypatch.setenv("DRIBLET_BOARDS", str(own.parent))
    assert load("MINE") == load(own)
    assert "MINE" in [board.name for board in all_boards()]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("chip = ", "chop = ", "BOARD_INVALID: MINE: chop is not a field of board.toml"),
        ("flash_mb = 4\n", "", "BOARD_INVALID: MINE: flash_mb is missing"),
        ("flash_mb = 4", "flash_mb = 2", "TABLE_INVALID: ota_1 ends behind the flash of 2 MB"),
        ("flash_mb = 4", 'flash_mb = "4"', "BOARD_INVALID: MINE: flash_mb = '4'"),
        ("flash_mb = 4", "flash_mb = true", "BOARD_INVALID: MINE: flash_mb = True"),
        ("decoder_ram = 32768", "decoder_ram = 12", "BOARD_INVALID: MINE: decoder_ram = 12"),
        ('"ESP32-C3"', '"ESP33"', "BOARD_INVALID: MINE: chip ESP33 is not one of ESP32, ESP32-S2"),
        ("[0, 1, 2, 3]", '["zip"]', "BOARD_INVALID: MINE: codecs"),
        ("flash_mb = 4", "flash_mb = ", "BOARD_INVALID: MINE: Invalid value"),
    ],
)
def test_a_wrong_description_says_what_is_wrong(own: Path, old: str, new: str, says: str) -> None:
    text = (own / "board.toml").read_text()
    assert old in text
    (own / "board.toml").write_text(text.replace(old, new))
    with pytest.raises(InputError, match=re.escape(says)):
        load(own)


def test_a_table_that_cannot_be_updated(own: Path) -> None:
    (own / "partitions.csv").write_text("nvs, data, nvs, 0x9000, 0x4000\napp, app, factory, 0x10000, 1M\n")
    with pytest.raises(InputError, match="BOARD_INVALID: MINE: there is no otadata"):
        load(own)


def test_a_folder_without_its_table(own: Path) -> None:
    (own / "partitions.csv").unlink()
    with pytest.raises(InputError, match=r"FILE_UNREADABLE: .*partitions.csv: No such file"):
        load(own)
