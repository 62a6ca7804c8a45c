"""Provisioning of the emulated microcontroller: a file system, NVS and a serial port of its own."""

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from otaboards import loader, provision
from otaboards.link import Link
from otasim.mcu import Mcu

from tests.conftest import ROOT, Driblet

from . import conftest
from .test_board import vectors

KEY = "ab" * 64
# The modules of the file system, in place of the frozen ones.
FROM_FILES = """
import sys
for name in [n for n in sys.modules if n.startswith("ota")]:
    del sys.modules[name]
sys.path[:] = ["/lib"]
"""
pytestmark = [pytest.mark.slow, pytest.mark.mcu]


@pytest.fixture(scope="module")
def elf() -> Path:
    return conftest.firmware()


@pytest.fixture
def emulated(elf: Path, tmp_path: Path) -> Iterator[Mcu]:
    with Mcu(elf, tmp_path / "memory") as board:
        board.boot()
        yield board


def test_it_is_set_up_and_knows_it_after_a_reset(
    elf: Path, emulated: Mcu, tmp_path: Path, driblet: Driblet
) -> None:
    (tmp_path / "ps.txt").write_text("11" * 32)
    who = ("--board", "ESP32_GENERIC_C3", "--pk", "lamp", "--dn", "lamp-7", "--server", "https://10.0.0.2")
    secret = ("--keys", KEY, "--secret-file", tmp_path / "ps.txt", "--ssid", "home")
    answer = driblet("board", "setup", "--port", emulated.port, *who, *secret)
    assert answer.status == 0, answer.stderr
    assert "lamp-7 is ready" in answer.stdout
    assert "development mode" in answer.stderr
    emulated.close()
    with Mcu(elf, tmp_path / "memory") as board:
        board.boot()
        said = json.loads(driblet("board", "status", "--port", board.port, "--json").stdout)
    assert (said["pk"], said["dn"], said["board"]) == ("lamp", "lamp-7", "ESP32_GENERIC_C3")
    assert (said["slots"], said["slot"], said["frozen"], said["keys"]) == (2, "ota_0", False, 1)
    with Mcu(elf, tmp_path / "memory") as board:
        board.boot()
        assert "No trial has failed" in driblet("board", "log", "--port", board.port).stdout


def test_what_was_copied_runs_from_its_file_system(emulated: Mcu) -> None:
    wanted = provision.plan(loader.load("ESP32_GENERIC_C3"), provision.example(), {"pk": "lamp"})
    with Link(emulated.port) as link:
        steps = list(provision.install(link, wanted))
        assert steps[-1][1:] == (len(wanted.files) + 2,) * 2
        assert judged(link) == ["/lib/otaspec/p256.py", True, False]
        digest = hashlib.sha256(wanted.files["app.py"]).hexdigest()
        assert link.digests(["app.py", "none"]) == {"app.py": digest, "none": ""}


def judged(link: Link) -> list[object]:
    """Where the verifier comes from, and what it says of a golden signature and of a bad one."""
    rows = vectors("p256")
    good = next(row for row in rows if row["ok"])
    words = [bytes.fromhex(good[name]) for name in ("public", "digest", "signature")]
    wrong = [*words[:2], bytes([words[2][0] ^ 1]) + words[2][1:]]
    calls = f"p256.verify(*{words!r}), p256.verify(*{wrong!r})"
    found = link.ask(f"{FROM_FILES}\nfrom otaspec import p256\nimport json\n"
                     f"print(json.dumps([p256.__file__, {calls}]))")  # fmt: skip
    return list(found)


@pytest.fixture
def index() -> Iterator[str]:
    """This checkout on a web server, as a host of Git repositories shows it."""
    handler = partial(_Quiet, directory=str(ROOT))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/package.json"
        server.shutdown()
        thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def test_mip_installs_the_package(emulated: Mcu, index: str) -> None:
    emulated.mpremote("resume", "mip", "install", "--target", "/lib", index, timeout=120)
    with Link(emulated.port) as link:
        assert judged(link) == ["/lib/otaspec/p256.py", True, False]
