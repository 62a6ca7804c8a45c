"""The golden vectors: made by other people's libraries, held by ours."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from otaboards import runtime
from otaspec.errors import PatchError

from tests.spec import make_address
from tests.spec.memory import decode

VECTORS = Path(__file__).parents[2] / "bootloader_spec" / "vectors"
SPEC = VECTORS.parent
NAMES = (
    "address",
    "boot",
    "bsdiff",
    "bundle",
    "cbor",
    "image",
    "journal",
    "keyset",
    "mac",
    "manifest",
    "mqtt",
    "p256",
    "rules",
)


@pytest.mark.slow
def test_the_vectors_are_what_their_makers_make(tmp_path: Path) -> None:
    fresh = tmp_path / "vectors"
    fresh.mkdir()
    (tmp_path / "SLOTS.md").write_text((SPEC / "SLOTS.md").read_text())
    for name in ("make.py", "make_bsdiff.py", "make_boot.py", "make_bundle.py"):
        (fresh / name).write_text((VECTORS / name).read_text())
        subprocess.run([sys.executable, fresh / name], check=True)
    (fresh / "address.json").write_text(make_address.make())
    for name in NAMES:
        assert (fresh / f"{name}.json").read_text() == (VECTORS / f"{name}.json").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_cpython_holds_the_vectors(name: str) -> None:
    command = [sys.executable, VECTORS / "check.py", VECTORS, name]
    run = subprocess.run(command, env={"PYTHONPATH": str(SPEC)}, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, ""), run.stdout + run.stderr


SLOW = pytest.param("p256", False, marks=pytest.mark.slow)
QUICK = [(name, False) for name in NAMES if name != "p256"]


@pytest.mark.parametrize(("name", "native"), [*QUICK, ("bsdiff", True), ("address", True), SLOW])
def test_micropython_holds_the_vectors(name: str, native: bool) -> None:
    micropython = runtime.find()
    tree = runtime.compile_tree([SPEC / "otaspec"], arch=micropython.arch if native else None)
    run = micropython.run(VECTORS / "check.py", [str(VECTORS), name], path=[tree], timeout=60)
    assert (run.returncode, run.stderr) == (0, ""), run.stdout + run.stderr


def test_refused_patches_break_the_rule_that_they_are_made_for() -> None:
    data = json.loads((VECTORS / "address.json").read_text())
    for row in data["rows"]:
        if "section" in row and row["section"] != 15:
            old = bytes.fromhex(row["old"] or data["old"])
            with pytest.raises(PatchError) as raised:
                decode(old, bytes.fromhex(row["patch"]), row["new_size"], params=dict(row["params"]))
            assert raised.value.evidence == f"PATCH.md {row['section']}", row["why"]
