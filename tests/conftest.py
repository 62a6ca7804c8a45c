"""What every test may use."""

import contextlib
import os
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from driblet import cli

ROOT = Path(__file__).parent.parent

# Tests call from one address, as often as they can; test_quotas sets limits of its own.
for name in ("ADDRESS_READS", "ADDRESS_WRITES", "DEVICE_CALLS", "TENANT_CALLS"):
    os.environ[f"DRIBLET_{name}"] = "0"
# A line for each request helps nobody here; test_logs reads them.
os.environ["DRIBLET_LOG_LEVEL"] = "warning"


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Odd input may be in a report; a lone surrogate in one would end pytest-xdist's worker, not the test."""
    return _encodable((yield))


def _encodable(said: Any) -> Any:
    if isinstance(said, str):
        return said.encode(errors="backslashreplace").decode()
    if isinstance(said, dict):
        return {_encodable(name): _encodable(value) for name, value in said.items()}
    if isinstance(said, list | tuple):
        return [_encodable(one) for one in said]
    return said


def pytest_addoption(parser: pytest.Parser) -> None:
    """pytest-embedded's own plugin has the same option, where it is switched on."""
    with contextlib.suppress(ValueError):
        parser.addoption("--port", metavar="PORT", help="run tests/board on the board at this serial port")


@dataclass
class Answer:
    """What a command ended with."""

    status: int
    stdout: str
    stderr: str


Driblet = Callable[..., Answer]


@pytest.fixture
def driblet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Driblet:
    """The command line, in this process, at 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["driblet", *(str(word) for word in words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return Answer(int(ended.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real firmware pairs; the test is skipped, and says so, where there is none."""
    folder = os.environ.get("CORPUS_DIR")
    if not folder or not Path(folder, "pairs.json").is_file():
        pytest.skip("CORPUS_DIR is not set: no real firmware pairs here")
    return Path(folder)


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The folder of boot vectors made with ESP-IDF's own code; skipped, and says so, where there is none."""
    folder = os.environ.get("VECTORS_DIR")
    if not folder or not Path(folder, "otadata.json").is_file():
        pytest.skip("VECTORS_DIR is not set: no ESP-IDF oracle vectors here")
    return Path(folder)
