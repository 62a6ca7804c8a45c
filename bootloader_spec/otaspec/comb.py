"""The comb table of a trusted P-256 key: a verification with it costs a third (DESIGN.md).

31 points of G, then 31 of the key. Made once, when a key is accepted.
"""

from .errors import const
from .p256 import G, add, affine, double, number, point

# Comb of width 5: column i of a scalar holds its bits i, i + 52, ..., i + 208.
_WIDTH = const(5)
_COLUMNS = const(52)
_POINTS = const(31)
TABLE_SIZE = 2 * _POINTS * 64


def make_table(public: bytes) -> bytes:
    """The comb table (TABLE_SIZE bytes) of a trusted key; ValueError if it is not on the curve.

    Costs about as much as one verification without a table.
    """
    q = point(public)
    if not q:
        raise ValueError("not a point of P-256")
    table = bytearray(TABLE_SIZE)
    _fill(table, 0, G)
    _fill(table, TABLE_SIZE // 2, q)
    return bytes(table)


def _fill(table: bytearray, start: int, base: tuple) -> None:
    """Writes j_0 base + j_1 2^52 base + ... for each j = 1..31 with bits j_0..j_4, affine."""
    points = [None]
    for bit in range(_WIDTH):
        points.append(base)
        for j in range(1, 1 << bit):
            points.append(affine(add(points[j] + (1,), base)))
        jacobian = base + (1,)
        for _ in range(_COLUMNS):
            jacobian = double(jacobian)
        base = affine(jacobian)
    for j in range(1, _POINTS + 1):
        at = start + 64 * (j - 1)
        table[at : at + 64] = points[j][0].to_bytes(32, "big") + points[j][1].to_bytes(32, "big")


def is_of(table: bytes, public: bytes) -> bool:
    """Whether this is the table of that key."""
    return len(table) == TABLE_SIZE and bytes(table[TABLE_SIZE // 2 : TABLE_SIZE // 2 + 64]) == bytes(public)


def sum_of(u1: int, u2: int, table: bytes) -> object:
    """u1 G + u2 Q, Jacobian, with make_table's points; yields what there is, at last the sum."""
    acc = (1, 1, 0)
    for column in range(_COLUMNS - 1, -1, -1):
        acc = double(acc)
        for half, scalar in ((0, u1), (TABLE_SIZE // 2, u2)):
            scalar >>= column
            j = 0
            for bit in range(_WIDTH):
                j |= (scalar >> _COLUMNS * bit & 1) << bit
            if j:
                at = half + 64 * (j - 1)
                acc = add(acc, (number(table, at), number(table, at + 32)))
        if not column & 7:
            yield acc
