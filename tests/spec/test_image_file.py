"""otaspec.image_file: what users hold, and what they are told."""

from pathlib import Path

import pytest
from otaspec import image_file, partition
from otaspec.errors import InputError

from tests.spec.readers import reader

APP = image_file.build([(0x3C000020, image_file.pack_desc("1.0", "demo") + b"x" * 1000)], 5)
BOOTLOADER = image_file.build([(0x3FCD0000, b"P" + b"b" * 999)], 5)
TABLE = partition.build(
    [
        partition.Row(partition.DATA, partition.OTA, 0xD000, 0x2000, "otadata"),
        partition.Row(partition.APP, partition.OTA_0, 0x10000, 0x180000, "ota_0"),
        partition.Row(partition.APP, partition.OTA_0 + 1, 0x190000, 0x180000, "ota_1"),
    ]
)


def combined(starts_at: int, bootloader_at: int) -> bytes:
    """The flash from `starts_at` on, as esptool merge-bin writes it."""
    flash = bytearray(b"\xff" * (0x10000 + len(APP)))
    for at, part in ((bootloader_at, BOOTLOADER), (partition.OFFSET, TABLE), (0x10000, APP)):
        flash[at : at + len(part)] = part
    return bytes(flash[starts_at:])


def refusal(raw: bytes, chip: int | None = None) -> InputError:
    with pytest.raises(InputError) as caught:
        image_file.check(reader(raw), len(raw), chip)
    return caught.value


def test_an_app_image_passes() -> None:
    assert image_file.check(reader(APP), len(APP), 5).size == len(APP)


@pytest.mark.parametrize(
    ("starts_at", "bootloader_at", "app_at"),
    [
        (0x0, 0x0, 0x10000),  # C3, S3, C6: the file starts at 0
        (0x0, 0x1000, 0x10000),  # ESP32, S2 padded to 0
        (0x1000, 0x1000, 0xF000),  # ESP32, S2 as MicroPython ships it
        (0x2000, 0x2000, 0xE000),  # C5, P4
    ],
)
def test_a_combined_image_is_named_with_the_remedy(starts_at: int, bootloader_at: int, app_at: int) -> None:
    raw = combined(starts_at, bootloader_at)
    found = refusal(raw)
    assert found.name == "IMAGE_COMBINED"
    assert f"0x{app_at:x}" in found.evidence
    assert image_file.find_app(reader(raw), len(raw)) == app_at
    app = raw[app_at:]
    assert image_file.check(reader(app), len(app)).size == len(APP)


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"", "IMAGE_RAW"),
        (b"\xff" * 5000, "IMAGE_RAW"),
        (b"\x7fELF" + bytes(5000), "IMAGE_RAW"),
        (b"\xe9", "IMAGE_TRUNCATED"),
        (APP[:200], "IMAGE_TRUNCATED"),
        (APP[:-1], "IMAGE_TRUNCATED"),
        (BOOTLOADER, "IMAGE_INVALID"),
        (APP + b"\0", "IMAGE_INVALID"),
        (APP + b"\1" * 68, "IMAGE_INVALID"),
    ],
)
def test_what_it_is_not(raw: bytes, name: str) -> None:
    assert refusal(raw).name == name


def test_an_empty_file_is_called_empty() -> None:
    assert refusal(b"").evidence == "the file is empty"


def test_the_chip_is_compared() -> None:
    found = refusal(APP, 9)
    assert found.name == "CHIP_MISMATCH"
    assert "ESP32-C3" in found.evidence
    assert "ESP32-S3" in found.evidence


def test_signature_trailers_are_known() -> None:
    v1 = APP + b"\0" * 68
    assert image_file.check(reader(v1), len(v1)).size == len(APP)
    assert image_file.trailer(reader(v1), len(APP), len(v1)) == "secure-boot-v1"
    v2 = APP + b"\xff" * (-len(APP) % 4096) + b"\xe7\x02" + b"\0" * 4094
    assert image_file.check(reader(v2), len(v2)).size == len(APP)
    assert image_file.trailer(reader(v2), len(APP), len(v2)) == "secure-boot-v2"


def test_real_files_that_are_no_esp32_apps(corpus: Path) -> None:
    for pattern, name in (("det_micropython_esp8266*.bin", "IMAGE_INVALID"), ("det_pyb*.bin", "IMAGE_RAW")):
        files = list(corpus.glob(pattern))
        assert files
        for file in files:
            assert refusal(file.read_bytes()).name == name
