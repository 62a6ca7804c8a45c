"""What `driblet diff` says: within 80 columns, and a word for every part."""

import json
from pathlib import Path

import pytest
from otadiff import account, report, sign
from otadiff.codecs import Encoded, Region, stage
from otadiff.image import Cpu
from otadiff.patchfile import PARTS

from tests.conftest import Driblet
from tests.differ.images import pair
from tests.differ.synthetic import build, grow, program


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with old.bin, new.bin and key.pem, and it is the current one."""
    monkeypatch.chdir(tmp_path)
    sign.new_key(tmp_path / "key.pem")
    for name, data in zip(("old.bin", "new.bin"), pair(), strict=True):
        (tmp_path / name).write_bytes(data)
    return tmp_path


def diff(driblet: Driblet, *words: str) -> str:
    made = driblet("diff", "old.bin", "new.bin", "-o", "update.pkg", "--key", "key.pem", *words)
    assert made.status == 0, made.stderr
    assert "--json" in words or max(map(len, made.stdout.splitlines())) <= 80
    return made.stdout


def test_explained(driblet: Driblet, files: Path) -> None:
    made = program(Cpu.XTENSA, 5)
    (files / "old.bin").write_bytes(build(made))
    (files / "new.bin").write_bytes(build(grow(made, 40, 1, instructions=200)))
    said = diff(driblet, "--codec", "address", "--explain", "--raw")
    assert "literals: new bytes, sent as they are" in said
    assert "What costs most: " in said
    assert "1 code" in said
    facts = json.loads(diff(driblet, "--codec", "address", "--explain", "--raw", "--json"))
    assert sum(facts["parts"].values()) == facts["patch_size"]
    assert facts["estimated_seconds"]["total"][0] > 0
    assert facts["regions"][0]["dominant"] == "literals"
    assert facts["regions"][0]["bytes"] <= facts["patch_size"]


@pytest.mark.parametrize("codec", ["image", "heatshrink", "bsdiff"])
def test_other_codecs(driblet: Driblet, files: Path, codec: str) -> None:
    said = diff(driblet, "--codec", codec, "--explain")
    assert f"Codec {codec} keeps no account" in said
    assert "estimate" in said
    facts = json.loads(diff(driblet, "--codec", codec, "--json"))
    assert sum(facts["parts"].values()) == facts["patch_size"]
    assert "regions" not in facts


def test_every_part_has_words() -> None:
    assert {account.HEADER, *PARTS, "image", "compressed image", "compressed records"} == set(report.WORDS)


def test_the_widest_table_fits() -> None:
    for part in PARTS:
        region = Region(0xFFFF00, 0x1000000, 0x42000000, "15 code", 9_999_999, {part: 9_999_999})
        lines = report.explanation([region] * 10, Encoded(3, {}, bytes(9_999_999), 0))
        assert max(map(len, lines)) <= 80


def test_stages_follow_each_other() -> None:
    seen: list[float | None] = []
    for start, end in ((0.0, 0.25), (0.25, 1.0)):
        step = stage(lambda _, share: seen.append(share), start, end)
        for share in (None, 0.5, 1.0):
            step("", share)
    assert seen == [0.0, 0.125, 0.25, 0.25, 0.625, 1.0]
