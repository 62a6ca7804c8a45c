"""NVS: atomic old or new at every cut, each key by itself; what is lost when; CPython reads the same."""

from pathlib import Path

import pytest
from otasim import files
from otasim.files import BoardFiles
from otasim.parts import layout, nvs

from tests.simulated import NVS_ROW, answer, new_board, plan, run_on, words

OPEN = "import esp32, json\nn = esp32.NVS('t')\n"
TWICE = OPEN + "n.set_i32('a', 1)\nn.commit()\nn.set_i32('a', 2)\nn.commit()"


@pytest.fixture
def board(tmp_path: Path) -> BoardFiles:
    return new_board(tmp_path, images={})


def area(board: BoardFiles) -> memoryview:
    raw = bytearray(board.flash.read_bytes())
    return memoryview(raw)[NVS_ROW.offset : NVS_ROW.offset + NVS_ROW.size]


def stored(board: BoardFiles, key: str, kind: int = nvs.I32) -> int | bytes | None:
    value = nvs.get(area(board), "t", key, kind)
    if value is None:
        return None
    return int.from_bytes(value, "little", signed=True) if kind == nvs.I32 else bytes(value)


def test_settings_of_a_new_board_are_read_by_the_firmware(board: BoardFiles) -> None:
    code = "import esp32, json\nn = esp32.NVS('driblet')\nb = bytearray(9)\n"
    code += "print(json.dumps([n.get_blob('pk', b), b[0], n.get_i32('poll')]))"
    assert answer(board, code) == [1, ord("p"), 7]


def test_what_was_set_counts_after_commit(board: BoardFiles) -> None:
    run_on(board, OPEN + "n.set_i32('a', -5)\nn.commit()\nn.set_i32('a', 6)\nn.set_blob('b', b'x' * 300)")
    assert stored(board, "a") == -5
    assert stored(board, "b", nvs.BLOB) is None
    assert words(board, layout.W_NVS_WRITES, layout.W_OPERATIONS) == [1, 1]


def test_writing_the_same_value_costs_nothing(board: BoardFiles) -> None:
    run_on(board, OPEN + "n.set_i32('a', 1)\nn.commit()\nn.set_i32('a', 1)\nn.commit()")
    assert words(board, layout.W_NVS_WRITES) == [1]


@pytest.mark.parametrize(
    ("kind", "seed", "expected"),
    [("before", 0, 1), ("after", 0, 2), ("bits", 0, 2), ("bits", 1, 1), ("prefix", 1, 1)],
)
def test_a_cut_leaves_the_old_value_or_the_new(
    board: BoardFiles, kind: str, seed: int, expected: int
) -> None:
    plan(board, 2, kind, seed)
    assert run_on(board, TWICE).returncode == -9
    assert stored(board, "a") == expected


def test_two_keys_are_not_atomic_together(board: BoardFiles) -> None:
    plan(board, 1, "after")
    run_on(board, OPEN + "n.set_i32('a', 1)\nn.set_i32('b', 1)\nn.commit()")
    assert (stored(board, "a"), stored(board, "b")) in ((1, None), (None, 1))


def test_a_half_written_bank_does_not_count(board: BoardFiles) -> None:
    """The parent may kill a board while it copies: any changed byte of the newest bank makes it void."""
    run_on(board, TWICE)
    for at in range(len(nvs.banks(area(board))[0][1]) + 16):
        cells = area(board)
        newest = nvs.banks(cells)[0][2]
        newest[at] ^= 0x10
        assert bytes(nvs.get(cells, "t", "a", nvs.I32)) == b"\1\0\0\0"


def test_lost_and_rolled_back(board: BoardFiles) -> None:
    run_on(board, TWICE)
    files.roll_back_nvs(board, NVS_ROW)
    assert stored(board, "a") == 1
    files.lose_nvs(board, NVS_ROW)
    assert stored(board, "a") is None
    assert answer(board, OPEN + "n.set_i32('a', 3)\nn.commit()\nprint(n.get_i32('a'))") == 3


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("n.get_i32('none')", "ESP_ERR_NVS_NOT_FOUND"),
        ("n.erase_key('none')", "ESP_ERR_NVS_NOT_FOUND"),
        ("n.set_i32('a' * 16, 1)", "ESP_ERR_NVS_KEY_TOO_LONG"),
        ("n.set_blob('b', bytes(5)); n.get_blob('b', bytearray(4))", "ESP_ERR_NVS_INVALID_LENGTH"),
        ("n.set_blob('b', bytes(9000)); n.commit()", "ESP_ERR_NVS_NOT_ENOUGH_SPACE"),
    ],
)
def test_the_errors_are_those_of_the_port(board: BoardFiles, code: str, error: str) -> None:
    found = answer(board, f"{OPEN}\ntry:\n {code}\nexcept OSError as e: print(json.dumps(e.args))\n")
    assert found == [found[0], error]
    assert found[0] < 0


def test_erase_key(board: BoardFiles) -> None:
    code = "n.set_i32('a', 1)\nn.set_i32('b', 2)\nn.commit()\nn.erase_key('a')\nn.commit()\n"
    run_on(board, OPEN + code)
    assert (stored(board, "a"), stored(board, "b")) == (None, 2)
