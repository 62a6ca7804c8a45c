"""Integer logarithms against the real ones."""

import math

import numpy as np
import pytest
from otadiff import costs


@pytest.mark.parametrize("value", [1, 2, 3, 5, 1000, 4095, 4096, 70000, 1 << 40])
def test_log2(value: int) -> None:
    assert abs(costs.log2(value) / 1024 - math.log2(value)) < 0.002


def test_literals_seen_often_are_cheap() -> None:
    old = np.frombuffer(b"abcd" * 500, np.uint8).copy()
    new = np.frombuffer(b"abcdabcdabxz", np.uint8).copy()
    cost = costs.literals(old, new)
    assert max(cost[3:10]) < 2 * 1024 < 6 * 1024 < min(cost[10:])
