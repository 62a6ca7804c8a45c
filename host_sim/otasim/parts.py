"""The stand-in modules: where they lie, compiled for a board's process, and what CPython shares with them."""

import hashlib
import importlib.util
import shutil
import tempfile
from pathlib import Path
from typing import Any

import otaspec
from otaboards import runtime as runtimes
from otaboards.folders import build_folder
from otaboards.runtime import Runtime

_HERE = Path(__file__).resolve().parent
_CONTRACT = Path(otaspec.__file__).resolve().parent


def _on_the_device(checkout: str, wheel: str) -> Path:
    """A folder of code for MicroPython: host_sim/`checkout`, or otasim/`wheel` where driblet is installed."""
    beside = _HERE.parent / checkout
    return beside if beside.is_dir() else _HERE / wheel


MODULES = _on_the_device("modules", "modules")
LAB = _on_the_device("lab", "fault_lab")


def _shared(name: str) -> Any:
    """A module of `_board` that runs on CPython too."""
    spec = importlib.util.spec_from_file_location(f"otasim.shared_{name}", MODULES / "_board" / f"{name}.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(MODULES)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


layout = _shared("layout")
nvs = _shared("nvs")


def stand_ins(runtime: Runtime) -> Path:
    """The folder for MICROPYPATH: esp32, machine, network, and `_board` with the chip's own copy of otaspec.

    Firmware brings its own otaspec; what plays the chip must not depend on it.
    """
    modules = runtimes.compile_tree([MODULES], arch=runtime.arch) / MODULES.name
    contract = runtimes.compile_tree([_CONTRACT], arch=runtime.arch) / _CONTRACT.name
    name = hashlib.sha256(f"{modules} {contract}".encode()).hexdigest()[:24]
    folder = build_folder("stand-ins") / name
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="new-", dir=folder.parent) as scratch:
            fresh = Path(scratch, "tree")
            shutil.copytree(modules, fresh)
            shutil.copytree(contract, fresh / "_board" / "otaspec")
            _rename(fresh, folder)
    return folder


def _rename(fresh: Path, folder: Path) -> None:
    """Another process may have been faster; its result is the same."""
    try:
        fresh.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
