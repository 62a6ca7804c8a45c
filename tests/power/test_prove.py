"""`driblet prove` from images and from a package: verdict, exit status, picture."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from otaspec.errors import TABLE

from tests.power import bench


def prove(*words: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "driblet", "prove", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path, Path]:
    old, new, package, key = (tmp_path / name for name in ("old.bin", "new.bin", "full.pkg", "key.pem"))
    old.write_bytes(bench.images()[0])
    new.write_bytes(bench.images()[1])
    package.write_bytes(bench.package("image"))
    key.write_text(bench.SIGNER.public_pem())
    return old, new, package, key


@pytest.mark.slow
def test_two_images(files: tuple[Path, Path, Path, Path], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = prove(files[0], files[1], "--points", 40, "--report", page, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert 38 <= found["runs"] <= 40
    assert [found[n] for n in ("bricks", "not_converged", "wrong")] == [0, 0, 0]
    assert found["operations"] > 600
    assert "40/40" in done.stderr or "39/39" in done.stderr
    text = page.read_text()
    for picture in text.split("<svg")[1:]:
        ElementTree.fromstring("<svg" + picture.split("</svg>")[0] + "</svg>")
    assert text.count("<svg") == 2


# A trap that no uncut update springs: after a power cut the new release destroys the way back.
FATAL = """
import esp32
import machine


async def main(agent):
    if machine.reset_cause() == machine.PWRON_RESET:
        esp32.Partition(esp32.Partition.RUNNING).get_next_update().ioctl(6, 0)
"""


@pytest.mark.slow
def test_a_release_that_a_power_cut_makes_fatal(files: tuple[Path, Path, Path, Path], tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(FATAL)
    page = tmp_path / "page.html"
    done = prove(files[0], files[1], "--app", tmp_path, "--points", 40, "--report", page, "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["wrong"] > 0
    assert {bad["why"] for bad in found["bad"]} == {"the old image was changed"}
    assert "the old image was changed" in page.read_text()


@pytest.mark.slow
def test_a_package(files: tuple[Path, Path, Path, Path], tmp_path: Path) -> None:
    old, _, package, key = files
    done = prove(package, "--old", old, "--key", key, "--points", 20, "--report", tmp_path / "page.html")
    assert done.returncode == 0, done.stderr
    assert " power cuts, 0 bricks" in done.stdout


@pytest.mark.slow
def test_input_that_cannot_be_proved(files: tuple[Path, Path, Path, Path], tmp_path: Path) -> None:
    old, _, package, key = files
    junk = tmp_path / "junk"
    junk.write_bytes(b"no package, no image" * 30)
    for words, name in [
        ((tmp_path / "nothing", old), "FILE_UNREADABLE"),
        ((old, junk), "IMAGE_RAW"),
    ]:
        done = prove(*words, "--report", tmp_path / "page.html", "--json")
        assert done.returncode == 2, done.stderr
        said = json.loads(done.stderr.splitlines()[-1])["error"]
        assert said["name"] == name
        assert said["code"] in TABLE
    for words, wanted in [((old,), "NEW"), ((package,), "--old")]:
        done = prove(*words)
        assert done.returncode == 2
        assert wanted in done.stderr
    damaged = tmp_path / "damaged.pkg"
    damaged.write_bytes(package.read_bytes()[:60] + b"\1" + package.read_bytes()[61:])
    done = prove(damaged, "--old", old, "--key", key, "--report", tmp_path / "page.html")
    assert done.returncode in (1, 2)
    assert "SIGNATURE_WRONG" in done.stderr
