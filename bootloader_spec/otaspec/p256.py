"""ECDSA verification on the curve P-256 (FIPS 186-5; SEC 1 version 2 section 4.1.4).

Only public values are handled, so nothing here needs constant time. Points are affine pairs (x, y) or
Jacobian triples (X, Y, Z) with x = X/Z^2, y = Y/Z^3; Z = 0 is the point at infinity.
"""

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)

# Comb of width 5: column i of a scalar holds its bits i, i + 52, ..., i + 208.
_WIDTH = 5
_COLUMNS = 52
_POINTS = (1 << _WIDTH) - 1
TABLE_SIZE = 2 * _POINTS * 64  # the points of G, then of the public key


def verify(public: bytes, digest: bytes, signature: bytes, table: object = None) -> bool:
    """Whether `signature` (r || s, 64 bytes) over `digest` (32 bytes) is by `public` (X || Y, 64 bytes).

    `table` = make_table(public) makes it about three times as fast.
    """
    if len(public) != 64 or len(digest) != 32 or len(signature) != 64:
        return False
    r = _int(signature, 0)
    s = _int(signature, 32)
    q = point(public)
    if not (0 < r < N and 0 < s < N and q):
        return False
    w = inverse(s, N)
    u1 = _int(digest, 0) * w % N
    u2 = r * w % N
    if table is None:
        x, _, z = _shamir(u1, u2, q)
    else:
        if len(table) != TABLE_SIZE or bytes(table[TABLE_SIZE // 2 : TABLE_SIZE // 2 + 64]) != bytes(public):
            return False
        x, _, z = _comb(u1, u2, table)
    if not z:
        return False
    # x = X/Z^2 mod P, compared mod N without an inversion: x is r or, when that is below P, r + N.
    zz = z * z % P
    return r * zz % P == x or (r + N < P and (r + N) * zz % P == x)


def point(public: bytes) -> object:
    """The affine point of X || Y, or None if it is not on the curve."""
    x = _int(public, 0)
    y = _int(public, 32)
    if x < P and y < P and (y * y - (x * x - 3) * x - B) % P == 0:
        return x, y
    return None


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
            points.append(_affine(_add(points[j] + (1,), base)))
        jacobian = base + (1,)
        for _ in range(_COLUMNS):
            jacobian = _double(jacobian)
        base = _affine(jacobian)
    for j in range(1, _POINTS + 1):
        at = start + 64 * (j - 1)
        table[at : at + 64] = points[j][0].to_bytes(32, "big") + points[j][1].to_bytes(32, "big")


def _comb(u1: int, u2: int, table: bytes) -> tuple:
    """u1 G + u2 Q, Jacobian, with make_table's points."""
    acc = (1, 1, 0)
    for column in range(_COLUMNS - 1, -1, -1):
        acc = _double(acc)
        for half, scalar in ((0, u1), (TABLE_SIZE // 2, u2)):
            scalar >>= column
            j = 0
            for bit in range(_WIDTH):
                j |= (scalar >> _COLUMNS * bit & 1) << bit
            if j:
                at = half + 64 * (j - 1)
                acc = _add(acc, (_int(table, at), _int(table, at + 32)))
    return acc


def _shamir(u1: int, u2: int, q: tuple) -> tuple:
    """u1 G + u2 Q, Jacobian, both scalars bit by bit at once."""
    both = _add(G + (1,), q)
    both = _affine(both) if both[2] else None
    acc = (1, 1, 0)
    for bit in range(255, -1, -1):
        acc = _double(acc)
        pair = (u1 >> bit & 1) + 2 * (u2 >> bit & 1)
        other = (None, G, q, both)[pair]
        if other:
            acc = _add(acc, other)
    return acc


def _double(point: tuple) -> tuple:
    x, y, z = point
    zz = z * z % P
    yy = y * y % P
    beta = x * yy % P
    alpha = 3 * (x - zz) * (x + zz) % P
    x3 = (alpha * alpha - 8 * beta) % P
    return x3, (alpha * (4 * beta - x3) - 8 * yy * yy) % P, 2 * y * z % P


def _add(point: tuple, other: tuple) -> tuple:
    """Jacobian + affine, all special cases included."""
    x1, y1, z1 = point
    x2, y2 = other
    if not z1:
        return x2, y2, 1
    zz = z1 * z1 % P
    h = (x2 * zz - x1) % P
    rr = (y2 * zz * z1 - y1) % P
    if not h:
        return (1, 1, 0) if rr else _double(point)
    hh = h * h % P
    hhh = h * hh % P
    v = x1 * hh % P
    x3 = (rr * rr - hhh - 2 * v) % P
    return x3, (rr * (v - x3) - y1 * hhh) % P, z1 * h % P


def _affine(point: tuple) -> tuple:
    x, y, z = point
    w = inverse(z, P)
    ww = w * w % P
    return x * ww % P, y * ww * w % P


def inverse(a: int, m: int) -> int:
    """1/a mod the prime m, 0 < a < m, by the extended Euclidean algorithm (an eighth of pow's cost)."""
    u, v = 1, 0
    b = m
    while a > 1:
        q = b // a
        b, a, u, v = a, b - q * a, v - q * u, u
    return u % m


def _int(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 32], "big")
