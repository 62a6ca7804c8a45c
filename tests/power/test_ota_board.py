"""The fixture `ota_board`, as users have it: the example is run by a pytest of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_example_of_the_documentation() -> None:
    words = ["-p", "driblet.pytest_plugin", "-p", "no:xdist", "-p", "no:pytest_embedded", "-o", "addopts="]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, str(ROOT / "host_sim" / "examples")],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed" in done.stdout
