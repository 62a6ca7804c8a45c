"""Files in words: what it is, what is in it, what is wrong with it."""

import hashlib
from typing import Any

import pytest
from otaboards import loader
from otadiff.inspect import inspect
from otasim.parts import nvs
from otaspec import image_file, journal, otadata
from otaspec.errors import OtaError

from tests.differ.images import image, pair
from tests.differ.test_build import SIGNER, combined, make

OLD, NEW = pair()
BOARD = loader.load("ESP32_GENERIC")


def text(data: bytes) -> str:
    return "\n".join(inspect(data).lines)


def test_an_app_image() -> None:
    found = inspect(image(version="2.0", project="lamp", secure_version=4))
    assert (found.kind, found.problem) == ("app image", None)
    shown = "\n".join(found.lines)
    assert "project lamp, version 2.0" in shown
    assert "security counter 4" in shown
    assert "Smallest board: ESP32_GENERIC," in shown
    assert max(len(line) for line in found.lines) <= 80
    assert found.facts["chip"] == "ESP32"


@pytest.mark.parametrize(
    ("data", "kind", "name"),
    [
        (NEW[:-1], "image", "IMAGE_TRUNCATED"),
        (NEW[:5000] + b"\xaa\xbb\xcc" + NEW[5003:], "app image", "IMAGE_CHECKSUM_WRONG"),
        (combined(), "combined image", "IMAGE_COMBINED"),
        (b"", "unknown", "IMAGE_RAW"),
        (b"hello", "unknown", "IMAGE_RAW"),
        (b"\xe9", "image", "IMAGE_TRUNCATED"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, kind: str, name: str) -> None:
    found = inspect(data)
    assert found.kind == kind
    assert found.problem
    assert found.problem.name == name
    assert found.as_json()["problem"]["remedy"]


def test_a_combined_image_says_where_the_app_is() -> None:
    found = inspect(combined())
    assert found.facts["app_offset"] == 0x10000
    assert "  App image for ESP32" in "\n".join(found.lines)


def test_a_partition_table() -> None:
    found = inspect(BOARD.table)
    assert (found.kind, found.problem) == ("partition table", None)
    assert [row["label"] for row in found.facts["partitions"]][1] == "otadata"
    assert inspect(b"\xaa\x50" + bytes(30)).problem


def test_a_package() -> None:
    made = make(BOARD, version="1.1.0\x1b[2J", codecs=["bsdiff"])
    found = inspect(made.data)
    assert found.problem is None
    assert not found.facts["signature_checked"]
    assert "\x1b" not in text(made.data)
    assert found.facts["payload"]["codec"] == "bsdiff"
    assert inspect(made.data, [SIGNER.public]).facts["signature_checked"]
    wrong: list[tuple[bytes, list[bytes], str]] = [
        (made.data, [bytes(64)], "KEY_UNKNOWN"),
        (made.data[:-1], [], "PACKAGE_TRUNCATED"),
        (made.data[:-1] + b"\0", [], "PAYLOAD_HASH_WRONG"),
        (made.data[:50], [], "CBOR_MALFORMED"),
        (made.data[:100] + b"\xff" + made.data[101:], [SIGNER.public], "SIGNATURE_WRONG"),
    ]
    for data, keys, name in wrong:
        problem = inspect(data, keys).problem
        assert isinstance(problem, OtaError)
        assert name in (problem.name, "SIGNATURE_WRONG")


def test_otadata() -> None:
    raw = otadata.pack(3, otadata.VALID).ljust(4096, b"\xff") + otadata.pack(4, otadata.PENDING)
    shown = text(raw.ljust(8192, b"\xff"))
    assert "otadata 0: sequence 3: slot 0, VALID" in shown
    assert "otadata 1: sequence 4: slot 1, PENDING_VERIFY" in shown


def flash(*, first: bytes = OLD, second: bytes = b"", state: int = otadata.VALID) -> bytearray:
    data = bytearray(b"\xff" * BOARD.flash_size)
    put: list[tuple[int, Any]] = [(0x8000, BOARD.table)]
    put += [(row.offset, raw) for row, raw in zip(BOARD.slots, (first, second), strict=True)]
    put += [(BOARD.rows[1].offset, otadata.pack(1, state))]
    for at, raw in put:
        data[at : at + len(raw)] = raw
    return data


def test_a_flash_file() -> None:
    data = flash(second=NEW)
    area = memoryview(data)[BOARD.rows[0].offset :][: BOARD.rows[0].size]
    sha256 = hashlib.sha256(NEW).digest()
    records = {
        journal.FLOOR: {"seq": 5, "key_set": 1},
        journal.KNOWN: {"images": [[sha256, 6, "1.1.0"]]},
        journal.BLOCKED: {"images": [[sha256, 6]]},
    }
    for seq in (4, 5):  # the older record is still in the other bank
        records[journal.FLOOR]["seq"] = seq
        for kind, record in records.items():
            key = journal.BLOBS[kind][0]
            assert nvs.put(area, journal.NAMESPACE, key, nvs.BLOB, journal.encode(kind, record))
    found = inspect(bytes(data))
    shown = "\n".join(found.lines)
    assert found.kind == "flash"
    assert f"slot 0: ESP32 image, {len(OLD):,} bytes" in shown
    assert f"slot 1: ESP32 image, version 1.1.0 (release 6), {len(NEW):,} bytes" in shown
    assert "Next to boot: slot 0." in shown
    assert "agent: accepts releases above 5, key set 1" in shown
    assert "agent: release 6" in shown
    assert found.facts["slots"][1]["sha256"] == sha256.hex()
    assert found.facts["journal"]["floor"] == {"seq": 5, "key_set": 1}
    assert max(len(line) for line in found.lines) <= 80


def test_a_flash_file_of_which_nothing_boots() -> None:
    shown = text(bytes(flash(first=b"")))
    assert "slot 0: nothing that boots" in shown
    assert "Nothing boots" in shown
    assert "The agent remembers nothing." in shown


def test_a_signed_image() -> None:
    assert "signed   secure-boot-v1" in text(NEW + bytes(image_file.V1_SIGNATURE))
