"""`driblet board setup`, `status`, `log`: by mpremote's own transport, on a board that speaks raw REPL."""

import http.server
import json
import os
import pty
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from otaboards import flash, loader, provision
from otaboards.link import Link
from otasim.files import BoardFiles
from otasim.port import on_a_port
from otaspec import image
from otaspec.errors import InputError, TargetError

from tests import simulated
from tests.board.test_board import judged
from tests.conftest import ROOT, Driblet

KEY = "ab" * 64
pytestmark = pytest.mark.slow


def blank(folder: Path) -> BoardFiles:
    """A board fresh from the factory."""
    return simulated.new_board(folder, settings={})


def words(folder: Path, port: str, *more: object) -> list[object]:
    """A whole command line of setup."""
    (folder / "ps.txt").write_text("11" * 32)
    given = ("--board", "LINUX_HOST", "--pk", "lamp", "--dn", "lamp-7", "--server", "http://10.0.0.2:8000")
    secret = ("--keys", KEY, "--secret-file", folder / "ps.txt")
    return ["board", "setup", "--port", port, *given, *secret, "--dev", *more]


@pytest.fixture
def silent_port() -> Iterator[str]:
    """A port where nothing answers."""
    host, device = pty.openpty()
    yield os.ttyname(device)
    os.close(host)
    os.close(device)


def test_a_board_is_set_up_and_says_so(tmp_path: Path, driblet: Driblet) -> None:
    board = blank(tmp_path)
    (tmp_path / "ca.pem").write_bytes(b"a CA")
    with on_a_port(board) as port:
        answer = driblet(*words(tmp_path, port, "--ca", tmp_path / "ca.pem"))
    assert answer.status == 0, answer.stderr
    assert "lamp-7 is ready" in answer.stdout
    assert "development mode" in answer.stderr
    wanted = provision.plan(loader.load("LINUX_HOST"), provision.example(), {})
    for path, data in wanted.files.items():
        assert (board.vfs / path).read_bytes() == data, path
    stored = simulated.answer(
        board,
        "import sys, json; sys.path.insert(0, 'lib')\nfrom otaagent.config import Config\nc = Config()\n"
        "print(json.dumps([c.pk, c.dn, c.server, c.board, c.ps.hex(), c.keys.hex(), c.ca.decode(), c.dev]))",
    )
    server = "http://10.0.0.2:8000"
    assert stored == ["lamp", "lamp-7", server, "LINUX_HOST", "11" * 32, KEY, "a CA", 1]
    assert "11111111" not in answer.stdout + answer.stderr


def test_a_broker_is_set_and_the_agent_talks_to_it(tmp_path: Path, driblet: Driblet) -> None:
    """The board that was set up connects to that very port and asks for MQTT 3.1.1."""
    board = blank(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        where = f"127.0.0.1:{listener.getsockname()[1]}"
        with on_a_port(board) as port:
            answer = driblet(*words(tmp_path, port, "--mqtt", where))
        assert answer.status == 0, answer.stderr
        for name in ("lib/otaagent/mqtt.mpy", "lib/otaspec/mqtt.mpy"):
            assert (board.vfs / name).is_file()
        with on_a_port(board) as port:
            assert (
                json.loads(driblet("board", "status", "--port", port, "--json").stdout)["mqtt"]
                == f"mqtt://{where}"
            )
        run = threading.Thread(target=simulated.run_on, args=(board, CONNECT))
        run.start()
        listener.settimeout(60)
        connection, _ = listener.accept()
        with connection:
            said = connection.recv(200)
        run.join()
    assert said[:1] == b"\x10"
    assert b"\x00\x04MQTT\x04" in said
    assert b"lamp.lamp-7|securemode=3" in said


CONNECT = """
import sys, asyncio; sys.path.insert(0, 'lib')
from otaagent import config, http, mqtt
class Agent:
    config = config.Config()
    client = http.Client(None, True)
Agent.config.ds = b'd' * 32
asyncio.run(mqtt.Broker(Agent)._enter(Agent.config))
"""


@pytest.mark.parametrize(
    ("given", "server", "setting"),
    [
        ("broker.example.com", "https://ota.example.com", "mqtts://broker.example.com"),
        ("10.0.0.2:1884", "http://10.0.0.2:8000", "mqtt://10.0.0.2:1884"),
        ("mqtts://b:8884", "http://10.0.0.2:8000", "mqtts://b:8884"),
    ],
)
def test_the_broker_is_as_safe_as_the_server(given: str, server: str, setting: str) -> None:
    assert provision.broker(given, server) == setting


@pytest.mark.parametrize("given", ["https://b", "b:port", "user@b", "b/topic", "mqtts://", "a b"])
def test_what_is_no_broker(given: str) -> None:
    with pytest.raises(InputError, match="REQUEST_INVALID: --mqtt"):
        provision.broker(given, "https://ota.example.com")


def test_status_and_log_of_a_board_that_was_set_up(tmp_path: Path, driblet: Driblet) -> None:
    board = blank(tmp_path)
    with on_a_port(board) as port:
        assert driblet(*words(tmp_path, port)).status == 0
    with on_a_port(board) as port:
        said = json.loads(driblet("board", "status", "--port", port, "--json").stdout)
    assert (said["pk"], said["dn"], said["board"], said["slot"]) == ("lamp", "lamp-7", "LINUX_HOST", "ota_0")
    assert (said["registered"], said["development"], said["frozen"]) == (False, True, False)
    with on_a_port(board) as port:
        assert "No trial has failed" in driblet("board", "log", "--port", port).stdout


def test_what_was_set_up_passes_the_tests_of_a_board(tmp_path: Path, driblet: Driblet) -> None:
    board = blank(tmp_path)
    with on_a_port(board) as port:
        assert driblet(*words(tmp_path, port)).status == 0
    with on_a_port(board) as port:
        pytest_words = [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", "tests/board"]
        done = subprocess.run([*pytest_words, "--port", port], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 passed" in done.stdout


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


def test_mip_installs_the_package(tmp_path: Path, index: str) -> None:
    board = blank(tmp_path)
    with on_a_port(board) as port:
        mpremote = [sys.executable, "-m", "mpremote", "connect", port, "resume"]
        done = subprocess.run(
            [*mpremote, "mip", "install", "--target", "lib", index], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        with Link(port) as link:
            assert judged(link) == ["lib/otaspec/p256.py", True, False]
    for name, source in json.loads((ROOT / "package.json").read_text())["urls"]:
        assert (board.vfs / "lib" / name).read_bytes() == (ROOT / source).read_bytes()


def test_a_dry_run_touches_nothing(tmp_path: Path, driblet: Driblet) -> None:
    answer = driblet(*words(tmp_path, "/dev/no-such-port", "--dry-run"))
    assert answer.status == 0, answer.stderr
    assert "Nothing was touched" in answer.stdout
    assert "otaagent" in answer.stdout


def test_no_such_port(tmp_path: Path, driblet: Driblet) -> None:
    answer = driblet(*words(tmp_path, "/dev/no-such-port"))
    assert answer.status == 2
    assert "PORT_UNAVAILABLE" in answer.stderr
    assert "What to do" in answer.stderr


def test_a_port_where_nothing_answers(silent_port: str, tmp_path: Path, driblet: Driblet) -> None:
    answer = driblet(*words(tmp_path, silent_port))
    assert answer.status == 1 or answer.status == 2
    assert "BOARD_SILENT" in answer.stderr


def test_a_board_that_is_not_in_its_bootloader(silent_port: str) -> None:
    kind = loader.load("ESP32_GENERIC_C3")
    with pytest.raises(TargetError, match="BOARD_SILENT"):
        flash.write(silent_port, kind, [(0x8000, kind.table, "table")], attempts=1)


def test_what_is_flashed() -> None:
    kind = loader.load("LINUX_HOST")
    parts = flash.steps(kind, simulated.app_image())
    assert [(at, len(data)) for at, data, _ in parts[:2]] == [(0x8000, 0xC00), (0xD000, 0x2000)]
    assert parts[2][0] == kind.slots[0].offset
    with pytest.raises(InputError, match="CHIP_MISMATCH"):
        flash.steps(loader.load("ESP32_GENERIC"), simulated.app_image())


def found(machine: str, slots: int = 2) -> dict[str, object]:
    return {"machine": machine, "slots": slots, "otadata": 1, "version": [1, 25, 0]}


def test_the_chip_is_compared() -> None:
    s3 = loader.load("ESP32_GENERIC_S3")
    assert provision.check(s3, found("Generic ESP32S3 module with ESP32S3")) == []
    with pytest.raises(InputError, match="CHIP_MISMATCH"):
        provision.check(s3, found("Generic ESP32C3 module with ESP32C3"))
    assert s3.chip_id != image.LINUX_HOST


def test_a_board_without_two_slots_is_refused() -> None:
    with pytest.raises(InputError, match="--image"):
        provision.check(loader.load("ESP32_GENERIC"), found("Generic ESP32 module with ESP32", slots=1))


def test_machine_code_only_for_chips_where_it_is_right() -> None:
    assert provision.NATIVE.get("ESP32-C3") is None
    files = provision.plan(loader.load("ESP32_GENERIC_C3"), provision.example(), {}).files
    assert files["lib/otaspec/_hot.mpy"][2] >> 2 == 0
    files = provision.plan(loader.load("ESP32_GENERIC"), provision.example(), {}).files
    assert files["lib/otaspec/_hot.mpy"][2] >> 2 == 10
