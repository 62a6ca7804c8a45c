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


def verify(public: bytes, digest: bytes, signature: bytes, table: object = None) -> bool:
    """Whether `signature` (r || s, 64 bytes) over `digest` (32 bytes) is by `public` (X || Y, 64 bytes).

    `table` = comb.make_table(public) makes it about three times as fast.
    """
    for found in steps(public, digest, signature, table):
        pass
    return found


def steps(public: bytes, digest: bytes, signature: bytes, table: object = None) -> object:
    """As verify, in small steps for those who have others to run: yields None, at the end the answer."""
    if len(public) != 64 or len(digest) != 32 or len(signature) != 64:
        yield False
        return
    r = number(signature, 0)
    s = number(signature, 32)
    q = point(public)
    if not (0 < r < N and 0 < s < N and q):
        yield False
        return
    w = inverse(s, N)
    u1 = number(digest, 0) * w % N
    u2 = r * w % N
    if table is None:
        sums = _shamir(u1, u2, q)
    else:
        from . import comb  # a slice of its own

        if not comb.is_of(table, public):
            yield False
            return
        sums = comb.sum_of(u1, u2, table)
    for found in sums:
        yield None
    x, _, z = found
    if not z:
        yield False
        return
    # x = X/Z^2 mod P, compared mod N without an inversion: x is r or, when that is below P, r + N.
    zz = z * z % P
    yield r * zz % P == x or (r + N < P and (r + N) * zz % P == x)


def point(public: bytes) -> object:
    """The affine point of X || Y, or None if it is not on the curve."""
    x = number(public, 0)
    y = number(public, 32)
    if x < P and y < P and (y * y - (x * x - 3) * x - B) % P == 0:
        return x, y
    return None


def _shamir(u1: int, u2: int, q: tuple) -> object:
    """u1 G + u2 Q, Jacobian, both scalars bit by bit at once; yields what there is, at last the sum."""
    both = add(G + (1,), q)
    both = affine(both) if both[2] else None
    acc = (1, 1, 0)
    for bit in range(255, -1, -1):
        acc = double(acc)
        pair = (u1 >> bit & 1) + 2 * (u2 >> bit & 1)
        other = (None, G, q, both)[pair]
        if other:
            acc = add(acc, other)
        if not bit & 15:
            yield acc


def double(point: tuple) -> tuple:
    x, y, z = point
    zz = z * z % P
    yy = y * y % P
    beta = x * yy % P
    alpha = 3 * (x - zz) * (x + zz) % P
    x3 = (alpha * alpha - 8 * beta) % P
    return x3, (alpha * (4 * beta - x3) - 8 * yy * yy) % P, 2 * y * z % P


def add(point: tuple, other: tuple) -> tuple:
    """Jacobian + affine, all special cases included."""
    x1, y1, z1 = point
    x2, y2 = other
    if not z1:
        return x2, y2, 1
    zz = z1 * z1 % P
    h = (x2 * zz - x1) % P
    rr = (y2 * zz * z1 - y1) % P
    if not h:
        return (1, 1, 0) if rr else double(point)
    hh = h * h % P
    hhh = h * hh % P
    v = x1 * hh % P
    x3 = (rr * rr - hhh - 2 * v) % P
    return x3, (rr * (v - x3) - y1 * hhh) % P, z1 * h % P


def affine(point: tuple) -> tuple:
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


def number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 32], "big")
