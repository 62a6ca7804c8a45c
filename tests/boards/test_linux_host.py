"""LINUX_HOST images: ESP images to everybody, with the code that a board runs."""

import subprocess
import sys
from pathlib import Path

import pytest
from otaboards import linux_host, load, runtime
from otaspec import bundle, image, image_file
from otaspec.errors import InputError, TargetError

from ..spec.readers import reader

BLINK = Path(__file__).parents[2] / "firmware" / "examples" / "blink"
BAD = BLINK.parent / "bad"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return linux_host.build_image(BLINK, version="1.2.3", out=tmp_path_factory.mktemp("out") / "a.bin")


def contents(raw: bytes) -> dict[str, bytes]:
    """The files of an image, as a bootloader takes them out."""
    found = image.verify(reader(raw), len(raw), image.LINUX_HOST)
    return {name: raw[at : at + size] for name, at, size in bundle.in_image(reader(raw), found)}


def test_it_is_an_app_image_of_its_board(built: Path) -> None:
    raw = built.read_bytes()
    found = image_file.check(reader(raw), len(raw), image.LINUX_HOST)
    assert found.size == len(raw) <= load("LINUX_HOST").slot_size
    desc = image.read_desc(reader(raw), len(raw))
    assert (desc["version"], desc["project"]) == ("1.2.3", "LINUX_HOST")
    with pytest.raises(InputError, match="CHIP_MISMATCH"):
        image.verify(reader(raw), len(raw), 0)


def test_esptool_accepts_it(built: Path) -> None:
    words = [sys.executable, "-m", "esptool", "--chip", "esp32", "image-info", str(built)]
    answer = subprocess.run(words, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert "Checksum: " in answer.stdout
    assert "(valid)" in answer.stdout
    assert "Validation hash: " in answer.stdout
    assert "invalid" not in answer.stdout
    assert "App version: 1.2.3" in answer.stdout


def test_the_same_input_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    again = linux_host.build_image(BLINK, version="1.2.3", out=tmp_path / "b.bin")
    assert again.read_bytes() == built.read_bytes()
    other = linux_host.build_image(BLINK, version="1.2.4", out=tmp_path / "c.bin")
    assert other.read_bytes() != built.read_bytes()


def test_it_holds_the_agent_and_the_application_and_nothing_of_the_host(built: Path) -> None:
    files = contents(built.read_bytes())
    assert {"boot.py", "main.py", "app.py", "otaspec/verify.mpy", "otaagent/__init__.mpy"} <= set(files)
    assert not [name for name in files if "remedies" in name or "image_file" in name or "__pycache__" in name]
    assert files["app.py"] == (BLINK / "app.py").read_bytes()


@pytest.mark.parametrize("kind", ["self-test", "import", "hang", "hang-late", "offline"])
def test_a_bad_release_is_the_good_one_with_files_replaced(built: Path, tmp_path: Path, kind: str) -> None:
    replaced = linux_host.folder_files(BAD / kind)
    bad = linux_host.build_image(BLINK, version="1.2.3", out=tmp_path / "bad.bin", extra_files=replaced)
    assert contents(bad.read_bytes()) == contents(built.read_bytes()) | replaced
    assert replaced


def test_micropython_imports_the_contract_out_of_it(built: Path, tmp_path: Path) -> None:
    for name, data in contents(built.read_bytes()).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    code = "from otaspec import verify, image, errors; print(errors.code('BOARD_WRONG'))"
    answer = runtime.find().run(code, path=[tmp_path], timeout=10)
    assert (answer.stdout, answer.stderr) == ("202\n", "")


@pytest.mark.parametrize(
    ("version", "files", "says"),
    [
        ("1" * 32, {}, r"IMAGE_INVALID: .* is longer than 31 bytes"),
        ("1", {"../up.py": b""}, r"IMAGE_INVALID: .*is no name for a bundle"),
    ],
)
def test_what_does_not_go_into_an_image(
    tmp_path: Path, version: str, files: dict[str, bytes], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        linux_host.build_image(BLINK, version=version, out=tmp_path / "x.bin", extra_files=files)
    assert list(tmp_path.iterdir()) == []


def test_an_application_that_is_too_large(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"IMAGE_TOO_LARGE: [67]\d+ bytes, the slot has 524288"):
        linux_host.build_image(BLINK, version="1", out=tmp_path / "x", extra_files={"big": bytes(600_000)})


def test_no_such_application(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="NOT_FOUND: folder"):
        linux_host.build_image(tmp_path / "none", version="1", out=tmp_path / "x")
