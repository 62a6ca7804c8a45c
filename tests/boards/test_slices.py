"""What a board carries: the core stays under 60 KB, whatever else is added."""

import runpy
import sys
from pathlib import Path

import otaagent
import otaspec
import pytest
from otaboards.mpy import compile_tree
from otaboards.slices import CORE, SLICES, sizes, slice_of
from otaspec import errors


def test_the_core_is_under_60_kb() -> None:
    packages = [Path(str(package.__file__)).parent for package in (otaspec, otaagent)]
    found = sizes(compile_tree(packages, arch=None))
    assert 30_000 < found[CORE] < 60 * 1024
    assert all(found[name] for name in SLICES)


def test_a_module_has_one_slice() -> None:
    assert slice_of("otaagent/agent.mpy") == CORE
    assert slice_of("otaspec/cbor.mpy") == CORE
    assert slice_of("otaspec/addresshead.mpy") == "address"
    assert slice_of("otaagent/chunks.mpy") == slice_of("otaspec/chunks.mpy") == "address"
    assert slice_of("otaspec/_hot_bsdiff.mpy") == "bsdiff"
    assert slice_of("otaspec/rotation.mpy") == slice_of("otaagent/keys.mpy") == "keys"
    assert slice_of("otaspec/mqtt.mpy") == slice_of("otaagent/mqtt.mpy") == "mqtt"
    assert slice_of("otaspec/remedies.mpy") is None


def test_a_board_without_names_says_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "otaspec.names", None)
    without = runpy.run_path(str(errors.__file__), run_name="otaspec.errors")
    assert str(without["error"](206, "3, floor 5")) == "E206: 3, floor 5"
    assert str(errors.error(206, "3, floor 5")) == "SEQ_TOO_OLD: 3, floor 5"
