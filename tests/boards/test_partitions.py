"""CSV tables: the same binary as ESP-IDF's own tool, and the same refusals; what makes a table updatable."""

import json
from pathlib import Path
from typing import Any

import pytest
from otaboards.partitions import read_csv, update_problems, write_csv
from otaspec import partition
from otaspec.errors import InputError

GOLDEN: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "bootloader_spec" / "vectors" / "partition_csv.json").read_text()
)


def binary(case: dict[str, Any]) -> str | None:
    """What we make of a case: hex without trailing FF, None for a refusal."""
    try:
        rows = read_csv(case["csv"], case["flash"])
        raw = partition.build(rows, **({} if case["md5"] else {"md5": None}))
    except InputError as error:
        return None if error.name == "TABLE_INVALID" else error.name
    return bytes(raw).rstrip(b"\xff").hex()


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["name"])
def test_as_gen_esp32part_makes_it(case: dict[str, Any]) -> None:
    assert binary(case) == (case["bin"] and bytes.fromhex(case["bin"]).rstrip(b"\xff").hex())


def test_all_oracle_cases(vectors: Path) -> None:
    cases = json.loads((vectors / "partition_tables.json").read_text())["csv_cases"]
    for case in cases:
        case["md5"] = "--disable-md5sum" not in case["args"]
        assert binary(case) == case.get("bin", None), case["name"]
    assert len(cases) >= 54


@pytest.mark.parametrize("case", [c for c in GOLDEN if c["bin"]], ids=lambda case: case["name"])
def test_written_and_read_again(case: dict[str, Any]) -> None:
    rows = read_csv(case["csv"], case["flash"])
    assert read_csv(write_csv(rows), case["flash"]) == rows


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("x, app, ota_0, 0x10000, ,", "line 2: size is missing"),
        ("x, app, ota_0, 0x10000, 1G,", "line 2: size '1G' is not known"),
        ("x, , ota_0, 0x10000, 1M,", "line 2: type is missing"),
        ("x, app, ota_99, 0x10000, 1M,", "line 2: subtype 'ota_99' is not known"),
        ("x, app, ota_0, 0x11000, 1M,", "line 2: offset 0x11000 is no multiple of 0x10000"),
        ("x, app, ota_0, 0x8000, 1M,", "line 2: starts at 0x8000, before 0x9000"),
        ("x, app, ota_0, 0x10000, 1M, wet", "line 2: flag 'wet' is not known"),
        ("x, app, ota_0, 0x10000, 8M,", "x ends behind the flash of 4 MB"),
    ],
)
def test_a_refusal_names_the_line(line: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_csv("# table\n" + line, 4 << 20)


NVS = "nvs, data, nvs, 0x9000, 0x4000\n"
OTADATA = "otadata, data, ota, 0xd000, 0x2000\n"


@pytest.mark.parametrize(
    ("csv", "says"),
    [
        (NVS + OTADATA + "a, app, ota_0, , 1M\nb, app, ota_1, , 1M", ""),
        (NVS + "a, app, ota_0, , 1M\nb, app, ota_1, , 1M", "no otadata"),
        (OTADATA + "a, app, ota_0, , 1M\nb, app, ota_1, , 1M", "no nvs"),
        (NVS + OTADATA + "a, app, ota_0, , 1M", "1 slots"),
        (NVS + OTADATA + "a, app, ota_0, , 1M\nb, app, ota_2, , 1M", "1 slots"),
        (NVS + OTADATA + "a, app, ota_0, , 1M\nb, app, ota_1, , 960K", "different sizes"),
    ],
)
def test_why_a_valid_table_cannot_be_updated(csv: str, says: str) -> None:
    problems = update_problems(read_csv(csv, 4 << 20))
    assert len(problems) == bool(says)
    assert says in "".join(problems)
