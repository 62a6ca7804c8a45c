"""The cover: which bytes of the new image are copied from where, which are sent as literals.

A Viterbi search over the new image. A state is a diagonal d: new[q] comes from position q + d of the
virtual string old || new. References copied from old are compared by what the decoder will predict for
them, not by their bytes, so code that moved costs nothing. Costs are integers, in 1/1024 bit.
"""

from typing import NamedTuple

import numpy as np

from .jit import BIT, jit
from .operands import LOCAL, OUTSIDE, POINTER, SIZE, UNLIKE, get, load, put
from .suffix import common


class Settings(NamedTuple):
    """What the search believes things cost, in 1/1024 bit; see DESIGN.md for how they were found."""

    new_diagonal: int = 38 * BIT
    known_diagonal: int = 24 * BIT
    enter_literal: int = 8 * BIT
    literal: int = 870  # share of the estimate of what literals cost, in 1/1024
    blend: bool = False  # that estimate: costs.literals alone, or its mean with literals.adaptive_costs
    miss: int = 15 * BIT
    next_miss: int = 8 * BIT + BIT // 2
    hit: int = 10
    hit_after_miss: int = 7 * BIT // 10
    reference: int = 15 * BIT  # a reference predicted wrong
    reference_recent: int = 5 * BIT  # wrong by a displacement seen before on this diagonal
    keep: int = 24  # diagonals kept


class Cover(NamedTuple):
    """The cover: arrays of equal length; a literal run, then a copy of new[q:] from q + diagonal."""

    literals: np.ndarray
    copies: np.ndarray
    diagonals: np.ndarray


# Columns of a state.
_D, _COST, _NODE, _MISS, _PREV, _FROM, _LAST, _LAST2, _SKIP, _FIELDS = range(10)
_LITERAL = (1 << 31) - 1  # the diagonal of "no diagonal"
_STATES = 96
_NEVER = 1 << 50
_DROPPED = -1
_BEFORE, _KNOWN = 1 << 8, 1 << 9  # of a shape: see _neighbours
_LONG = 64  # after so many bytes without a flaw, other diagonals need not be followed


@jit()
def _has(states, count, d):
    for i in range(count):
        if states[i, _D] == d:
            return True
    return False


@jit()
def _neighbours(text, new, q, order, slot, least, slack):
    """How many suffixes of `text` on either side of new[q:] match nearly as long as the longest, at most 12.

    Those before in the low 4 bits, those behind in the next 4; then _BEFORE, if the longest is one before.
    """
    left = np.int64(slot[q]) - 1
    right = left + 1
    a = common(text, np.int64(order[left]), new, q, 4096) if left >= 0 else -1
    b = common(text, np.int64(order[right]), new, q, 4096) if right < len(order) else -1
    longest = max(a, b)
    shape = _KNOWN | (_BEFORE if a >= b else 0)
    if longest < least:
        return shape
    least = max(least, longest - slack)
    for _ in range(12):
        if max(a, b) < least:
            break
        if a >= b:
            shape += 1
            left -= 1
            a = common(text, np.int64(order[left]), new, q, 4096) if left >= 0 else -1
        else:
            shape += 1 << 4
            right += 1
            b = common(text, np.int64(order[right]), new, q, 4096) if right < len(order) else -1
    return shape


@jit()
def _nearby(found, n, text, new, q, order, slot, shapes, least, slack, around):
    """Adds the diagonal of the longest match, and of those nearly as long the one nearest to `around`.

    shapes: of `_neighbours`, kept from one search to the next: reading so much text is most of the work.
    """
    if shapes[q] == 0:
        shapes[q] = _neighbours(text, new, q, order, slot, least, slack)
    shape = np.int64(shapes[q])
    at = np.int64(slot[q])
    start = at - (shape & 15)
    end = at + (shape >> 4 & 15)
    if start == end:
        return n
    longest = at - 1 if shape & _BEFORE else at
    found[n] = np.int64(order[longest]) - q
    n += 1
    nearest = np.int64(_LITERAL)
    for i in range(start, end):
        d = np.int64(order[i]) - q
        if i != longest and abs(d - around) < abs(nearest - around):
            nearest = d
    if nearest != _LITERAL:
        found[n] = nearest
        n += 1
    return n


@jit()
def _pointers(found, n, old_at, value, moves, targets, positions, q):
    """Adds diagonals to old pointers that would become `value` under a displacement of `moves`."""
    for move in moves:
        want = value - move
        lo = np.searchsorted(targets, want)
        hi = np.searchsorted(targets, want + 1)
        if lo == hi:
            continue
        i = lo + np.searchsorted(positions[lo:hi], old_at)
        p = np.int64(positions[min(i, hi - 1)])
        if i > lo and (i == hi or old_at - positions[i - 1] < positions[i] - old_at):
            p = np.int64(positions[i - 1])
        found[n] = p - q
        n += 1
    return n


@jit()
def _reference_cost(s, pair, p, q, size, costs, first):
    """The cost of a reference at old p placed at new q; remembers its displacement in the state."""
    old, new, kind, target, apart, moved, _, new_address, base = pair
    k = np.int64(kind[p])
    pc = np.int64(new_address[q])
    was = np.int64(target[p])
    far = np.int64(apart[p])
    word = put(k, load(old, p, size), was + moved[p], pc, pc - far, base)
    if word == load(new, q, size) and not first:
        return size * costs.hit + (costs.hit_after_miss if s[_MISS] else 0)
    recent = False
    now = np.int64(UNLIKE)
    if q + far + 4 <= len(new):
        now = get(k, old, p, new, q, pc, was, far, base)
    if now != UNLIKE:
        recent = now - was == s[_LAST] or now - was == s[_LAST2]
        if now - was != s[_LAST]:
            s[_LAST2] = s[_LAST]
            s[_LAST] = now - was
    if word == load(new, q, size):
        return size * costs.hit + (costs.hit_after_miss if s[_MISS] else 0)
    s[_MISS] = 1
    if recent:
        return costs.reference_recent
    return costs.reference + (size - 1) * BIT // 2


@jit()
def _advance(states, count, pair, q, costs, first):
    """Moves every state over new[q]; drops those that left the text. Returns how many are left."""
    old, new, kind, _, _, _, old_address, new_address, _ = pair
    kept = 0
    for i in range(count):
        s = states[i]
        p = q + s[_D]
        own = p >= len(old)
        if p < 0 or (own and p - len(old) > q - 4):
            continue
        if kept != i:
            states[kept] = s
            s = states[kept]
        kept += 1
        if s[_SKIP] > 0:
            s[_SKIP] -= 1
            continue
        k = np.int64(0) if own else np.int64(kind[p])
        if k and not LOCAL[k] and new_address[q] != OUTSIDE and q + SIZE[k] <= len(new):
            aligned = k != POINTER or (new_address[q] ^ old_address[p]) & 3 == 0
            if aligned:
                s[_COST] += _reference_cost(s, pair, p, q, SIZE[k], costs, first)
                s[_SKIP] = SIZE[k] - 1
                continue
        if new[q] == (new[p - len(old)] if own else old[p]):
            s[_COST] += costs.hit_after_miss if s[_MISS] else costs.hit
            s[_MISS] = 0
        else:
            s[_COST] += costs.next_miss if s[_MISS] else costs.miss
            s[_MISS] = 1
    return kept


@jit()
def _inside(states, count, q, old_size):
    """Drops the states whose source of new[q] does not exist. Returns how many are left."""
    kept = 0
    for i in range(count):
        p = q + states[i, _D]
        if 0 <= p < old_size or old_size <= p <= old_size + q - 4:
            if kept != i:
                states[kept] = states[i]
            kept += 1
    return kept


@jit()
def _flawless(pair, p, q, most):
    """How many bytes from new[q:] a copy from old[p:] predicts right, at most about `most`."""
    old, new, kind, target, apart, moved, old_address, new_address, base = pair
    most = min(most, len(old) - p, len(new) - q)
    n = 0
    while n < most:
        k = np.int64(kind[p + n])
        size = np.int64(1)
        if k and not LOCAL[k] and new_address[q + n] != OUTSIDE and n + SIZE[k] <= most:
            pc = np.int64(new_address[q + n])
            if k != POINTER or (pc ^ old_address[p + n]) & 3 == 0:
                size = SIZE[k]
                word = put(
                    k, load(old, p + n, size), target[p + n] + moved[p + n], pc, pc - apart[p + n], base
                )
                if word != load(new, q + n, size):
                    return n
        if size == 1 and old[p + n] != new[q + n]:
            return n
        n += size
    return n


@jit()
def _cheapest(states, count, keep):
    """Drops the dearest states (of equals the later) until `keep` are left."""
    for _ in range(count - keep):
        worst = 0
        for i in range(1, count):
            if states[i, _COST] >= states[worst, _COST]:
                worst = i
        states[worst, _COST] = _DROPPED
    kept = count
    for i in range(count):
        if states[i, _COST] == _DROPPED:
            kept = min(kept, i)
        elif i > kept:
            states[kept] = states[i]
            kept += 1
    return min(count, keep)


@jit()
def search(pair, near, form, literal, pointers, costs, first):
    """The nodes (previous node, position, diagonal) of the cheapest cover and the last one's index.

    pair: (old, new, kind, target, apart, moved, old_address, new_address), by position, and the base.
    near: (order, slot, shapes, earlier): raw suffix order of old, and matches within new.
    form: (old, new, order, slot, shapes) of the images with their operands put out of the way.
    literal: cost of each new byte as a literal. pointers: (targets, positions), sorted.
    """
    old, new, kind, target, _, moved, _, new_address, base = pair
    order, slot, shapes, earlier = near
    old_form, new_form, form_order, form_slot, form_shapes = form
    n = len(new)
    nodes = np.empty((n + 2, 3), np.int32)
    nodes[0] = (-1, 0, _LITERAL)
    made = 1
    states = np.zeros((_STATES, _FIELDS), np.int64)
    count = 0
    found = np.empty(32, np.int64)
    lit_cost = np.int64(0)
    lit_node = np.int64(0)
    lit_prev = np.int64(-1)
    lit_from = np.int64(0)
    flawed = np.int64(_LITERAL)
    flaw = np.int64(0)
    q = 0
    while True:
        best = lit_cost
        b = -1
        for i in range(count):
            if states[i, _COST] < best:
                best = states[i, _COST]
                b = i
        if b < 0:
            if lit_node < 0:
                nodes[made] = (lit_prev, lit_from, _LITERAL)
                lit_node = made
                made += 1
            node = lit_node
            around = states[0, _D] if count else np.int64(0)
        else:
            if states[b, _NODE] < 0:
                nodes[made] = (states[b, _PREV], states[b, _FROM], states[b, _D])
                states[b, _NODE] = made
                made += 1
            node = states[b, _NODE]
            around = states[b, _D]
        if q == n:
            break
        p = q + around if b >= 0 else np.int64(-1)
        known = around == flawed and q < flaw  # a flaw too near, found from an earlier byte
        if 0 <= p < len(old) and states[b, _SKIP] == 0 and not known:
            run = _flawless(pair, p, q, n)
            flawed = around
            flaw = q + run
            if run >= _LONG:
                q += run
                states[b, _COST] += run * costs.hit
                states[b, _MISS] = 0
                lit_cost = _NEVER
                for i in range(count):
                    if i != b:
                        states[i, _COST] = _NEVER
                        states[i, _SKIP] = 0
                count = _inside(states, count, q, len(old))
                continue
        if p < 0 or p >= len(old) or common(old, p, new, q, 24) < min(24, n - q):
            f = _nearby(found, 0, old, new, q, order, slot, shapes, 6, 4, around)
            f = _nearby(found, f, old_form, new_form, q, form_order, form_slot, form_shapes, 10, 8, around)
            if earlier[q] >= 0:
                found[f] = len(old) + earlier[q] - q
                f += 1
            if p >= 0 and p + 4 <= len(old) and q + 4 <= n and kind[p] == POINTER:
                value = load(new, q, 4) - base
                move = value - target[p]
                a = states[b, _LAST]
                c = states[b, _LAST2]
                if new_address[q] & 3 == 0 and move != a and move != c and move != moved[p]:
                    f = _pointers(found, f, p, value, (a, c, np.int64(moved[p])), pointers[0], pointers[1], q)
            for i in range(f):
                if count < _STATES and not _has(states, count, found[i]):
                    s = states[count]
                    s[_LAST] = states[b, _LAST] if b >= 0 else 0
                    s[_LAST2] = states[b, _LAST2] if b >= 0 else 0
                    s[_D] = found[i]
                    s[_COST] = best + costs.new_diagonal
                    s[_NODE] = -1
                    s[_PREV] = node
                    s[_FROM] = q
                    s[_MISS] = 0
                    s[_SKIP] = 0
                    count += 1
        for i in range(count):
            s = states[i]
            if s[_COST] > best + costs.known_diagonal:
                s[_COST] = best + costs.known_diagonal
                s[_NODE] = -1
                s[_PREV] = node
                s[_FROM] = q
                s[_MISS] = 0
                s[_SKIP] = 0
        if lit_cost > best + costs.enter_literal:
            lit_cost = best + costs.enter_literal
            lit_node = -1
            lit_prev = node
            lit_from = q
        count = _advance(states, count, pair, q, costs, first)
        lit_cost += literal[q]
        count = _cheapest(states, count, costs.keep)
        q += 1
    return nodes[:made].copy(), node


def trace(nodes: np.ndarray, last: int, old_size: int, size: int) -> Cover:
    """The cover that ends in node `last`, from its nodes."""
    path = []
    while last >= 0:
        previous, start, diagonal = nodes[last]
        path.append((int(start), int(diagonal)))
        last = int(previous)
    path.reverse()
    ops: list[list[int]] = []
    literal = 0
    for (start, d), (end, _) in zip(path, [*path[1:], (size, 0)], strict=True):
        length = end - start
        if not length:
            continue
        if d == _LITERAL:
            literal += length
            continue
        first = old_size - start - d  # bytes that come from old
        parts = [length] if first <= 0 or first >= length else [first, length - first]
        if ops and not literal and ops[-1][2] == d and first != 0:
            ops[-1][1] += parts.pop(0)
        for part in parts:
            ops.append([literal, part, d])
            literal = 0
    if literal:
        ops.append([literal, 0, 0])
    table = np.array(ops, np.int64).reshape(-1, 3)
    return Cover(table[:, 0].copy(), table[:, 1].copy(), table[:, 2].copy())
