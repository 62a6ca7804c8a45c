"""Seconds on a board: the figures that the estimate was made from come out again."""

import pytest
from otadiff.estimate import changed_sectors, estimate


def test_flash_of_a_whole_image() -> None:
    """1.5 MB: about 30 s."""
    found = estimate(0, 0, 1_500_000, 1_500_000)
    assert found.flash == (pytest.approx(26.8, abs=0.1), pytest.approx(33.8, abs=0.1))
    assert found.decode[0] == pytest.approx(0.3, abs=0.01)  # the signature


def test_a_small_patch_decodes_in_seconds() -> None:
    """1.75 MB from 1.8 KB: 346 million instructions and 25 for the signature, on an ESP32 at 240 MHz."""
    found = estimate(3, 1_753_328, 1_753_328, 1_839)
    assert found.decode[0] == pytest.approx((346 + 25) / 85, abs=0.01)
    assert found.total[0] == pytest.approx(found.decode[0] + found.flash[0])


@pytest.mark.parametrize("codec", [1, 2, 3])
def test_a_patch_is_staged(codec: int) -> None:
    one, two = (estimate(codec, 0, 4096, size) for size in (1, 8192))
    assert two.flash[0] - one.flash[0] == pytest.approx(0.073)
    assert two.decode[0] >= one.decode[0]


def test_only_what_differs_is_written() -> None:
    old = bytes(5 * 4096)
    new = old[:5000] + b"x" + old[5001:] + b"more"
    assert changed_sectors(old, new) == 2
    found = estimate(3, len(old), len(new), 100, changed_sectors(old, new), staged=False)
    assert found.flash == (pytest.approx(2 * 0.073), pytest.approx(6 * 0.092))
    assert changed_sectors(old, old) == 0


def test_facts_are_ranges() -> None:
    facts = estimate(2, 5000, 500_000, 90_000).facts()
    assert set(facts) == {"decode", "flash", "total"}
    assert all(least <= most for least, most in facts.values())
