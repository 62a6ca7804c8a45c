"""The encoder's side of the adaptive binary range coder (PATCH.md, range coder and numbers).

`state` is an int64 array, `out` the bytes written so far; models are uint16, probability << 4 | count.
"""

import numpy as np

from .costs import COST
from .jit import BIT, jit

# Fields of the coder's state.
LOW, RANGE, CACHE, PENDING, SIZE, PART = range(6)
_FIRST_PART = 8
PARTS = 24
"""How many parts of a patch can be told apart in the account of costs."""

HEAD, MAP, OP_LITERAL, OP_COPY, OP_SOURCE, LITERALS, GAPS, EXCEPTIONS = range(8)
"""Those parts."""

TOP = 1 << 22
START = 2048 << 4
RATES = np.array([154, 98, 70, 56, 46, 39, 34, 30, 27, 24, 21, 18, 15, 12, 10, 16], np.int64)


@jit("int64[::1]()")
def new_state() -> np.ndarray:
    """A coder that has written nothing."""
    state = np.zeros(_FIRST_PART + PARTS, np.int64)
    state[RANGE] = (1 << 30) - 1
    state[PENDING] = 1
    return state


@jit("int64[::1](int64[::1])")
def costs(state: np.ndarray) -> np.ndarray:
    """What each part has cost so far, in 1/1024 bit."""
    return state[_FIRST_PART:]


@jit("void(int64[::1], uint8[::1])")
def shift(state: np.ndarray, out: np.ndarray) -> None:
    """Moves the top byte of LOW out; a byte 0xFF waits for a carry."""
    low = state[LOW]
    carry = low >> 32
    if low < 0xFF000000 or carry:
        byte = state[CACHE]
        while state[PENDING] > 0:
            out[state[SIZE]] = (byte + carry) & 0xFF
            state[SIZE] += 1
            state[PENDING] -= 1
            byte = 0xFF
        state[CACHE] = low >> 24 & 0xFF
    state[PENDING] += 1
    state[LOW] = (low & 0xFFFFFF) << 8


@jit("void(int64[::1], uint8[::1], int64, int64)")
def code(state: np.ndarray, out: np.ndarray, bit: int, p: int) -> None:
    """Codes `bit` where p / 4096 is the probability of a 1, p in 1..4095."""
    bound = (state[RANGE] >> 12) * p
    if bit:
        state[RANGE] = bound
        state[_FIRST_PART + state[PART]] += COST[p]
    else:
        state[LOW] += bound
        state[RANGE] -= bound
        state[_FIRST_PART + state[PART]] += COST[4096 - p]
    while state[RANGE] < TOP:
        state[RANGE] <<= 8
        shift(state, out)


@jit("void(uint16[::1], int64, int64)")
def update(models: np.ndarray, index: int, bit: int) -> None:
    """Moves models[index] towards `bit`, the more slowly the more it has seen."""
    model = np.int64(models[index])
    p = model >> 4
    n = model & 15
    if bit:
        p += ((4095 - p) * RATES[n] + 128) >> 8
    else:
        p -= (p * RATES[n] + 128) >> 8
    models[index] = p << 4 | min(n + 1, 15)


@jit("void(int64[::1], uint8[::1], uint16[::1], int64, int64)")
def put_bit(state: np.ndarray, out: np.ndarray, models: np.ndarray, index: int, bit: int) -> None:
    """Codes `bit` with models[index]."""
    code(state, out, bit, models[index] >> 4)
    update(models, index, bit)


@jit("void(int64[::1], uint8[::1], int64, int64)")
def put_raw(state: np.ndarray, out: np.ndarray, value: int, bits: int) -> None:
    """Codes `value` in `bits` even bits, the highest first."""
    for i in range(bits - 1, -1, -1):
        code(state, out, value >> i & 1, 2048)


@jit("void(int64[::1], uint8[::1], uint16[::1], int64, int64)")
def put_tree(state: np.ndarray, out: np.ndarray, models: np.ndarray, tree: int, value: int) -> None:
    """Codes value 0..31 with the 5-bit tree at models[tree:]."""
    node = 1
    for i in range(4, -1, -1):
        bit = value >> i & 1
        put_bit(state, out, models, tree + node, bit)
        node = node << 1 | bit


@jit("void(int64[::1], uint8[::1], uint16[::1], int64, int64, int64)")
def put_number(
    state: np.ndarray, out: np.ndarray, models: np.ndarray, tree: int, mantissa: int, value: int
) -> None:
    """Codes value >= 0: a 5-bit tree for the length of value + 1, then its mantissa."""
    x = value + 1
    length = 0
    while x >> (length + 1):
        length += 1
    put_tree(state, out, models, tree, length)
    node = 1
    for i in range(length - 1, -1, -1):
        bit = x >> i & 1
        if i >= length - 2:
            put_bit(state, out, models, mantissa + ((length - 1) << 2) + node, bit)
        else:
            code(state, out, bit, 2048)
        node = node << 1 | bit


@jit("void(int64[::1], uint8[::1])")
def flush(state: np.ndarray, out: np.ndarray) -> None:
    """Ends the code with the value in range that has the most trailing zeros; drops up to 8 zero bytes."""
    for bits in range(29, -1, -1):
        mask = (1 << bits) - 1
        value = (state[LOW] + mask) & ~mask
        if value < state[LOW] + state[RANGE]:
            state[LOW] = value
            break
    for _ in range(5):
        shift(state, out)
    least = max(state[SIZE] - 8, 1)
    while state[SIZE] > least and out[state[SIZE] - 1] == 0:
        state[SIZE] -= 1


assert BIT == 1024, "COST is in 1/1024 bit"
