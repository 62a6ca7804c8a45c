"""`driblet sim`: one board by its product key, name and secrets, against a server on a socket."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.agent.service import Service
from tests.agent.station import PUBLIC, full, image

pytestmark = pytest.mark.slow

PS = (b"p" * 32).hex()


def start(folder: Path, *words: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "driblet", "sim", "thermostat", "kitchen", *map(str, words)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_registers_updates_and_leaves_its_flash_file(tmp_path: Path) -> None:
    old, new = image("1.0.0"), image("1.1.0")
    first = tmp_path / "first.bin"
    first.write_bytes(old)
    with Service() as service:
        service.release(full(new))
        words = ["-", PS, "--server", service.url, "--key", PUBLIC.hex(), "--image", first, "--poll", 1]
        ended = start(tmp_path, *words, "--soak", 0, "--cut", "200:bits", "--once", "--json")
        out, err = ended.communicate(timeout=60)
        assert ended.returncode == 0, out + err
        assert service.states()[-1] == "confirmed"
    found = json.loads(out)
    assert (found["state"], found["version"], found["slot"]) == ("confirmed", "1.1.0", "ota_1")
    assert found["power_cuts"] == 1
    chip = (tmp_path / "kitchen.bin").read_bytes()
    assert chip[0x90000 : 0x90000 + len(new)] == new
    assert "Plain HTTP" in err


def test_ctrl_c_ends_it_cleanly_and_it_can_go_on(tmp_path: Path) -> None:
    with Service() as service:
        words = ["-", PS, "--server", service.url, "--key", PUBLIC.hex(), "--poll", 1]
        for given in (words, ["-", PS]):  # the second time it knows the rest
            polls = len(service.polls)
            board = start(tmp_path, *given)
            deadline = time.monotonic() + 40
            while len(service.polls) == polls and time.monotonic() < deadline:
                time.sleep(0.05)
            board.send_signal(signal.SIGINT)
            out, err = board.communicate(timeout=30)
            assert board.returncode == 0, out + err
            assert "Flash: kitchen.bin" in out
            assert len(service.polls) > polls
    assert len(service.secrets) == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-"], "PS is needed"),
        (["xyz"], "64 hex digits"),
        (["-", PS, "--key", "00" * 64], "--server"),
        (["-", PS, "--server", "http://127.0.0.1:1"], "--key"),
        (["-", PS, "--server", "http://x", "--key", "00" * 64, "--cut", "5:nothing"], "no kind of power cut"),
    ],
)
def test_what_is_missing_or_wrong_is_said(tmp_path: Path, words: list[str], says: str) -> None:
    ended = start(tmp_path, *words)
    _, err = ended.communicate(timeout=30)
    assert ended.returncode == 2
    assert says in " ".join(err.replace("│", " ").split())
    assert not list(tmp_path.iterdir())
