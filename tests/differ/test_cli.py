"""`driblet diff`, `apply` and `inspect`: text, JSON, exit statuses."""

import json
from pathlib import Path

import pytest
from otadiff import sign

from tests.conftest import Driblet
from tests.differ.images import image, pair

OLD, NEW = pair()
QUICK = ("--codec", "bsdiff")  # the encoder of codec 3 has to be compiled first


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with old.bin, new.bin and key.pem, and it is the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.bin").write_bytes(OLD)
    (tmp_path / "new.bin").write_bytes(NEW)
    sign.new_key(tmp_path / "key.pem")
    return tmp_path


def test_there_and_back(driblet: Driblet, files: Path) -> None:
    made = driblet(
        "diff", "old.bin", "new.bin", "-o", "update.pkg", "--key", "key.pem", "--version", "1.1.0", *QUICK
    )
    assert (made.status, made.stderr) == (0, "")
    assert made.stdout.startswith("update.pkg: driblet-dev 1.1.0, release 1, for ESP32_GENERIC\n")
    assert max(len(line) for line in made.stdout.splitlines()) <= 80
    done = driblet("apply", "old.bin", "update.pkg", "-o", "out.bin", "--key", "key.pem")
    assert (done.status, done.stderr) == (0, "")
    assert "verified" in done.stdout
    assert "MicroPython" in done.stdout
    assert (files / "out.bin").read_bytes() == NEW
    shown = driblet("inspect", "update.pkg", "--key", "file:key.pem")
    assert shown.status == 0
    assert "checked\n" in shown.stdout


def test_json(driblet: Driblet, files: Path) -> None:
    made = driblet("diff", "old.bin", "new.bin", "-o", "update.pkg", "--key", "key.pem", "--json", *QUICK)
    facts = json.loads(made.stdout)
    wanted = {"old_size", "new_size", "patch_size", "package_size", "codec", "decoder_ram", "seconds"}
    assert wanted < set(facts)
    assert (facts["old_size"], facts["new_size"]) == (len(OLD), len(NEW))
    assert facts["package_size"] == (files / "update.pkg").stat().st_size
    words = ("apply", "old.bin", "update.pkg", "-o", "out.bin", "--key", "key.pem", "--cpython", "--json")
    done = json.loads(driblet(*words).stdout)
    assert (done["image_size"], done["decoder"]) == (len(NEW), "CPython")
    assert json.loads(driblet("inspect", "update.pkg", "--json").stdout)["payload"]["codec"] == facts["codec"]


def test_a_full_image(driblet: Driblet, files: Path) -> None:
    made = driblet("diff", "-", "new.bin", "-o", "full.pkg", "--key", "key.pem", "--codec", "image")
    assert made.status == 0
    assert driblet("apply", "-", "full.pkg", "-o", "out.bin", "--key", "key.pem").status == 0
    assert (files / "out.bin").read_bytes() == NEW


def test_the_development_key_is_made_once_and_said(
    driblet: Driblet, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sign, "build_folder", lambda name: files / "build" / name)
    made = driblet("diff", "old.bin", "new.bin", "-o", "update.pkg", *QUICK)
    assert "Made a development key" in made.stderr
    assert (driblet("apply", "old.bin", "update.pkg", "-o", "out.bin").stderr, made.status) == ("", 0)


def test_raw_files(driblet: Driblet, files: Path) -> None:
    (files / "a").write_bytes(b"abc" * 999)
    (files / "b").write_bytes(b"abd" * 999)
    refused = driblet("diff", "a", "b", "-o", "x", "--key", "key.pem")
    assert refused.status == 2
    assert "602 IMAGE_RAW" in refused.stderr
    assert "What to do:" in refused.stderr
    assert "--raw" in refused.stderr
    assert not (files / "x").exists()
    assert driblet("diff", "a", "b", "-o", "x", "--raw", "--key", "key.pem", *QUICK).status == 0


@pytest.mark.parametrize(
    ("words", "status", "name"),
    [
        ("diff old.bin absent -o x", 2, "FILE_UNREADABLE"),
        ("diff old.bin new.bin -o no/x --codec image", 2, "FILE_UNREADABLE"),
        ("diff old.bin new.bin -o x --board NONE", 2, "NOT_FOUND"),
        ("diff old.bin new.bin -o x --board ESP32_GENERIC_C3", 2, "CHIP_MISMATCH"),
        ("diff old.bin new.bin -o x --codec zip", 2, "NOT_FOUND"),
        ("diff old.bin new.bin -o x --key new.bin", 2, "KEY_INVALID"),
        ("diff old.bin c3.bin -o x", 2, "CHIP_MISMATCH"),
        ("apply old.bin new.bin -o x", 1, "PACKAGE_MAGIC_WRONG"),
        ("apply new.bin update.pkg -o x", 1, "BASE_WRONG"),
        ("apply old.bin cut.pkg -o x", 1, "PACKAGE_TRUNCATED"),
        ("apply old.bin update.pkg -o x --key other.pem", 1, "KEY_UNKNOWN"),
        ("apply old.bin update.pkg -o x --ram 4096", 1, "PATCH_NEEDS_MORE_RAM"),
        ("apply old.bin update.pkg -o x --product lamp", 1, "PRODUCT_WRONG"),
        ("apply old.bin update.pkg -o x --board ESP32_GENERIC_C3", 1, "BOARD_WRONG"),
        ("apply old.bin update.pkg -o x --board ESP32_GENERIC --floor 1", 1, "SEQ_TOO_OLD"),
        ("apply old.bin update.pkg -o x --secure-version 2", 1, "SECURE_VERSION_TOO_OLD"),
        ("inspect absent", 2, "FILE_UNREADABLE"),
    ],
)
def test_what_goes_wrong(driblet: Driblet, files: Path, words: str, status: int, name: str) -> None:
    (files / "c3.bin").write_bytes(image(chip=5))
    sign.new_key(files / "other.pem")
    key = () if "--key" in words or "inspect" in words else ("--key", "key.pem")
    if "apply" in words:
        driblet("diff", "old.bin", "new.bin", "-o", "update.pkg", "--key", "key.pem", *QUICK)
        (files / "cut.pkg").write_bytes((files / "update.pkg").read_bytes()[:-1])
    answer = driblet(*words.split(), *key)
    assert (answer.status, answer.stdout) == (status, "")
    assert name in answer.stderr
    assert "What to do:" in answer.stderr
    assert not (files / "x").exists()


def test_the_same_image_twice(driblet: Driblet, files: Path) -> None:
    words = ("diff", "old.bin", "old.bin", "-o", "x", "--key", "key.pem", *QUICK)
    assert "OLD and NEW are the same image" in driblet(*words).stdout
    facts = json.loads(driblet(*words, "--json").stdout)
    assert facts["same"] is True
    assert facts["estimated_seconds"]["flash"][0] <= 0.1  # one sector of patch


def test_what_inspect_says_has_80_columns(driblet: Driblet, files: Path) -> None:
    (files / "odd.bin").write_bytes(image(project="p" * 31, version="v" * 31))
    shown = driblet("inspect", "odd.bin")
    assert shown.status == 0
    assert max(map(len, shown.stdout.splitlines())) <= 80
    driblet("diff", "old.bin", "new.bin", "-o", "u.pkg", "--key", "key.pem", "--product", "é" * 32, *QUICK)
    assert max(map(len, driblet("inspect", "u.pkg").stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    "words",
    ["diff --json", "diff a b --json --no-such-option", "apply --json", "nothing --json", "sim p d --json"],
)
def test_wrong_usage_in_json(driblet: Driblet, words: str) -> None:
    answer = driblet(*words.split())
    assert (answer.status, answer.stdout) == (2, "")
    assert json.loads(answer.stderr)["error"]["name"] == "REQUEST_INVALID"


def test_a_secret_that_is_none(driblet: Driblet) -> None:
    answer = driblet("sim", "product", "lamp-1", "zz")
    assert answer.status == 2
    assert "613 REQUEST_INVALID  DS: not 64 hex digits" in answer.stderr


@pytest.mark.parametrize("command", ["diff", "apply", "inspect"])
def test_help_has_an_example(driblet: Driblet, command: str) -> None:
    answer = driblet(command, "--help")
    assert answer.status == 0
    assert f"driblet {command} " in answer.stdout


def test_paragraphs_of_help_fill_the_terminal(driblet: Driblet) -> None:
    """Where lines end in the source is no matter of the reader's."""
    first = "Every codec that the board has is tried; the smallest payload wins. The"
    told = [line.split() for line in driblet("diff", "--help").stdout.splitlines()]
    at = told.index(first.split())
    assert told[at + 1][:4] == ["device's", "own", "decoder", "then"]
    assert len(told[at + 1]) > 4
