"""The device's decoder over files: right bytes or no file at all, the same on both Pythons."""

from pathlib import Path

import pytest
from otaboards import loader
from otadiff import build
from otadiff.apply import apply_files
from otaspec.errors import OtaError

from tests.differ.test_build import NEW, OLD, SIGNER, make


@pytest.fixture(scope="module")
def package() -> bytes:
    return make(loader.load("ESP32_GENERIC"), codecs=["bsdiff"]).data


def run(
    folder: Path, package: bytes, old: bytes | None = OLD, cpython: bool = True, **facts: object
) -> bytes:
    for name, data in (("old", old or b""), ("package", package)):
        (folder / name).write_bytes(data)
    base = folder / "old" if old is not None else None
    apply_files(base, folder / "package", folder / "new", [SIGNER.public], cpython=cpython, facts=facts)
    return (folder / "new").read_bytes()


@pytest.mark.parametrize("cpython", [True, False])
@pytest.mark.parametrize("codec", ["image", "heatshrink", "bsdiff"])
def test_both_pythons(tmp_path: Path, codec: str, cpython: bool) -> None:
    package = make(loader.load("ESP32_GENERIC"), codecs=[codec]).data
    assert run(tmp_path, package, OLD if codec == "bsdiff" else None, cpython) == NEW
    assert {p.name for p in tmp_path.iterdir()} == {"old", "package", "new"}


def altered(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


@pytest.mark.parametrize("cpython", [True, False])
def test_what_is_refused(tmp_path: Path, package: bytes, cpython: bool) -> None:
    cases = [
        ("PACKAGE_MAGIC_WRONG", NEW, OLD),
        ("PACKAGE_TRUNCATED", package[:-1], OLD),
        ("PACKAGE_TRAILING_BYTES", package + b"\0", OLD),
        ("SIGNATURE_WRONG", altered(package, 100), OLD),
        ("PAYLOAD_HASH_WRONG", altered(package, len(package) - 3), OLD),
        ("BASE_WRONG", package, NEW),
        ("BASE_WRONG", package, None),
    ]
    for name, data, old in cases:
        with pytest.raises(OtaError, match=name):
            run(tmp_path, data, old, cpython)
        assert {p.name for p in tmp_path.iterdir()} == {"old", "package"}


def test_the_key_must_be_known(tmp_path: Path, package: bytes) -> None:
    (tmp_path / "old").write_bytes(OLD)
    (tmp_path / "package").write_bytes(package)
    with pytest.raises(OtaError, match="KEY_UNKNOWN"):
        apply_files(tmp_path / "old", tmp_path / "package", tmp_path / "new", [bytes(64)], cpython=True)


@pytest.mark.parametrize("cpython", [True, False])
def test_files_that_are_not_there(tmp_path: Path, cpython: bool) -> None:
    keys = [SIGNER.public]
    with pytest.raises(OtaError, match=r"FILE_UNREADABLE.*absent"):
        apply_files(None, tmp_path / "absent", tmp_path / "new", keys, cpython=cpython)
    (tmp_path / "package").write_bytes(b"DRB1")
    with pytest.raises(OtaError, match=r"FILE_UNREADABLE.*new"):
        apply_files(None, tmp_path / "package", tmp_path / "no" / "new", keys, cpython=cpython)


def test_a_decoder_that_runs_out_of_memory_is_said(
    tmp_path: Path, package: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otadiff.apply._HEAP", 8 << 10)
    with pytest.raises(OtaError, match="OUT_OF_MEMORY"):
        run(tmp_path, package, cpython=False, ram=16384)


@pytest.mark.parametrize("cpython", [True, False])
def test_policy(tmp_path: Path, package: bytes, cpython: bool) -> None:
    """What is said about the board is checked; what is not suits the package."""
    right = {"product": "lamp", "board": "ESP32_GENERIC", "chip": 0, "seq_floor": 6, "codecs": [2]}
    assert run(tmp_path, package, OLD, cpython, ram=8000, slot_size=1 << 20, **right) == NEW
    cases = [
        ("PATCH_NEEDS_MORE_RAM", {"ram": 4096}),
        ("PRODUCT_WRONG", {"product": "toaster"}),
        ("BOARD_WRONG", {"board": "ESP32_GENERIC_C3"}),
        ("CHIP_WRONG", {"chip": 5}),
        ("SEQ_TOO_OLD", {"seq_floor": 7}),
        ("SECURE_VERSION_TOO_OLD", {"secure_version": 1}),
        ("IMAGE_TOO_LARGE", {"slot_size": 4096}),
        ("STAGING_TOO_SMALL", {"staging": 10}),
        ("CODEC_UNKNOWN", {"codecs": [0, 3]}),
    ]
    (tmp_path / "new").unlink()
    for name, facts in cases:
        with pytest.raises(OtaError, match=name):
            run(tmp_path, package, OLD, cpython, **facts)
        assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_every_altered_byte_of_a_small_package(tmp_path: Path) -> None:
    old, new = bytes(range(256)) * 4, bytes(range(256)) * 4 + b"more"
    package = make(build.raw_board(), old, new, codecs=["bsdiff"]).data
    for at in range(len(package)):
        with pytest.raises(OtaError):
            run(tmp_path, altered(package, at), old)
