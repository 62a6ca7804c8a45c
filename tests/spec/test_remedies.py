"""Every error has a cause and a remedy, and they stay on the host."""

import subprocess
import sys

import pytest
from otaspec import errors, remedies


def test_every_error_has_a_cause_and_a_remedy() -> None:
    assert list(remedies.REMEDIES) == list(errors.TABLE)


@pytest.mark.parametrize("number", remedies.REMEDIES)
def test_texts_are_short_sentences(number: int) -> None:
    cause, remedy = remedies.REMEDIES[number]
    for text in (cause, remedy):
        assert text.endswith(".")
        assert "  " not in text
        assert text[0].isupper()
    assert len(cause) <= 120
    assert len(remedy) <= 320


def test_no_other_module_of_the_contract_needs_them() -> None:
    code = (
        "import sys, pkgutil, importlib, otaspec\n"
        "for m in pkgutil.iter_modules(otaspec.__path__):\n"
        "    if m.name != 'remedies': importlib.import_module('otaspec.' + m.name)\n"
        "sys.exit('otaspec.remedies' in sys.modules)"
    )
    path = ":".join(sys.path)
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": path}).returncode == 0
