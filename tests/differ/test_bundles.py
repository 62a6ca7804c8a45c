"""`driblet diff --bundle`: the application's files in the package of an image, or alone."""

import hashlib
import json
from pathlib import Path

import pytest
from otaspec import image, image_file

from tests.conftest import Driblet

OLD, NEW = (
    image_file.build([(0x3F400020, image_file.pack_desc(text) + text.encode() * 2000)], image.LINUX_HOST)
    for text in ("1.0.0", "1.1.0")
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("old.bin").write_bytes(OLD)
    Path("new.bin").write_bytes(NEW)
    Path("app/lib").mkdir(parents=True)
    Path("app/app.py").write_text("WORD = 1\n")
    Path("app/lib/words.py").write_text("")
    Path("app/.hidden").write_text("not mine")
    return tmp_path


@pytest.mark.parametrize(("old", "codec"), [("old.bin", None), ("-", "heatshrink"), ("new.bin", "kept")])
def test_the_files_come_with_the_image_or_alone(here: Path, driblet: Driblet, old: str, codec: str) -> None:
    made = driblet("diff", old, "new.bin", "-o", "out.pkg", "--bundle", "app", "--json")
    assert made.status == 0, made.stderr
    facts = json.loads(made.stdout)
    assert codec in (None, facts["codec"])
    assert 0 < facts["bundle_size"] < 100
    assert facts["package_size"] == (here / "out.pkg").stat().st_size
    seen = json.loads(driblet("inspect", "out.pkg", "--json").stdout)
    assert seen["bundle"] == {"size": facts["bundle_size"], "sha256": facts["bundle_sha256"]}
    assert driblet("apply", old, "out.pkg", "-o", "again.bin").status == 0
    assert (here / "again.bin").read_bytes() == NEW
    if old != "-":
        other = "old.bin" if old == "new.bin" else "new.bin"
        assert "BASE_WRONG" in driblet("apply", other, "out.pkg", "-o", "x.bin").stderr


def test_a_package_with_another_bundle_than_was_signed(here: Path, driblet: Driblet) -> None:
    facts = json.loads(driblet("diff", "-", "new.bin", "-o", "a.pkg", "--bundle", "app", "--json").stdout)
    raw = bytearray((here / "a.pkg").read_bytes())
    at = raw.index(b"BNDL")
    assert hashlib.sha256(raw[at : at + facts["bundle_size"]]).hexdigest() == facts["bundle_sha256"]
    raw[at + 20] ^= 1
    (here / "b.pkg").write_bytes(raw)
    for command in (("inspect", "b.pkg"), ("apply", "-", "b.pkg", "-o", "x.bin")):
        found = driblet(*command)
        assert found.status == 1
        assert "PAYLOAD_HASH_WRONG" in found.stderr + found.stdout


def test_what_is_no_bundle(here: Path, driblet: Driblet) -> None:
    Path("empty").mkdir()
    Path("agent/otaagent").mkdir(parents=True)
    Path("agent/otaagent/boot.py").write_text("")
    for folder, name in (("none", "NOT_FOUND"), ("empty", "BUNDLE_INVALID"), ("agent", "BUNDLE_INVALID")):
        found = driblet("diff", "-", "new.bin", "-o", "x.pkg", "--bundle", folder)
        assert found.status in (1, 2)
        assert name in found.stderr
        assert not (here / "x.pkg").exists()
