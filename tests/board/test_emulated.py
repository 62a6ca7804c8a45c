"""Provisioning of the emulated microcontroller: a file system, NVS and a serial port of its own."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from otaboards.link import Link
from otasim.mcu import Mcu

from tests.conftest import Driblet

from .conftest import firmware
from .test_board import judged

KEY = "ab" * 64
# The modules of the file system, in place of the frozen ones.
FROM_FILES = """
import sys
for name in [n for n in sys.modules if n.startswith("ota")]:
    del sys.modules[name]
sys.path[:] = ["/lib"]
"""
pytestmark = [pytest.mark.slow, pytest.mark.mcu]


@contextmanager
def switched_on(elf: Path, memory: Path) -> Iterator[str]:
    """Its port. Each command restarts the board at its end, and then this one is off."""
    with Mcu(elf, memory, counted=False) as board:
        board.boot()
        yield board.port


def test_it_is_set_up_and_knows_it_after_a_reset(tmp_path: Path, driblet: Driblet) -> None:
    elf, memory = firmware(), tmp_path / "memory"
    (tmp_path / "ps.txt").write_text("11" * 32)
    who = ("--board", "ESP32_GENERIC_C3", "--pk", "lamp", "--dn", "lamp-7", "--server", "https://10.0.0.2")
    secret = ("--keys", KEY, "--secret-file", tmp_path / "ps.txt", "--ssid", "home")
    with switched_on(elf, memory) as port:
        answer = driblet("board", "setup", "--port", port, *who, *secret)
    assert answer.status == 0, answer.stderr
    assert "lamp-7 is ready" in answer.stdout
    assert "development mode" in answer.stderr
    with switched_on(elf, memory) as port:
        said = json.loads(driblet("board", "status", "--port", port, "--json").stdout)
    assert (said["pk"], said["dn"], said["board"]) == ("lamp", "lamp-7", "ESP32_GENERIC_C3")
    assert (said["slots"], said["slot"], said["frozen"], said["keys"]) == (2, "ota_0", False, 1)
    with switched_on(elf, memory) as port:
        assert "No trial has failed" in driblet("board", "log", "--port", port).stdout
    with switched_on(elf, memory) as port, Link(port) as link:
        assert judged(link, FROM_FILES) == ["/lib/otaspec/p256.mpy", True, False]
