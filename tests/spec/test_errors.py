"""The table of errors, and that no module has numbers of its own."""

import importlib
import pkgutil

import otaspec
import pytest
from otaspec import errors

MODULES = sorted(m.name for m in pkgutil.iter_modules(otaspec.__path__))
NAMES = set(errors.TABLE.values())


def test_names_are_unique() -> None:
    assert len(NAMES) == len(errors.TABLE)


@pytest.mark.parametrize("number", errors.TABLE)
def test_each_number_has_the_class_of_its_hundreds(number: int) -> None:
    found = errors.error(number, "why")
    assert isinstance(found, errors._CLASSES[number // 100 - 1])
    assert str(found) == found.name + ": why"
    assert errors.code(found.name) == number


@pytest.mark.parametrize("module", MODULES)
def test_private_constants_named_after_an_error_have_its_number(module: str) -> None:
    for name, value in vars(importlib.import_module(f"otaspec.{module}")).items():
        if name[0] == "_" and name[1:] in NAMES:
            assert errors.TABLE[value] == name[1:]
