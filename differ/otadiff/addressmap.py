"""The address map M: how far each old address moved, in as few entries as explain the references.

Each reference copied by the cover is a sample (old target, displacement). A Viterbi search over the
samples, by target, chooses where the displacement changes. Costs are in 1/1024 bit.
"""

from typing import NamedTuple

import numpy as np

from .jit import BIT, jit
from .operands import LOCAL, LOW, OUTSIDE, POINTER, R_HI, R_HI_PC, SIZE, UNLIKE, get


class AddressMap(NamedTuple):
    """Old addresses, rising, and the displacement from each to the next; 0 below the first."""

    keys: np.ndarray  # int64
    moves: np.ndarray  # int64

    def displacements(self, kind: np.ndarray, target: np.ndarray) -> np.ndarray:
        """M(target) of each reference (where `kind` is not 0), by position; int32."""
        return _displacements(self.keys, self.moves, kind, target)


EMPTY = AddressMap(np.zeros(0, np.int64), np.zeros(0, np.int64))

_WRONG = 11 * BIT  # a reference that the map predicts wrong
_RIGHT = 20
_NEW = 26 * BIT  # an entry with a displacement not seen lately; a known one is 8 bits cheaper
_CHEAPER = 8 * BIT
_STATES = 48
_KEEP = 40
_RECENT = 9  # ops whose ranges may hold the target of a local jump
_FARTHEST = 1 << 22

# Columns of a state of the search.
_MOVE, _COST, _NODE, _PREV, _FROM = range(5)


@jit("int32[::1](int64[::1], int64[::1], uint8[::1], int32[::1])")
def _displacements(keys: np.ndarray, moves: np.ndarray, kind: np.ndarray, target: np.ndarray) -> np.ndarray:
    found = np.zeros(len(kind), np.int32)
    for p in range(len(kind)):
        if kind[p]:
            k = np.searchsorted(keys, np.int64(target[p]), side="right")
            found[p] = moves[k - 1] if k else 0
    return found


@jit()
def samples(pair, literals, copies, diagonals):
    """(targets, displacements) of the references that lie whole inside a copy from old."""
    old, new, kind, target, apart, _, old_address, new_address, base = pair
    found = np.empty((np.count_nonzero(kind), 2), np.int64)
    n = 0
    starts = np.zeros(_RECENT, np.int64)
    ends = np.zeros(_RECENT, np.int64)
    made = 0
    q = 0
    for op in range(len(copies)):
        q += literals[op]
        p = q + diagonals[op]
        size = copies[op]
        if p >= len(old) or size == 0:
            q += size
            continue
        starts[made % _RECENT] = old_address[p]
        ends[made % _RECENT] = old_address[p] + size
        made += 1
        for i in range(size):
            k = np.int64(kind[p + i])
            if k == 0 or LOW[k]:
                continue
            far = np.int64(apart[p + i]) + 4 if k == R_HI or k == R_HI_PC else SIZE[k]
            pc = np.int64(new_address[q + i])
            if i + far > size or pc == OUTSIDE or n == len(found):
                continue
            was = np.int64(target[p + i])
            if k == POINTER and (pc ^ old_address[p + i]) & 3:
                continue
            if LOCAL[k]:
                inside = False
                for j in range(_RECENT):
                    inside |= starts[j] <= was < ends[j]
                if inside:
                    continue
            now = get(k, old, p + i, new, q + i, pc, was, far - 4, base)
            if now != UNLIKE and abs(now - was) < _FARTHEST:
                found[n, 0] = was
                found[n, 1] = now - was
                n += 1
        q += size
    return found[:n].copy()


@jit()
def _best(states, alive, nodes, made):
    """The index of the cheapest state (of equals the first), its node made; and how many nodes there are."""
    best = 0
    for j in range(1, alive):
        if states[j, _COST] < states[best, _COST]:
            best = j
    if states[best, _NODE] < 0:
        nodes[made] = (states[best, _PREV], states[best, _FROM], states[best, _MOVE])
        states[best, _NODE] = made
        made += 1
    return best, made


@jit()
def _drop_dear(states, alive):
    """Drops the dearest states (of equals the later) until _KEEP are left."""
    while alive > _KEEP:
        worst = 0
        for j in range(1, alive):
            if states[j, _COST] >= states[worst, _COST]:
                worst = j
        for j in range(worst, alive - 1):
            states[j] = states[j + 1]
        alive -= 1
    return alive


@jit("int64[:,::1](int64[::1], int64[::1], int64)")
def choose(targets: np.ndarray, moves: np.ndarray, new: int) -> np.ndarray:
    """Where the displacement changes: rows (index of the sample, displacement from there on).

    `new` is the cost of an entry with a displacement not seen lately.
    """
    count = len(targets)
    nodes = np.empty((count + 2, 3), np.int64)  # previous node, index, displacement
    made = 0
    states = np.zeros((_STATES + 8, 5), np.int64)
    states[0] = (0, 0, -1, -1, 0)
    alive = 1
    for i in range(count):
        if i == 0 or targets[i] != targets[i - 1]:
            best, made = _best(states, alive, nodes, made)
            cost = states[best, _COST]
            node = states[best, _NODE]
            for j in range(alive):
                if states[j, _COST] > cost + new - _CHEAPER:
                    states[j] = (states[j, _MOVE], cost + new - _CHEAPER, -1, node, i)
            j = i
            while j < min(count, i + 8) and targets[j] == targets[i]:
                known = False
                for s in range(alive):
                    known |= states[s, _MOVE] == moves[j]
                if not known:
                    states[alive] = (moves[j], cost + new, -1, node, i)
                    alive += 1
                j += 1
        for j in range(alive):
            states[j, _COST] += _RIGHT if states[j, _MOVE] == moves[i] else _WRONG
        if alive > _STATES:
            alive = _drop_dear(states, alive)
    best, made = _best(states, alive, nodes, made)
    path = np.empty((made, 2), np.int64)
    n = 0
    at = states[best, _NODE]
    while at >= 0:
        path[n, 0] = nodes[at, 1]
        path[n, 1] = nodes[at, 2]
        n += 1
        at = nodes[at, 0]
    return path[:n][::-1].copy()


def roundest(low: int, high: int) -> int:
    """The number in low..high with the most trailing zero bits."""
    for bit in range(31, -1, -1):
        if high >> bit << bit >= low:
            return high >> bit << bit
    return high


def fit(found: np.ndarray, most: int) -> AddressMap:
    """The map of at most `most` entries that explains the samples (rows: old target, move) best."""
    found = found[np.argsort(found[:, 0], kind="stable")]
    targets = np.ascontiguousarray(found[:, 0])
    moves = np.ascontiguousarray(found[:, 1])
    cost = _NEW
    while True:
        chosen = _entries(targets, choose(targets, moves, cost))
        if len(chosen.keys) <= most:
            return chosen
        cost += cost // 2


def _entries(targets: np.ndarray, changes: np.ndarray) -> AddressMap:
    """The map with these changes, at the roundest addresses that separate the same samples."""
    entries: dict[int, int] = {}
    for index, move in changes.tolist():
        if index < len(targets):
            high = int(targets[index])
            low = int(targets[index - 1]) + 1 if index else high & ~0xFFFF
            if high >= 0:
                entries[roundest(max(low, 0), high)] = move
    keys: list[int] = []
    moves: list[int] = []
    for key, move in sorted(entries.items()):
        if move != (moves[-1] if moves else 0):
            keys.append(key)
            moves.append(move)
    return AddressMap(np.array(keys, np.int64), np.array(moves, np.int64))
