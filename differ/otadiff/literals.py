"""Literals: bytes of the new image that come from nowhere, and what they cost (PATCH.md section 9)."""

import numpy as np

from .jit import jit
from .rangecoder import LITERALS, PART, START, code, costs, new_state, put_bit, update

# Offsets of the models.
_LIT0 = 0
_LIT1 = _LIT0 + 1024
_LIT2 = _LIT1 + 2048
MODELS = _LIT2 + 1024

WEIGHT_SETS = 32
FIRST_WEIGHT = 19660
_RISCV, _THUMB = 3, 4

_UPPER = (
    "2 6 10 14 18 22 26 30 34 38 42 46 50 54 58 62 66 70 75 79 83 87 91 95 99 103 108 112 116 120 124 129"
    " 133 137 141 146 150 155 159 163 168 172 177 181 186 190 195 200 204 209 214 218 223 228 233 238 243"
    " 248 253 258 263 268 273 279 284 289 295 300 306 311 317 323 329 335 341 347 353 359 366 372 379 385"
    " 392 399 406 413 421 428 436 443 451 459 468 476 485 494 503 512 522 532 542 553 564 575 587 599 612"
    " 625 639 653 669 685 702 720 739 760 783 807 834 863 896 934 978 1030 1095 1182 1314 1597"
)
_LOGISTIC = (
    "2048 2112 2175 2239 2302 2365 2427 2489 2549 2609 2667 2725 2781 2837 2890 2943 2994 3044 3092 3138"
    " 3183 3227 3269 3309 3348 3386 3422 3456 3489 3521 3551 3580 3607 3634 3659 3682 3705 3727 3747 3766"
    " 3785 3802 3819 3835 3849 3863 3877 3889 3901 3913 3923 3933 3943 3952 3960 3968 3975 3983 3989 3995"
    " 4001 4007 4012 4017 4022 4026 4030 4034 4038 4041 4045 4048 4051 4053 4056 4058 4060 4063 4064 4066"
    " 4068 4070 4071 4073 4074 4075 4077 4078 4079 4080 4081 4082 4083 4083 4084 4085 4085 4086 4087 4087"
    " 4088 4088 4089 4089 4089 4090 4090 4090 4091 4091 4091 4092 4092 4092 4092 4092 4093 4093 4093 4093"
    " 4093 4093 4094 4094 4094 4094 4094 4094"
)
_STRETCH = np.array([int(v) for v in _UPPER.split()], np.int64)
_SQUASH = np.array([int(v) for v in _LOGISTIC.split()], np.int64)


@jit("int64(int64)")
def _stretch(p: int) -> int:
    return _STRETCH[(p >> 4) - 128] if p >= 2048 else -_STRETCH[127 - (p >> 4)]


@jit("int64(int64)")
def _squash(s: int) -> int:
    return _SQUASH[s >> 4] if s >= 0 else 4096 - _SQUASH[-s >> 4]


@jit("void(int64[::1], uint8[::1], uint16[::1], int64[::1], int64[::1], int64)")
def _mixed_bit(
    state: np.ndarray,
    out: np.ndarray,
    models: np.ndarray,
    weights: np.ndarray,
    places: np.ndarray,
    bit: int,
) -> None:
    """A bit of a literal in the normal profile: three models, mixed (section 9)."""
    s1 = _stretch(models[places[0]] >> 4)
    s2 = _stretch(models[places[1]] >> 4)
    s3 = _stretch(models[places[2]] >> 4)
    s = (s1 * weights[0] + s2 * weights[1] + s3 * weights[2]) >> 16
    p = _squash(min(2047, max(-2047, s)))
    code(state, out, bit, p)
    e = ((bit << 12) - p) * 12
    weights[0] = min(262143, max(-262143, weights[0] + ((s1 * e + 8192) >> 14)))
    weights[1] = min(262143, max(-262143, weights[1] + ((s2 * e + 8192) >> 14)))
    weights[2] = min(262143, max(-262143, weights[2] + ((s3 * e + 8192) >> 14)))
    for place in places:
        update(models, place, bit)


@jit("void(int64[::1], int64, int64)")
def follow(run: np.ndarray, cpu: int, byte: int) -> None:
    """After a literal in code: which byte (run[0]) of how many (run[1]) of what (run[2]) comes next."""
    if cpu == _THUMB:
        if run[0]:
            run[2] = byte >> 3
        return
    if run[0] == 0 and cpu == _RISCV:
        long = byte & 3 == 3
        run[1] = 4 if long else 2
        run[2] = byte >> 2 & 31 if long else 32 + (byte & 3)
    elif run[0] == 0:
        run[2] = byte & 15
        run[1] = 2 if 8 <= run[2] <= 13 else 3
    run[0] += 1
    if run[0] == run[1]:
        run[0] = 0


@jit()
def put_literals(state, out, models, weights, new, in_code, cpu, run, start, q, count, mix):
    """Literals new[q : q + count] of a block that starts at `start` (section 9).

    in_code[q]: whether position q stands in code. run: see `follow`; all 0 where a run of literals starts.
    """
    state[PART] = LITERALS
    places = np.zeros(3, np.int64)
    for at in range(q, q + count):
        byte = np.int64(new[at])
        previous = np.int64(new[at - 1]) if at > start else np.int64(0)
        if in_code[at] and cpu == _THUMB:
            run[0] = at & 1
        x = run[0] if in_code[at] else at & 3
        y = 256 + (run[0] << 6) + run[2] if in_code[at] else previous
        node = 1
        for i in range(8):
            bit = byte >> (7 - i) & 1
            places[0] = _LIT0 + (x << 8 | node)
            if mix:
                places[1] = _LIT1 + ((y * 0x9E5 + node * 0x265) & 2047)
                places[2] = _LIT2 + ((previous * 0x9E5 + node * 0x265) & 1023)
                _mixed_bit(state, out, models, weights[x << 3 | i], places, bit)
            else:
                put_bit(state, out, models, places[0], bit)
            node = node << 1 | bit
        if in_code[at]:
            follow(run, cpu, byte)
        else:
            run[:] = 0


@jit("int32[::1](uint8[::1], boolean[::1], int64)")
def adaptive_costs(new: np.ndarray, in_code: np.ndarray, cpu: int) -> np.ndarray:
    """What each byte would cost, in 1/1024 bit, if all of the image were sent as mixed literals."""
    models = np.full(MODELS, START, np.uint16)
    weights = np.full((WEIGHT_SETS, 3), FIRST_WEIGHT, np.int64)
    run = np.zeros(3, np.int64)
    state = new_state()
    out = np.zeros(2 * len(new) + 64, np.uint8)
    cost = np.zeros(len(new), np.int32)
    for q in range(len(new)):
        put_literals(state, out, models, weights, new, in_code, cpu, run, 0, q, 1, True)
        cost[q] = costs(state)[LITERALS]
        costs(state)[LITERALS] = 0
    return cost
