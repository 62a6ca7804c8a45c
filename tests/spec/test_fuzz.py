"""Mutated patches over every decoder, in small; `make fuzz` takes more than a million."""

import pytest

from tests.spec import fuzz


def test_a_few() -> None:
    found = fuzz.work((240, 1))
    assert sum(found.values()) == 240
    assert {kind[:7] for kind in found} == {f"codec {n}" for n in range(4)}
    assert sum(n for kind, n in found.items() if "decoded" not in kind) > 150


@pytest.mark.slow
def test_codecs_0_to_2_at_length() -> None:
    seen = {found if isinstance(found, int) else 0 for found in map(fuzz.outcome, fuzz.simple_cases(3000, 3))}
    assert seen == {0, *fuzz.CODES}
