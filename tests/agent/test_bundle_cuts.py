"""The power goes at every flash and NVS operation of fetching and unpacking a bundle, on real littlefs."""

import pytest

from .conftest import Device


def counted(said: str) -> list[int]:
    """Operations and cuts: the last line. Before it the collector may name files that lost their power."""
    return [int(word) for word in said.splitlines()[-1].split()]


def test_the_power_may_go_at_some_operations_of_unpacking(device: Device) -> None:
    operations, cuts = counted(device("bundle_cuts.py", "3\n23\n", timeout=60))
    assert cuts == 3 * len(range(3, operations + 1, 23)) >= 18


@pytest.mark.slow
def test_the_power_may_go_at_every_operation_of_unpacking(device: Device) -> None:
    """Before it, in its middle and after it: the bundle is whole in the end, and nothing else lies there."""
    operations, cuts = counted(device("bundle_cuts.py", "1\n1\n", timeout=240))
    assert cuts == 3 * operations > 300
