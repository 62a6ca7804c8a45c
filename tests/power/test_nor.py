"""The flash obeys NOR rules, counts its operations, and a planned cut is a real kill."""

import signal
from pathlib import Path

import pytest
from otasim.files import BoardFiles
from otasim.parts import layout

from tests.simulated import SLOT_1, answer, new_board, plan, run_on, words

SLOT = SLOT_1.offset
OPEN = "import esp32, json\np = esp32.Partition(esp32.Partition.RUNNING).get_next_update()\n"
WRITE = OPEN + "for i in range(3): p.writeblocks(i, b'\\x5a' * 4096)\n"  # 51 operations


@pytest.fixture
def board(tmp_path: Path) -> BoardFiles:
    return new_board(tmp_path, images={})


def sector(board: BoardFiles, number: int) -> bytes:
    with board.flash.open("rb") as file:
        file.seek(SLOT + number * 4096)
        return file.read(4096)


def test_a_program_is_an_and_of_pages_and_bits_only_fall(board: BoardFiles) -> None:
    code = OPEN + "p.writeblocks(0, b'\\xf0' * 300, 200)\np.writeblocks(0, b'\\x30' * 300, 200)\n"
    run_on(board, code)
    assert sector(board, 0) == b"\xff" * 200 + b"\x30" * 300 + b"\xff" * 3596
    # 300 bytes from 200 on touch pages 0 and 1, twice
    assert words(board, layout.W_OPERATIONS, layout.W_PROGRAMS, layout.W_ERASES) == [4, 4, 0]


def test_a_program_that_needs_a_rising_bit_is_a_defect_of_the_firmware(board: BoardFiles) -> None:
    done = run_on(board, OPEN + "p.writeblocks(0, b'\\x00', 0)\np.writeblocks(0, b'\\x01', 0)\n")
    assert done.returncode == 1
    assert "needs a 0 to become a 1" in done.stderr + done.stdout
    assert words(board, layout.W_VIOLATIONS) == [1]


def test_an_erase_is_one_operation_on_one_sector_and_wears_it(board: BoardFiles) -> None:
    run_on(board, OPEN + "p.writeblocks(0, bytes(8192))\np.ioctl(6, 1)\n")
    assert sector(board, 0) == bytes(4096)
    assert sector(board, 1) == b"\xff" * 4096
    rtc = board.open_rtc()
    assert rtc.wear()[SLOT // 4096 :][:3] == [1, 2, 0]
    rtc.close()


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("p.writeblocks(0, b'x' * 100)", "ESP_ERR_INVALID_SIZE"),  # erases whole sectors only
        ("p.writeblocks(384, b'x', 0)", "ESP_ERR_INVALID_SIZE"),
        ("p.readblocks(385, bytearray(1))", "ESP_ERR_INVALID_ARG"),
        ("p.ioctl(6, 384)", "ESP_ERR_INVALID_SIZE"),
    ],
)
def test_the_errors_are_those_of_the_port(board: BoardFiles, code: str, error: str) -> None:
    found = answer(board, f"{OPEN}\ntry:\n {code}\nexcept OSError as e: print(json.dumps(e.args))\n")
    assert found[1] == error
    assert found[0] < 0


def test_write_units_of_flash_encryption(tmp_path: Path) -> None:
    board = new_board(tmp_path, images={}, write_unit=16)
    code = "\ntry:\n p.writeblocks(0, b'x' * 20, 0)\nexcept OSError as e: print(json.dumps(e.args))\n"
    assert answer(board, OPEN + code) == [-0x104, "ESP_ERR_INVALID_SIZE"]
    assert run_on(board, OPEN + "p.writeblocks(0, b'x' * 32, 16)").returncode == 0


@pytest.mark.parametrize("operation", [1, 2, 17, 18, 30, 51])
@pytest.mark.parametrize("kind", ["before", "after"])
def test_a_cut_is_a_kill_after_exactly_n_operations(board: BoardFiles, operation: int, kind: str) -> None:
    plan(board, operation, kind)
    assert run_on(board, WRITE).returncode == -signal.SIGKILL
    done = operation - (kind == "before")
    assert words(board, layout.W_OPERATIONS, layout.W_POWER_CUTS, layout.W_EXIT) == [done, 1, layout.EXIT_CUT]
    programs = done - -(-done // 17)  # each sector: one erase, then 16 pages
    written = b"".join(sector(board, i) for i in range(3))
    assert written == b"\x5a" * (programs * 256) + b"\xff" * (3 * 4096 - programs * 256)


def torn(board: BoardFiles, kind: str, seed: int, operation: int) -> bytes:
    """Sector 0, first written with 00 FF 00 FF ..., then erased (op 18) and programmed with 33 (op 19 on)."""
    code = "p.writeblocks(0, b'\\x00\\xff' * 2048)\np.writeblocks(0, b'\\x33' * 4096)\n"
    plan(board, operation, kind, seed)
    assert run_on(board, OPEN + code).returncode == -signal.SIGKILL
    assert words(board, layout.W_OPERATIONS) == [operation - 1]
    return sector(board, 0)


def test_a_torn_erase_of_kind_prefix_is_in_order(tmp_path: Path) -> None:
    lengths = set()
    for seed in range(3):
        cells = torn(new_board(tmp_path / str(seed), images={}), "prefix", seed, 18)
        done = (len(cells) - len(cells.lstrip(b"\xff"))) // 4 * 4
        assert cells == b"\xff" * done + (b"\x00\xff" * 2048)[done:]
        lengths.add(done)
    assert len(lengths) == 3


@pytest.mark.parametrize("kind", ["subset", "bits"])
def test_a_torn_erase_only_raises_bits_and_a_seed_decides_which(tmp_path: Path, kind: str) -> None:
    seen = [torn(new_board(tmp_path / str(i), images={}), kind, s, 18) for i, s in enumerate((1, 2, 1))]
    assert seen[0] == seen[2] != seen[1]
    for cells in seen:
        assert cells[1::2] == b"\xff" * 2048  # what was FF stays FF
        assert 0 < sum(cells[::2]) < 255 * 2048
        found = {cells[i : i + 4] for i in range(0, 4096, 4)}
        assert (found == {b"\x00\xff\x00\xff", b"\xff" * 4}) == (kind == "subset")


@pytest.mark.parametrize("kind", ["prefix", "subset", "bits"])
def test_a_torn_program_only_lowers_bits_of_its_page(tmp_path: Path, kind: str) -> None:
    cells = torn(new_board(tmp_path, images={}), kind, 5, 20)
    assert cells[:256] == b"\x33" * 256
    assert cells[512:] == b"\xff" * 3584
    assert all(c & 0x33 == 0x33 for c in cells[256:512])
    assert cells[256:512] not in (b"\xff" * 256, b"\x33" * 256)


def test_programming_the_same_again_mends_a_torn_program(board: BoardFiles) -> None:
    torn(board, "bits", 3, 20)
    code = OPEN + "b = bytearray(4096)\np.writeblocks(0, b'\\x33' * 4096, 0)\np.readblocks(0, b)\n"
    assert answer(board, code + "print(json.dumps(b == b'\\x33' * 4096))") is True


def test_metastable_cells_read_differently_until_they_are_erased(board: BoardFiles) -> None:
    torn(board, "metastable", 7, 18)
    assert words(board, layout.W_UNSTABLE)[0] > 0
    code = OPEN + (
        "def read():\n b = bytearray(4096)\n p.readblocks(0, b)\n return bytes(b)\n"
        "before = len(set(read() for _ in range(5)))\np.ioctl(6, 0)\n"
        "print(json.dumps([before, len(set(read() for _ in range(5))), read() == b'\\xff' * 4096]))"
    )
    before, after, blank = answer(board, code)
    assert before > 1
    assert (after, blank) == (1, True)


def test_a_poisoned_sector_holds_noise(board: BoardFiles) -> None:
    assert len(set(torn(board, "poison", 2, 18))) > 200


def test_a_stuck_cell_shows_in_the_read_back(board: BoardFiles) -> None:
    rtc = board.open_rtc()
    rtc[layout.W_STUCK_SECTOR] = SLOT // 4096 + 1
    rtc.close()
    code = OPEN + "b = bytearray(2)\np.ioctl(6, 0)\np.readblocks(0, b)\nprint(json.dumps(list(b)))"
    assert answer(board, code) == [0xFE, 0xFF]


def test_a_write_to_the_running_image_is_a_panic(board: BoardFiles) -> None:
    done = run_on(board, "import esp32\nesp32.Partition(esp32.Partition.RUNNING).ioctl(6, 0)")
    assert "abort()" in done.stdout
    assert words(board, layout.W_EXIT, layout.W_PANICS, layout.W_OPERATIONS) == [layout.EXIT_PANIC, 1, 0]
