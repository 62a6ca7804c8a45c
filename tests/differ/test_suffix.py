"""Suffix order against brute force."""

import random

import numpy as np
from otadiff import suffix


def texts() -> tuple[bytes, bytes]:
    rng = random.Random(5)
    old = bytes(rng.choice(b"abc") for _ in range(300))
    new = old[40:120] + bytes(rng.choice(b"abcd") for _ in range(80)) + old[200:260] + old[40:80]
    return old, new


def array(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8).copy()


def test_slots_stand_where_the_new_suffix_would() -> None:
    old, new = texts()
    order, _ = suffix.sort_together(array(old), array(new))
    joined = old + new
    for q in range(len(new)):
        slot = order.slot[q]
        assert all(joined[p:] < new[q:] for p in order.old[max(0, slot - 3) : slot])
        assert all(joined[p:] > new[q:] for p in order.old[slot : slot + 3])


def test_earlier_matches_are_the_longest() -> None:
    old, new = texts()
    _, order = suffix.sort_together(array(old), array(new))
    found = suffix.earlier_matches(array(new), order)

    def length(p: int, q: int) -> int:
        n = 0
        while q + n < len(new) and new[p + n] == new[q + n]:
            n += 1
        return n

    for q, p in enumerate(found.tolist()):
        best = max((length(e, q) for e in range(q)), default=0)
        if p >= 0:
            assert q - p >= 4
            assert length(p, q) == best
