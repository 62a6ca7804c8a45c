"""otaspec.partition: the table as the bootloader reads it, with ESP-IDF's own verdicts."""

import json
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest
from otaspec import partition
from otaspec.partition import Row

ROWS = [
    Row(partition.DATA, partition.NVS, 0x9000, 0x4000, "nvs"),
    Row(partition.DATA, partition.OTA, 0xD000, 0x2000, "otadata"),
    Row(partition.DATA, partition.PHY, 0xF000, 0x1000, "phy_init"),
    Row(partition.APP, partition.OTA_0, 0x10000, 0x180000, "ota_0"),
    Row(partition.APP, partition.OTA_0 + 1, 0x190000, 0x180000, "ota_1"),
]
FLASH = 4 << 20


@pytest.mark.parametrize("constructor", [md5, None])
def test_a_table_reads_as_it_was_built(constructor: Any) -> None:
    raw = partition.build(ROWS, constructor)
    assert len(raw) == partition.MAX_SIZE
    assert partition.parse(raw, FLASH) == ROWS
    assert partition.parse(raw.rstrip(b"\xff"), FLASH) == ROWS


def test_layout_is_what_the_bootloader_makes_of_it() -> None:
    layout = partition.Layout(ROWS)
    assert layout.otadata == ROWS[1]
    assert (layout.factory, layout.test, layout.app_count) == (None, None, 2)
    assert [layout.slot(i) for i in (0, 1, 2, -1, -2)] == [ROWS[3], ROWS[4], None, None, None]
    assert partition.app_slots(ROWS) == 2


def test_every_flipped_bit_of_the_rows_is_found() -> None:
    raw = partition.build(ROWS)
    for bit in range(8 * 32 * len(ROWS)):
        bad = bytearray(raw)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(partition.TableError):
            partition.parse(bad, FLASH)


def test_a_row_beyond_the_flash_is_refused_as_esp_idf_does() -> None:
    with pytest.raises(partition.TableError) as caught:
        partition.parse(partition.build(ROWS), 2 << 20)
    assert caught.value.esp_err == partition.INVALID_SIZE
    assert caught.value.name == "TABLE_INVALID"


def test_too_many_rows_are_refused() -> None:
    rows = [Row(partition.DATA, partition.UNDEFINED, 0, 0, f"r{i}") for i in range(95)]
    assert len(partition.parse(partition.build(rows[:94]), FLASH)) == 94
    assert len(partition.parse(partition.build(rows, None), FLASH)) == 95
    with pytest.raises(partition.TableError):
        partition.build(rows)


def raw_of(case: dict[str, Any], row0: bytes) -> bytes:
    """The bytes of a binary case, which may be given as a recipe."""
    if case.get("bin") is not None:
        return bytes.fromhex(case["bin"])
    raw = b""
    for step in case["rle"]:
        unit, _, count = step.partition("*")
        if unit == "md5":
            raw += partition.MD5_MAGIC + b"\xff" * 14 + md5(raw).digest()
        elif unit != "ff":
            raw += (row0 if unit == "row0" else bytes.fromhex(unit)) * int(count)
    return raw


def verdict(raw: bytes, flash: int) -> dict[str, Any]:
    """Our answer in the oracle's words."""
    try:
        rows = partition.parse(raw, flash)
    except partition.TableError as err:
        return {"err": err.esp_err, "n": 0}
    layout = partition.Layout(rows)
    otadata = layout.otadata
    return {
        "err": 0,
        "n": len(rows),
        "otadata": [otadata.offset, otadata.size] if otadata else [0, 0],
        "factory": layout.factory.offset if layout.factory else 0,
        "test": layout.test.offset if layout.test else 0,
        "app_count": layout.app_count,
        "ota": {str(n): row.offset for n, row in layout.ota.items()},
    }


@pytest.fixture(scope="module")
def oracle(vectors: Path) -> dict[str, Any]:
    return json.loads(Path(vectors, "partition_tables.json").read_text())  # type: ignore[no-any-return]


def test_the_bootloaders_verdict_on_every_binary(oracle: dict[str, Any]) -> None:
    row0 = bytes.fromhex(oracle["binary_cases"][0]["bin"])[:32]
    for case in oracle["binary_cases"]:
        want = dict(case["bootloader"])
        if case["name"] in ("md5_first", "md5_in_middle"):
            want["n"] -= 1  # it counts the sum's row there, and so misses the last one; so do we miss it
        assert verdict(raw_of(case, row0), case["chip"]) == want, case["name"]


def test_tables_from_csv_are_read_and_built_alike(oracle: dict[str, Any]) -> None:
    tried = 0
    for case in oracle["csv_cases"]:
        if "bin" not in case:
            continue
        raw = bytes.fromhex(case["bin"])
        assert verdict(raw, case["flash"]) == case["bootloader"], case["name"]
        constructor = None if "--disable-md5sum" in case["args"] else md5
        built = partition.build(partition.parse(raw, case["flash"]), constructor)
        assert built.rstrip(b"\xff") == raw.rstrip(b"\xff"), case["name"]
        tried += 1
    assert tried >= 30
