"""Packages: what goes in is checked, what comes out was applied by the device's decoder."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from otaboards import loader
from otaboards.loader import Board
from otadiff import build, plan
from otadiff.codecs import Encoded
from otadiff.sign import Signer
from otaspec import image, keyset, verify
from otaspec.errors import OtaError

from tests.differ.images import image as app_image
from tests.differ.images import pair

SIGNER = Signer(ec.derive_private_key(0xD21B, ec.SECP256R1()))
KEYS = keyset.KeySet([keyset.Key(SIGNER.public)])
OLD, NEW = pair()
QUICK = ["image", "heatshrink", "bsdiff"]  # the encoder of codec 3 has to be compiled first


@pytest.fixture(scope="module")
def esp32() -> Board:
    return loader.load("ESP32_GENERIC")


def make(board: Board, old: bytes | None = OLD, new: bytes = NEW, **options: Any) -> build.Package:
    fields = {"product": "lamp", "version": "1.1.0", "seq": 7, "signer": SIGNER, "codecs": QUICK} | options
    return build.build_package(old, new, board=board, **fields)


def test_a_patch(esp32: Board) -> None:
    made = make(esp32)
    found = verify.open_package(made.data, KEYS)
    assert (found.seq, found.product, found.version) == (7, "lamp", "1.1.0")
    assert (found.board, found.chip) == ("ESP32_GENERIC", 0)
    assert found.base_sha256 == hashlib.sha256(OLD).digest()
    assert found.image_sha256 == hashlib.sha256(NEW).digest()
    assert found.payload_params == made.encoded.params
    facts = made.facts()
    assert facts["package_size"] == len(made.data) == found.payload_offset + facts["patch_size"]
    assert facts["patch_size"] == min(made.tried.values())
    assert facts["decoder"].startswith("MicroPython")
    json.dumps(facts)


@pytest.mark.parametrize(("before", "after", "said"), [(3, 2, 2), (2, 2, 3), (2, 2, 1)])
def test_the_security_counter_never_falls(esp32: Board, before: int, after: int, said: int) -> None:
    old, new = app_image(secure_version=before), app_image(secure_version=after)
    with pytest.raises(OtaError, match="SECURE_VERSION_TOO_OLD"):
        make(esp32, old, new, secure_version=said)


def test_a_full_image(esp32: Board) -> None:
    made = make(esp32, None)
    found = verify.open_package(made.data, KEYS)
    assert (found.base_size, made.facts()["old_size"]) == (0, None)
    assert set(made.tried) == {"image", "heatshrink"}


NAMES = [*QUICK, pytest.param("address", marks=pytest.mark.slow)]


@pytest.mark.parametrize("name", NAMES)
def test_each_codec_when_named(esp32: Board, name: str) -> None:
    made = make(esp32, codecs=[name])
    assert list(made.tried) == [name]
    assert made.facts()["codec"] == name


def test_every_codec_is_tried_by_name() -> None:
    assert {codec.name for codec in plan.CODECS} == {*QUICK, "address"}
    assert [codec.number for codec in plan.CODECS] == [0, 1, 2, 3]


def test_further_fields(esp32: Board) -> None:
    new = app_image(secure_version=3)
    found = verify.open_package(make(esp32, None, new, device="cellar", min_agent=2).data, KEYS)
    assert (found.secure_version, found.device, found.min_agent) == (3, "cellar", 2)


def test_progress_rises_from_start_to_end(esp32: Board) -> None:
    seen: list[float | None] = []
    make(esp32, progress=lambda _what, share: seen.append(share))
    assert seen == sorted(seen, key=lambda share: -1 if share is None else share)
    assert seen[0] != seen[-1] == 1.0


def test_the_same_inputs_give_the_same_bytes(esp32: Board) -> None:
    assert make(esp32).data == make(esp32).data


def combined() -> bytes:
    table = loader.load("ESP32_GENERIC").table
    return bytes([0xE9]) + bytes(0x7FFF) + table.ljust(0x1000, b"\xff") + bytes(0x7000) + NEW


REFUSED = [
    ("IMAGE_RAW", b""),
    ("IMAGE_RAW", bytes(5000)),
    ("IMAGE_TRUNCATED", NEW[:-1]),
    ("IMAGE_CHECKSUM_WRONG", NEW[:10_000] + bytes([NEW[10_000] ^ 1]) + NEW[10_001:]),
    ("IMAGE_INVALID", NEW + bytes(100)),
    ("IMAGE_COMBINED", combined()),
    ("CHIP_MISMATCH", app_image(chip=5)),
    ("NO_BOARD_FITS", app_image(size=0x180000)),
]


@pytest.mark.parametrize(("name", "wrong"), REFUSED, ids=[name for name, _ in REFUSED])
def test_what_is_no_image_for_the_board(esp32: Board, name: str, wrong: bytes) -> None:
    with pytest.raises(OtaError, match=name):
        make(esp32, OLD, wrong)
    with pytest.raises(OtaError, match=name):
        make(esp32, wrong, NEW)


def test_the_smallest_board(esp32: Board) -> None:
    assert build.board_for(NEW) == esp32
    assert build.board_for(app_image(chip=5, size=0x180000)).name == "ESP32_GENERIC_C3-8M"
    with pytest.raises(OtaError, match="NO_BOARD_FITS"):
        build.board_for(app_image(chip=image.LINUX_HOST, size=0x400000))


def test_raw_bytes_for_measuring() -> None:
    old, new = bytes(range(256)) * 30, bytes(range(255)) * 30
    board = build.board_for(new, raw=True)
    assert (board.name, board.chip_id) == ("RAW", 0xFFFF)
    assert make(board, old, new).facts()["new_size"] == len(new)


def test_a_decoder_that_makes_another_image_is_found_out(
    esp32: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(_: bytes | None, new: bytes, ram: int, progress: object) -> Encoded:
        return Encoded(0, {}, bytes(len(new) - 32), 0, new[:32])

    monkeypatch.setattr(plan, "CODECS", [plan.Codec(0, "image", False, wrong)])
    with pytest.raises(OtaError, match="IMAGE_HASH_WRONG"):
        make(esp32, codecs=())


def test_nothing_fits(esp32: Board) -> None:
    with pytest.raises(OtaError, match="STAGING_TOO_SMALL"):
        make(replace(esp32, decoder_ram=5000), codecs=["bsdiff"])
    with pytest.raises(OtaError, match="NOT_FOUND"):
        make(esp32, codecs=["zip"])


@pytest.mark.slow
def test_esp32_text(corpus: Path) -> None:
    old = (corpus / "st_GENERIC-7789_ad788fb.bin").read_bytes()
    new = (corpus / "st_GENERIC-7789_20e3cb5.bin").read_bytes()
    made = make(build.board_for(new), old, new, codecs=())
    assert made.facts()["codec"] == "address"
    assert made.tried["address"] < 2_000
    assert made.tried["bsdiff"] < 39_200
