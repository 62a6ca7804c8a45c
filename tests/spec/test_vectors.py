"""The golden vectors: made by other people's libraries, held by ours."""

import subprocess
import sys
from pathlib import Path

import pytest

VECTORS = Path(__file__).parents[2] / "bootloader_spec" / "vectors"
SPEC = VECTORS.parent
NAMES = ("cbor", "keyset", "mac", "manifest", "p256")


def test_the_vectors_are_what_their_maker_makes(tmp_path: Path) -> None:
    maker = tmp_path / "make.py"
    maker.write_text((VECTORS / "make.py").read_text())
    subprocess.run([sys.executable, maker], check=True)
    for name in NAMES:
        assert (tmp_path / f"{name}.json").read_text() == (VECTORS / f"{name}.json").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_cpython_holds_the_vectors(name: str) -> None:
    command = [sys.executable, VECTORS / "check.py", VECTORS, name]
    run = subprocess.run(command, env={"PYTHONPATH": str(SPEC)}, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, ""), run.stdout + run.stderr
