"""Every code that a board can report is made by a test that runs the real agent.

A test says by `@pytest.mark.codes(...)` which codes it makes, and fails (conftest.py) where no board said
them. The attacks are a table of their own, each of which is held to its code. The 6xx are what a user gave a
tool: no board has them.
"""

import importlib
import inspect
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from otaspec import errors

pytestmark = pytest.mark.slow


def marked() -> set[int]:
    """The codes of all tests beside this one."""
    found: set[int] = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        module = importlib.import_module(f"tests.agent.{path.stem}")
        for _, function in inspect.getmembers(module, inspect.isfunction):
            for mark in getattr(function, "pytestmark", ()):
                if mark.name == "codes":
                    found.update(mark.args)
                if mark.name == "parametrize":
                    found.update(_of_cases(mark.args[1]))
    return found


def _of_cases(cases: list[object]) -> set[int]:
    sets = [case for case in cases if isinstance(case, ParameterSet)]
    return {code for case in sets for mark in case.marks if mark.name == "codes" for code in mark.args}


def test_no_code_of_a_board_is_unreached() -> None:
    from tests.attack.table import CASES

    made = marked() | {case.code for case in CASES}
    of_boards = {code for code in errors.TABLE if code // 100 != 6}
    assert sorted(of_boards - made) == []
    assert made <= set(errors.TABLE)
