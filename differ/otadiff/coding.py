"""The coding pass: a cover and an address map become the bits of PATCH.md sections 8 to 11.

Everything here mirrors the decoder's order of events. `state` and `out` belong to the range coder;
`models` holds every model of a block, at the offsets below.
"""

import numpy as np

from . import literals
from .jit import jit
from .literals import FIRST_WEIGHT, WEIGHT_SETS, put_literals
from .operands import LOCAL, OUTSIDE, POINTER, SIZE, X_L32R, load, put, read
from .rangecoder import (
    EXCEPTIONS,
    GAPS,
    OP_COPY,
    OP_LITERAL,
    OP_SOURCE,
    PART,
    PARTS,
    START,
    costs,
    put_bit,
    put_number,
    put_tree,
)

CELL = 256
"""Bytes of the new image that share a row of the record of costs."""

# Offsets of the models (PATCH.md section 8), behind those of literals; a tree has 32, a mantissa table 116.
_TREE, _MANTISSA = 32, 116
_GAP = literals.MODELS
_GAP_MANTISSA = _GAP + 12 * _TREE
_LIT = _GAP_MANTISSA + _MANTISSA
_COPY = _LIT + _TREE
_DIST = _COPY + _TREE
_COUNT_MANTISSA = _DIST + _TREE
_DISP = _COUNT_MANTISSA + _MANTISSA
_DISP_MANTISSA = _DISP + _TREE
_HIT = _DISP_MANTISSA + _MANTISSA
_INDEX = _HIT + 2
_SELF = _INDEX + 10
_AGAIN = _SELF + 2
_SOME = _AGAIN + 64
_RES = _SOME + 256
MODELS = _RES + 1024

# Types of units without a reference.
_UNSYNCED = 15
_END = 31  # the length in a gap's tree that means "to the end of the copy"
_RANGES = 9
_SLOTS = 32

_X = [0, 4, 3, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0] + [3] * 8 + [2] * 6 + [3] * 2
_R = [0, 4, 0, 0, 0, 4, 4, 4, 4, 4, 4, 4, 0, 4, 1, 0] + [4] * 8 + [2] * 8
_T = [0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 4, 1, 0] + [4] * 8 + [2] * 8
UNIT_SIZE = np.array([[0] * 32, _X, _X, _R, _T], np.int64)
"""UNIT_SIZE[cpu, type]: bytes of a unit (PATCH.md section 6.2)."""


@jit("int64(int64)")
def _gap_class(gap: int) -> int:
    return (gap >= 1) + (gap >= 3) + (gap >= 10) + (gap >= 40) + (gap >= 200)


@jit()
def _unit_end(p, unit, limit, size):
    """Type and end of the unit of old that a copy meets at p (section 10)."""
    t = np.int64(unit[p])
    if t:
        return t, p + size[t]
    end = p + 1
    while end < p + 4 and end < limit[p] and unit[end] == 0:
        end += 1
    return np.int64(_UNSYNCED), end


@jit()
def _displacement(t, moved, ranges, newest):
    """How far a local target moved: with the newest of the last copies that holds it, else by the map."""
    for i in range(_RANGES):
        r = ranges[(newest - i) % _RANGES]
        if r[0] <= t < r[1]:
            return r[2]
    return moved


@jit()
def predict(view, size, p, q, count, ranges, newest, slots, predicted, ends, types):
    """The units of a copy from old and what the decoder predicts for them.

    Fills, by offset in the copy: `predicted` bytes, and `types` and `ends` where a unit starts.
    """
    old, new, unit, limit, kind, target, apart, moved, old_address, new_address, base, _ = view
    k = 0
    while k < count:
        t, end = _unit_end(p + k, unit, limit, size)
        end = min(end - p, count)
        types[k] = t
        ends[k] = end
        for i in range(k, end):
            predicted[i] = old[p + i]
        r = np.int64(kind[p + k])
        pc = np.int64(new_address[q + k])
        if (
            r
            and end - k == SIZE[r]
            and pc != OUTSIDE
            and (r != POINTER or (pc - old_address[p + k]) & 3 == 0)
        ):
            was = np.int64(target[p + k])
            move = np.int64(moved[p + k])
            if LOCAL[r]:
                move = _displacement(was, move, ranges, newest)
            slot = slots[was >> 2 & (_SLOTS - 1)]
            if r == X_L32R and slot[0] == was:
                move = slot[1]
            word = put(r, load(old, p + k, SIZE[r]), was + move, pc, pc - apart[p + k], base)
            if r == X_L32R and word != load(new, q + k, 3) and word & 255 == new[q + k]:
                slot[0] = was
                slot[1] = read(r, load(new, q + k, 3), pc, base) - was
            for i in range(SIZE[r]):
                predicted[k + i] = word >> (8 * i) & 255
        k = end


@jit("void(int64[::1], uint8[::1], uint16[::1], int64[:,::1], int64, int64, int64)")
def put_exception(
    state: np.ndarray, out: np.ndarray, models: np.ndarray, repeats: np.ndarray, t: int, size: int, d: int
) -> None:
    """A unit of type t that differs from its prediction by d, 0 < d < 2^(8 size) (section 11)."""
    state[PART] = EXCEPTIONS
    last = repeats[t, 0]
    before = repeats[t, 1]
    if last:
        put_bit(state, out, models, _AGAIN + 2 * t, d == last)
        if d == last:
            return
        if before:
            put_bit(state, out, models, _AGAIN + 2 * t + 1, d == before)
    repeats[t, 1] = last
    repeats[t, 0] = d
    if last and d == before:
        return
    some = 0
    for j in range(size):
        byte = d >> (8 * j) & 255
        if j < size - 1 or some:
            put_bit(state, out, models, _SOME + (t * 4 + j) * 2 + some, byte != 0)
        if byte:
            some = 1
            node = 1
            for i in range(7, -1, -1):
                bit = byte >> i & 1
                put_bit(state, out, models, _RES + (((t * 4 + j) * 0x9E5 + node * 0x265) & 1023), bit)
                node = node << 1 | bit


@jit()
def _charge(state, record, q):
    """Moves what was spent since the last time to the row of new[q], if there is a record."""
    if len(record):
        now = costs(state)
        for part in range(PARTS):
            record[q // CELL, part] += now[part]
            now[part] = 0


@jit()
def put_units(
    state, out, models, repeats, last_class, new, q, count, code_at, predicted, ends, types, record
):
    """Gaps and exceptions of a copy of `count` bytes to q; returns the class of its last gap.

    `code_at[k]` tells whether the source of byte k has the contexts of code.
    """
    k = 0
    while k < count:
        tree = _GAP + (last_class + (6 if code_at[k] else 0)) * _TREE
        gap = 0
        at = k
        differs = False
        while k < count:
            for i in range(k, ends[k]):
                differs |= predicted[i] != new[q + i]
            if differs:
                break
            gap += 1
            k = ends[k]
        state[PART] = GAPS
        if not differs:
            put_tree(state, out, models, tree, _END)
            _charge(state, record, q + at)
            return 5
        put_number(state, out, models, tree, _GAP_MANTISSA, gap)
        last_class = _gap_class(gap)
        size = ends[k] - k
        d = (load(new, q + k, size) - load(predicted, k, size)) & ((1 << (8 * size)) - 1)
        put_exception(state, out, models, repeats, types[k], size, d)
        _charge(state, record, q + k)
        k = ends[k]
    return last_class


@jit()
def _candidates(found, mru, literals, first, q, view, keys, moves):
    """The diagonals that a copy at q most likely has (section 8); returns their number."""
    old, _, _, _, _, _, _, _, old_address, new_address, _, _ = view
    n = 0
    wanted = np.empty(8, np.int64)
    w = 0
    if literals:
        wanted[w] = mru[0]
        w += 1
    e = q - literals + mru[0]
    if 0 <= e < len(old) and old_address[e] != OUTSIDE and new_address[q] != OUTSIDE:
        shift = (q - new_address[q]) - (e - old_address[e])
        k = np.searchsorted(keys, np.int64(old_address[e]), side="right")
        wanted[w] = -(moves[k - 1] if k else 0) - shift
        w += 1
        for i in range(k, min(k + 2, len(keys))):
            wanted[w] = -moves[i] - shift
            w += 1
    for i in range(4):
        wanted[w] = mru[i]
        w += 1
    for i in range(w):
        known = wanted[i] == mru[0] and not literals and not first
        for j in range(n):
            known |= found[j] == wanted[i]
        if not known:
            found[n] = wanted[i]
            n += 1
    return n


@jit()
def put_source(state, out, models, found, count, d, x, own, last, old_size):
    """The diagonal d of a copy: an index into `found`, or by its value. x: literals came before."""
    state[PART] = OP_SOURCE
    hit = -1
    for j in range(min(count, 6) - 1, -1, -1):
        if found[j] == d:
            hit = j
    put_bit(state, out, models, _HIT + x, hit >= 0)
    if hit >= 0:
        j = 0
        while j < 5 and j + 1 < count:
            put_bit(state, out, models, _INDEX + x * 5 + j, j < hit)
            if j == hit:
                break
            j += 1
        return
    put_bit(state, out, models, _SELF + x, own)
    if own:
        put_number(state, out, models, _DIST, _COUNT_MANTISSA, old_size - 1 - d)
    else:
        value = d - last
        put_number(state, out, models, _DISP, _DISP_MANTISSA, -2 * value - 1 if value < 0 else 2 * value)


@jit()
def _recall(mru, d):
    """Puts d in front of the last four diagonals."""
    at = 0
    while at < 3 and mru[at] != d:
        at += 1
    for i in range(at, 0, -1):
        mru[i] = mru[i - 1]
    mru[0] = d


@jit()
def _predict_own(new, start, q, count, predicted, ends, types):
    """The units of a copy from new[start:], which is written already."""
    k = 0
    while k < count:
        end = min(k + 4 - ((q + k) & 3), count)
        types[k] = _UNSYNCED
        ends[k] = end
        for i in range(k, end):
            predicted[i] = new[start + i]
        k = end


@jit()
def put_block(state, out, view, cpu, code_at, keys, moves, plan, op, start, end, mix, record):
    """The ops of the block new[start : end], from `op` on; returns the index of the next block's first op.

    `plan` is cut at block ends. `code_at[p]`: whether position p of old has the contexts of code.
    `record` has no rows, or one per CELL bytes of new: it gets what they cost, by part, in 1/1024 bit, and
    the account in `state` is emptied.
    """
    runs, copies, diagonals = plan
    old = view[0]
    new = view[1]
    models = np.full(MODELS, START, np.uint16)
    weights = np.full((WEIGHT_SETS, 3), FIRST_WEIGHT, np.int64)
    run = np.zeros(3, np.int64)
    slots = np.full((_SLOTS, 2), -1, np.int64)
    size = UNIT_SIZE[cpu]
    repeats = np.zeros((32, 2), np.int64)
    ranges = np.zeros((_RANGES, 3), np.int64)
    mru = np.zeros(4, np.int64)
    found = np.empty(8, np.int64)
    predicted = np.empty(end - start + 8, np.uint8)
    ends = np.empty(end - start + 8, np.int32)
    types = np.empty(end - start + 8, np.uint8)
    own_code = np.zeros(end - start + 8, np.bool_)
    newest = 0
    first = True
    last = np.int64(0)
    last_class = 5
    q = start
    while q < end:
        c = runs[op]
        count = copies[op]
        state[PART] = OP_LITERAL
        put_number(state, out, models, _LIT, _COUNT_MANTISSA, c)
        _charge(state, record, q)
        run[:] = 0
        while c:
            now = min(c, CELL - q % CELL) if len(record) else c
            put_literals(state, out, models, weights, new, view[11], cpu, run, start, q, now, mix)
            _charge(state, record, q)
            q += now
            c -= now
        if q < end:
            d = diagonals[op]
            p = q + d
            own = p >= len(old)
            state[PART] = OP_COPY
            put_number(state, out, models, _COPY, _COUNT_MANTISSA, count)
            n = _candidates(found, mru, runs[op], first, q, view, keys, moves)
            put_source(state, out, models, found, n, d, 1 if runs[op] else 0, own, last, len(old))
            _charge(state, record, q)
            _recall(mru, d)
            first = False
            if own:
                _predict_own(new, p - len(old), q, count, predicted, ends, types)
            else:
                last = d
                newest = (newest + 1) % _RANGES
                _remember(ranges, newest, view[8][p], view[9][q], count)
                predict(view, size, p, q, count, ranges, newest, slots, predicted, ends, types)
            last_class = put_units(
                state,
                out,
                models,
                repeats,
                last_class,
                new,
                q,
                count,
                own_code if own else code_at[p:],
                predicted,
                ends,
                types,
                record,
            )
            q += count
        op += 1
    return op


@jit()
def _remember(ranges, newest, source, address, count):
    """A copy of `count` bytes from old address `source` to new `address`, for local references."""
    ranges[newest] = (0, 0, 0)
    if source != OUTSIDE and address != OUTSIDE:
        ranges[newest] = (np.int64(source), np.int64(source) + count, np.int64(address) - source)
