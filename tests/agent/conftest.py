"""The agent under real MicroPython."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from otaboards import runtime

ROOT = Path(__file__).parent.parent.parent
DEVICE = Path(__file__).parent / "device"
Device = Callable[..., str]


@pytest.fixture(scope="session")
def device() -> Device:
    """Runs a script of tests/agent/device on MicroPython with `stdin`; returns what it prints.

    (Not with arguments: MicroPython interns those, and ends hard on one above 255 bytes.)
    """
    found = runtime.find()
    path = [DEVICE, ROOT / "firmware", ROOT / "bootloader_spec"]

    def run(script: str, stdin: str = "", timeout: float = 30) -> str:
        done = found.run(DEVICE / script, stdin=stdin, timeout=timeout, path=path)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(autouse=True)
def produced(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that is marked with codes has made a board say them."""
    from .station import HEARD

    HEARD.clear()
    yield
    marked = {number for mark in request.node.iter_markers("codes") for number in mark.args}
    assert not marked - HEARD
