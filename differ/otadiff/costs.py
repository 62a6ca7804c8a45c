"""What symbols cost, as integers in 1/1024 bit: exact tables without floating point."""

import numpy as np

from .jit import BIT, jit


def log2_table(size: int) -> np.ndarray:
    """table[i] = log2(i) in 1/1024 bit, rounded down, for 1 <= i < size; table[0] = 0.

    By repeated squaring of integers, so that every machine finds the same table.
    """
    table = np.zeros(size, np.int64)
    for i in range(1, size):
        whole = i.bit_length() - 1
        mantissa = (i << 30) >> whole
        part = 0
        for _ in range(10):
            mantissa = mantissa * mantissa >> 30
            part <<= 1
            if mantissa >= 2 << 30:
                mantissa >>= 1
                part |= 1
        table[i] = (whole << 10) + part
    return table


LOG2 = log2_table(4096)

COST = 12 * BIT - LOG2
"""COST[p]: cost of a symbol of probability p / 4096, p in 1..4095."""


@jit("int64(int64)")
def log2(value: int) -> int:
    """log2 of value >= 1, in 1/1024 bit."""
    shift = 0
    while value >> shift >= 4096:
        shift += 1
    return LOG2[value >> shift] + shift * BIT


@jit("int32[::1](uint8[::1], uint8[::1])")
def literals(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """What each byte of `new` would cost as a literal: order 1 and 2 statistics of `old`, mixed."""
    one = np.zeros((256, 256), np.int64)
    two = np.zeros((65536, 256), np.uint16)
    seen = np.zeros(65536, np.int64)
    for i in range(2, len(old)):
        one[old[i - 1], old[i]] += 1
        pair = np.int64(old[i - 2]) << 8 | old[i - 1]
        if seen[pair] < 65535:
            seen[pair] += 1
            two[pair, old[i]] += 1
    total = one.sum(axis=1)
    cost = np.full(len(new), 8 * BIT, np.int32)
    for i in range(2, len(new)):
        pair = np.int64(new[i - 2]) << 8 | new[i - 1]
        first = ((one[new[i - 1], new[i]] * 10 + 3) << 20) // (total[new[i - 1]] * 10 + 770)
        second = (np.int64(two[pair, new[i]]) << 20) // (seen[pair] + 6)
        cost[i] = 20 * BIT - log2((first * 460 + second * 512 + (1 << 20) // 256 * 51) // 1024 + 1)
    return cost
