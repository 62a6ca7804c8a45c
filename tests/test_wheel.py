"""The wheel holds all that the commands need, without a checkout beside it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODE = """
from pathlib import Path
import sys
import driblet, otasim.parts
from otaboards import linux_host
from otaboards.folders import build_folder
from driblet import cli
here = Path(sys.argv[1])
assert Path(driblet.__file__).is_relative_to(here), driblet.__file__
assert otasim.parts.MODULES.is_relative_to(here)
assert otasim.parts.LAB.is_relative_to(here)
assert (otasim.parts.LAB / "_lab" / "main.py").is_file()
from importlib.metadata import distribution
(plugin,) = distribution("driblet").entry_points.select(group="pytest11")
assert plugin.load().ota_board
assert build_folder("x").is_relative_to(here.parent / "cache")
blink = linux_host.firmware_folder() / "examples" / "blink"
print(linux_host.build_image(blink, version="1", out=here.parent / "image.bin", arch="").stat().st_size)
sys.argv = ["driblet", "board", "check", "LINUX_HOST"]
cli.main()
"""


@pytest.mark.slow
def test_an_installed_wheel_builds_an_image_and_lists_boards(tmp_path: Path) -> None:
    quiet = ["--quiet", "--disable-pip-version-check", "--no-deps"]
    pip = [sys.executable, "-m", "pip"]
    subprocess.run([*pip, "wheel", *quiet, "--wheel-dir", tmp_path, ROOT], check=True, timeout=300)
    wheel = next(tmp_path.glob("driblet-*.whl"))
    here = tmp_path / "installed"
    subprocess.run([*pip, "install", *quiet, "--target", here, wheel], check=True, timeout=300)
    environment = os.environ | {"PYTHONPATH": str(here), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    answer = subprocess.run(
        [sys.executable, "-c", CODE, here], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
    assert "LINUX_HOST: a stock bootloader takes this table" in answer.stdout
