"""Where a new image's bytes occur in an old one: suffix arrays (libdivsufsort) and what is read off them.

The old and the new text are sorted together once; each new suffix then knows its place among the old
ones without a search.
"""

from typing import NamedTuple

import numpy as np
import pydivsufsort

from .jit import jit


class Order(NamedTuple):
    """The old suffixes in order, and where each new suffix would stand among them."""

    old: np.ndarray  # int32, old positions by the order of their suffixes
    slot: np.ndarray  # int32, for each new position: how many old suffixes come before it


def sort_together(old: np.ndarray, new: np.ndarray) -> tuple[Order, np.ndarray]:
    """The order of old suffixes under new ones, and the new positions by the order of their suffixes."""
    old_order, slot, new_order = _split(
        pydivsufsort.divsufsort(np.concatenate((old, new))), len(old), len(new)
    )
    return Order(old_order, slot), new_order


@jit("UniTuple(int32[::1], 3)(int32[::1], int64, int64)")
def _split(ranks: np.ndarray, old_size: int, new_size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Old suffixes in order, the slots of the new ones, and new suffixes in order."""
    old_order = np.empty(old_size, np.int32)
    slot = np.empty(new_size, np.int32)
    new_order = np.empty(new_size, np.int32)
    before = 0
    after = 0
    for i in range(len(ranks)):
        at = np.int64(ranks[i])
        if at < old_size:
            old_order[before] = at
            before += 1
        else:
            slot[at - old_size] = before
            new_order[after] = at - old_size
            after += 1
    return old_order, slot, new_order


@jit("int64(uint8[::1], int64, uint8[::1], int64, int64)")
def common(a: np.ndarray, i: int, b: np.ndarray, j: int, most: int) -> int:
    """How many bytes a[i:] and b[j:] have in common, at most `most`."""
    most = min(most, len(a) - i, len(b) - j)
    n = 0
    while n < most and a[i + n] == b[j + n]:
        n += 1
    return n


@jit("int32[::1](uint8[::1], int32[::1])")
def earlier_matches(new: np.ndarray, order: np.ndarray) -> np.ndarray:
    """For each position the earlier position whose text goes on alike for longest, or -1.

    Of two neighbours in suffix order (the nearest with an earlier position on either side) one is the
    longest: found by one pass that unlinks positions from last to first.
    """
    n = len(order)
    up = np.full(n + 1, -1, np.int32)
    down = np.full(n + 1, -1, np.int32)
    for i in range(n):
        up[order[i]] = order[i - 1] if i > 0 else -1
        down[order[i]] = order[i + 1] if i + 1 < n else -1
    best = np.full(n, -1, np.int32)
    for q in range(n - 1, -1, -1):
        u = np.int64(up[q])
        d = np.int64(down[q])
        if u >= 0:
            down[u] = d
        if d >= 0:
            up[d] = u
        longest = np.int64(3)
        for p in (u, d):
            if p >= 0 and q - p >= 4:
                length = common(new, p, new, q, 256)
                if length > longest:
                    longest = length
                    best[q] = p
    return best
