"""One `dut` for a simulated board, an emulated microcontroller and a board on a serial port.

    pytest tests/board                          the first two
    pytest tests/board --port /dev/ttyUSB0      a board that `driblet board setup` made ready

pytest-embedded's own fixtures give it its log and its expect(). They are named here and its plugin stays off
elsewhere, since it makes a folder and a process for every test there is.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from otaboards.link import Link
from otasim.mcu import Mcu
from otasim.mcu import firmware as emulated_firmware
from otasim.port import on_a_port
from otaspec.errors import OtaError
from pytest_embedded import App
from pytest_embedded.plugin import (  # noqa: F401 - fixtures of `dut`
    _listener,
    _meta,
    _mp_manager,
    _pexpect_fr,
    _pexpect_logfile,
    _stdout_lock,
    cache_dir,
    dut_index,
    dut_total,
    logfile_extension,
    msg_queue,
    pexpect_proc,
    port_app_cache,
    port_target_cache,
    session_tempdir,
    test_case_name,
    test_case_tempdir,
    with_timestamp,
)

from tests import simulated
from tests.agent.station import image

from .dut import BoardDut

KINDS = ("simulator", pytest.param("mcu", marks=pytest.mark.mcu))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kind" in metafunc.fixturenames:
        kinds = ("serial",) if metafunc.config.getoption("port", None) else KINDS
        metafunc.parametrize("kind", kinds, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --port nothing but the board there."""
    if config.getoption("port", None):
        here = Path(__file__).parent
        items[:] = [item for item in items if item.path.parent != here or "dut" in item.fixturenames]  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def session_root_logdir(tmp_path_factory: pytest.TempPathFactory) -> str:
    """pytest-embedded's logs are with pytest's own files."""
    return str(tmp_path_factory.mktemp("dut"))


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> str:  # noqa: F811
    return str(tmp_path_factory.mktemp("dut-cache"))


@pytest.fixture(scope="session")
def link(
    kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Link]:
    """The board, switched on, its raw REPL entered."""
    with board(kind, request.config.getoption("port", None), tmp_path_factory) as port, Link(port) as held:
        yield held


def board(kind: str, port: str | None, folders: pytest.TempPathFactory) -> AbstractContextManager[str]:
    return {"simulator": lambda: simulator(folders.mktemp("board")), "mcu": mcu}.get(
        kind, lambda: serial(port)
    )()


@contextmanager
def simulator(folder: Path) -> Iterator[str]:
    """A board whose image holds the agent, as the bootloader unpacks it."""
    (folder / "code").mkdir()
    made = simulated.new_board(folder, {0: image("1.0.0")}, settings={"pk": "lamp", "dn": "lamp-7"})
    with on_a_port(made, folder / "code") as port:
        yield port


@contextmanager
def mcu() -> Iterator[str]:
    with Mcu(firmware(), counted=False) as made:
        yield made.port


def firmware() -> Path:
    """Of the emulated microcontroller; skipped, and says so, where it cannot be built."""
    try:
        return emulated_firmware(print)
    except OtaError as error:
        if error.name != "RUNTIME_MISSING":
            raise
        pytest.skip(f"no emulated microcontroller here: {error.evidence}")


@contextmanager
def serial(port: str | None) -> Iterator[str]:
    assert port
    yield port


@pytest.fixture
def dut(
    kind: str,
    link: Link,
    pexpect_proc: Any,  # noqa: F811
    msg_queue: Any,  # noqa: F811
    _pexpect_logfile: str,  # noqa: F811
    test_case_name: str,  # noqa: F811
    _meta: Any,  # noqa: F811
) -> Iterator[BoardDut]:
    """The board, and what it says. The same for every kind."""
    made = BoardDut(
        pexpect_proc, msg_queue, App(), _pexpect_logfile, test_case_name, _meta, kind=kind, link=link
    )
    yield made
    made.close()
