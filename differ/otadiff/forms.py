"""Images with their address operands put out of the way, so that moved code still matches by bytes."""

import numpy as np

from .jit import jit
from .operands import LOCAL, OPERAND, SIZE, load, put


@jit("void(uint8[::1], int64, int64, int64)")
def store(data: np.ndarray, at: int, word: int, size: int) -> None:
    """Writes the low `size` bytes of `word`, little-endian."""
    for i in range(size):
        data[at + i] = word >> (8 * i) & 0xFF


@jit("uint8[::1](uint8[::1], uint8[::1], int64)")
def blank(data: np.ndarray, kind: np.ndarray, size: int) -> np.ndarray:
    """The first `size` bytes of `data` with every operand zeroed (local jumps keep theirs)."""
    form = data[:size].copy()
    for p in range(size):
        k = np.int64(kind[p])
        if k and not LOCAL[k] and p + SIZE[k] <= size:
            store(form, p, load(data, p, SIZE[k]) & ~OPERAND[k], SIZE[k])
    return form


@jit("uint8[::1](uint8[::1], uint8[::1], int32[::1], int32[::1], int64, int64)")
def absolute(
    data: np.ndarray, kind: np.ndarray, target: np.ndarray, moved: np.ndarray, size: int, base: int
) -> np.ndarray:
    """The first `size` bytes of `data` with each operand holding its target instead of a distance.

    `moved` is added to the targets; it may be empty.
    """
    form = data[:size].copy()
    for p in range(size):
        k = np.int64(kind[p])
        if k and not LOCAL[k] and p + SIZE[k] <= size:
            to = np.int64(target[p]) + (moved[p] if len(moved) else 0)
            store(form, p, put(k, load(data, p, SIZE[k]), to, 0, 0, base), SIZE[k])
    return form
