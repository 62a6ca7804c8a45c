"""The hot loops of the address-aware decoder that every CPU needs (PATCH.md 3, 4, 9, 10, 11).

One source, three uses: viper machine code on MicroPython; the same without decorators and casts as
bytecode, and as plain Python on CPython (hotstrip.py). So nothing wraps, every value that crosses a
function's border is below 2^30, every byte that is stored is masked, and every `ptr` load is cast with int().

`s` is the list of buffers that all loops share; `c` its first, an array of signed 32-bit state words.
"""

from micropython import const

# s[...]
_C = const(0)  # state words, below
_MD = const(1)  # array H: models, p << 4 | n
_PB = const(2)  # patch bytes to come
_PG = const(3)  # the page of NEW that is being built, 8 bytes of slack
_OB = const(4)  # window of OLD
_T = const(5)  # type of the unit that starts at each byte of the window, or 0
_REP = const(6)  # array i: the last two residuals of each type
_MK = const(7)  # array i: keys of the map
_MV = const(8)  # array i: its displacements
_SG = const(9)  # array i, 5 words a segment of OLD: address, end, end of span, offset, executable
_HB = const(10)  # a bit for each highest byte that a pointer may have
_REFILL = const(11)  # function: tops up _PB

# c[...]
_RANGE = const(0)
_CODE = const(1)
_K = const(2)  # next byte of _PB
_I = const(3)  # next unit, index into the window
_IE = const(4)  # end of the parsed block in the window
_O = const(6)  # bytes in the page
_REM = const(7)  # bytes left of the copy
_GAP = const(8)  # units to go
_PC0 = const(9)  # address of the window's first byte
_DD = const(10)  # new address - old address here
_VALID = const(11)  # 1: the new position has an address
_UT = const(12)  # type of the last unit
_UM = const(13)  # its bytes
_CA = const(14)  # the map's displacement is c[_CV] from c[_CA] to c[_CB] - 1
_CB = const(15)
_CV = const(16)
_NM = const(17)  # entries of the map
_STOP = const(18)  # window index at which this chunk ends
_SL = const(19)  # end of the segment in the window
_NS = const(21)  # length of _SG
_WN = const(22)  # bytes of OLD in the window
_RG = const(23)  # newest of the 9 ranges
_B24 = const(24)  # base >> 24
_OUTSIDE = const(26)  # 1: the window lies outside every segment
_RG0 = const(27)  # 9 ranges: address, length, displacement
_LC = const(54)  # literals: 0 data, else code of CPU 1, 3 or 4
_LJ = const(55)  # byte of the instruction
_LN = const(56)  # its length
_LK = const(57)  # its kind

_PBN = const(128)
_LIT0 = const(800)  # where tables lie in _MD: see address.py
_RES = const(1824)
_SOME = const(2848)
_AGAIN = const(3104)
_RATES = b"\x9a\x62\x46\x38\x2e\x27\x22\x1e\x1b\x18\x15\x12\x0f\x0c\x0a\x10"


@micropython.viper
def fill(d: ptr16, n: int, v: int):
    while n:
        n -= 1
        d[n] = v


@micropython.viper
def fill32(d: ptr32, n: int, v: int):
    while n:
        n -= 1
        d[n] = v


@micropython.viper
def repeat(b: ptr8, at: int, o: int, n: int):
    """n bytes from index `at` to index o, one after the other: they may overlap."""
    n += o
    while o < n:
        b[o] = b[at]
        o += 1
        at += 1


@micropython.viper
def bit(s, i: int) -> int:
    c = ptr32(s[_C])
    if int(c[_K]) > _PBN - 8:
        s[_REFILL]()
    md = ptr16(s[_MD])
    rt = ptr8(_RATES)
    m = int(md[i])
    p = m >> 4
    n = m & 15
    r = int(c[_RANGE])
    x = int(c[_CODE])
    b = (r >> 12) * p
    v = 0
    if x < b:
        r = b
        p += ((4095 - p) * int(rt[n]) + 128) >> 8
        v = 1
    else:
        x -= b
        r -= b
        p -= (p * int(rt[n]) + 128) >> 8
    if n < 15:
        n += 1
    md[i] = p << 4 | n
    if r < 0x400000:
        pb = ptr8(s[_PB])
        k = int(c[_K])
        while r < 0x400000:
            r <<= 8
            x = x << 8 | int(pb[k])
            k += 1
        c[_K] = k
    c[_RANGE] = r
    c[_CODE] = x
    return v


@micropython.viper
def eg(s, tree: int, man: int, top: int) -> int:
    """EG number (PATCH.md 4); -nb if nb > top."""
    c = ptr32(s[_C])
    if int(c[_K]) > _PBN - 24:  # 7 modelled bits take 14 bytes at most, 28 raw ones 5
        s[_REFILL]()
    r = int(c[_RANGE])
    x = int(c[_CODE])
    v = 1
    md = ptr16(s[_MD])
    rt = ptr8(_RATES)
    pb = ptr8(s[_PB])
    k = int(c[_K])
    step = 0  # 0-4 tree, then mantissa
    nb = 0
    i = 0
    while step < 5 + nb:
        if step < 5:
            i = tree + v
        elif step == 5:
            i = man + (nb << 2) - 3
        elif step == 6:
            i = man + (nb << 2) - 2 + (v & 1)
        if step < 7:
            m = int(md[i])
            p = m >> 4
            n = m & 15
            b = (r >> 12) * p
            if x < b:
                r = b
                p += ((4095 - p) * int(rt[n]) + 128) >> 8
                v = v << 1 | 1
            else:
                x -= b
                r -= b
                p -= (p * int(rt[n]) + 128) >> 8
                v = v << 1
            if n < 15:
                n += 1
            md[i] = p << 4 | n
        else:
            b = (r >> 12) << 11
            if x < b:
                r = b
                v = v << 1 | 1
            else:
                x -= b
                r -= b
                v = v << 1
        while r < 0x400000:
            r <<= 8
            x = x << 8 | int(pb[k])
            k += 1
        step += 1
        if step == 5:
            nb = v - 32
            v = 1
            if nb > top:
                v = 1 - nb
                break
    c[_RANGE] = r
    c[_CODE] = x
    c[_K] = k
    return v - 1


@micropython.viper
def tree(s, base: int, a: int, mul: int) -> int:
    """Byte tree over the models base + ((a + m * mul) & 1023)."""
    c = ptr32(s[_C])
    if int(c[_K]) > _PBN - 16:
        s[_REFILL]()
    r = int(c[_RANGE])
    x = int(c[_CODE])
    v = 1
    md = ptr16(s[_MD])
    rt = ptr8(_RATES)
    pb = ptr8(s[_PB])
    k = int(c[_K])
    while v < 256:
        i = base + ((a + v * mul) & 1023)
        m = int(md[i])
        p = m >> 4
        n = m & 15
        b = (r >> 12) * p
        if x < b:
            r = b
            p += ((4095 - p) * int(rt[n]) + 128) >> 8
            v = v << 1 | 1
        else:
            x -= b
            r -= b
            p -= (p * int(rt[n]) + 128) >> 8
            v = v << 1
        if n < 15:
            n += 1
        md[i] = p << 4 | n
        while r < 0x400000:
            r <<= 8
            x = x << 8 | int(pb[k])
            k += 1
    c[_RANGE] = r
    c[_CODE] = x
    c[_K] = k
    return v & 255


@micropython.viper
def follow(s, b: int):
    """After literal b in code: where we are in which instruction (PATCH.md 9)."""
    c = ptr32(s[_C])
    j = int(c[_LJ])
    if int(c[_LC]) == 4:
        if j:
            c[_LK] = b >> 3
        return
    if j == 0:
        n = 3
        if int(c[_LC]) == 3:
            n = 4
            k = b >> 2 & 31
            if b & 3 != 3:
                n = 2
                k = 32 + (b & 3)
        else:
            k = b & 15
            if k > 7 and k < 14:
                n = 2
        c[_LK] = k
        c[_LN] = n
    j += 1
    if j == int(c[_LN]):
        j = 0
    c[_LJ] = j


@micropython.viper
def literals(s, n: int, q: int):
    """n literals for position q into the page, all in code or all in data, small profile."""
    c = ptr32(s[_C])
    pg = ptr8(s[_PG])
    o = int(c[_O])
    k = int(c[_LC])
    n += o
    while o < n:
        if k == 4:
            c[_LJ] = q & 1
        x = int(c[_LJ]) if k else q & 3
        x = int(tree(s, _LIT0, x << 8, 1))
        pg[o] = x
        if k:
            follow(s, x)
        o += 1
        q += 1
    c[_O] = o


@micropython.viper
def residual(s):
    """Adds the residual of the unit that ends the page so far (PATCH.md 11)."""
    c = ptr32(s[_C])
    rep = ptr32(s[_REP])
    pg = ptr8(s[_PG])
    t = int(c[_UT])
    m = int(c[_UM])
    a = int(rep[t * 2])
    b = int(rep[t * 2 + 1])
    d = 0
    j = 0
    x = 0
    if a != 0 and int(bit(s, _AGAIN + t * 2)) != 0:
        d = a
    elif a != 0 and b != 0 and int(bit(s, _AGAIN + t * 2 + 1)) != 0:
        d = b
    else:
        while j < m:
            v = 1
            if j < m - 1 or x != 0:
                v = int(bit(s, _SOME + (t * 4 + j) * 2 + x))
            if v:
                x = 1
                v = int(tree(s, _RES, (t * 4 + j) * 0x9E5, 0x265))
                if j == 3 and v > 127:
                    v -= 256
                d |= v << (8 * j)
            j += 1
    if d != a:
        rep[t * 2 + 1] = a
        rep[t * 2] = d
    j = int(c[_O])
    i = j - m
    x = 0
    while i < j:
        x += int(pg[i]) + (d & 255)
        pg[i] = x & 255
        x >>= 8
        d >>= 8
        i += 1


@micropython.viper
def first(b: ptr32) -> int:
    return int(b[0]) & 0xFFFF


WORD = 2 if first(bytearray(b"\1\1\1\1")) > 1 else 0  # bits: how much more ptr32 reads at once than ptr8


@micropython.viper
def xor(x: int, i: int, b: ptr8, n: int, word: int) -> int:
    """x ^ the bytes i .. n - 1 of b, below 256. word: WORD."""
    w = ptr32(b)
    while i < n and i & 3 != 0:
        x ^= int(b[i])
        i += 1
    if i < n:
        m = (n >> word) - 3
        i >>= word
        while i < m:
            x ^= int(w[i])
            x ^= int(w[i + 1])
            x ^= int(w[i + 2])
            x ^= int(w[i + 3])
            i += 4
        i <<= word
    while i < n:
        x ^= int(b[i])
        i += 1
    x ^= x >> 16
    x ^= x >> 8
    return x & 255


@micropython.viper
def segment(t: ptr32, n: int, p: int) -> int:
    """Where in the table t, n words, the segment that holds offset p stands; -1 if there is none."""
    k = 0
    while k < n:
        d = p - int(t[k + 3])
        if d >= 0 and d < int(t[k + 1]) - int(t[k]):
            return k
        k += 5
    return -1


@micropython.viper
def above(s, t: int) -> int:
    """How many keys of the map are <= t."""
    c = ptr32(s[_C])
    mk = ptr32(s[_MK])
    a = 0
    b = int(c[_NM])
    while a < b:
        m = (a + b) >> 1
        if int(mk[m]) <= t:
            a = m + 1
        else:
            b = m
    return a


@micropython.viper
def moved(s, t: int) -> int:
    """M(t) (PATCH.md 5); remembers the interval."""
    c = ptr32(s[_C])
    mk = ptr32(s[_MK])
    mv = ptr32(s[_MV])
    a = 0  # as in above(), without the call
    b = int(c[_NM])
    while a < b:
        m = (a + b) >> 1
        if int(mk[m]) <= t:
            a = m + 1
        else:
            b = m
    c[_CA] = int(mk[a - 1]) if a else -0x3FFFFFFF
    c[_CV] = int(mv[a - 1]) if a else 0
    c[_CB] = int(mk[a]) if a < int(c[_NM]) else 0x3FFFFFFF
    return int(c[_CV])


@micropython.viper
def local(s, t: int) -> int:
    """Displacement of a local target: of the newest copy that holds it, else the map's (PATCH.md 7)."""
    c = ptr32(s[_C])
    k = int(c[_RG])
    n = 9
    while n:
        r = _RG0 + k * 3
        d = t - int(c[r])
        if d >= 0 and d < int(c[r + 1]):
            return int(c[r + 2])
        k -= 1
        if k < 0:
            k = 8
        n -= 1
    return int(moved(s, t))


@micropython.viper
def parse_data(s):
    """Types of a block of a data segment (PATCH.md 6.3)."""
    c = ptr32(s[_C])
    ob = ptr8(s[_OB])
    t = ptr8(s[_T])
    hb = ptr8(s[_HB])
    sg = ptr32(s[_SG])
    ns = int(c[_NS])
    i = 0
    n = int(c[_IE])
    while i < n:
        k = 13
        if i + 4 > n:
            k = 0
        elif int(hb[int(ob[i + 3]) >> 3]) >> (int(ob[i + 3]) & 7) & 1:
            v = int(ob[i]) | int(ob[i + 1]) << 8 | int(ob[i + 2]) << 16
            v += (int(ob[i + 3]) - int(c[_B24])) << 24
            j = 0
            while j < ns:
                if v >= int(sg[j]) and v < int(sg[j + 2]):
                    k = 1
                    break
                j += 5
        t[i] = k
        t[i + 1] = 0
        t[i + 2] = 0
        t[i + 3] = 0
        i += 4


@micropython.viper
def walk_data(s):
    """Up to c[_GAP] units of a data segment or of no segment, already copied to the page: mends pointers."""
    c = ptr32(s[_C])
    t = ptr8(s[_T])
    ob = ptr8(s[_OB])
    pg = ptr8(s[_PG])
    i = int(c[_I])
    g = int(c[_GAP])
    oi = int(c[_O]) - i
    er = i + int(c[_REM])
    stop = int(c[_STOP])
    if er < stop:
        stop = er
    if 4096 - oi < stop:
        stop = 4096 - oi
    ca = int(c[_CA])
    cb = int(c[_CB])
    cv = int(c[_CV])
    ie = int(c[_IE])
    mend = int(c[_VALID])
    if int(c[_DD]) & 3:
        mend = 0
    u = 0
    m = 1
    if int(c[_OUTSIDE]):
        if g > stop - i:
            g = stop - i
        i += g
        g = int(c[_GAP]) - g
        stop = i
    while g != 0 and i < stop:
        u = int(t[i])
        g -= 1
        m = 4
        if u == 0:
            m = 1
            while m < 4 and i + m < ie and t[i + m] == 0:
                m += 1
        elif u == 1 and mend != 0 and i + 4 <= er:
            b = int(ob[i + 3]) - int(c[_B24])
            v = int(ob[i]) | int(ob[i + 1]) << 8 | int(ob[i + 2]) << 16 | b << 24
            if v < ca or v >= cb:
                moved(s, v)
                ca = int(c[_CA])
                cb = int(c[_CB])
                cv = int(c[_CV])
            if cv:
                v += cv
                b = i + oi
                pg[b] = v & 255
                pg[b + 1] = v >> 8 & 255
                pg[b + 2] = v >> 16 & 255
                pg[b + 3] = ((v >> 24) + int(c[_B24])) & 255
        i += m
    if i > er:
        m -= i - er
        i = er
    c[_UT] = u if u else 15
    c[_UM] = m
    c[_I] = i
    c[_GAP] = g
    c[_O] = i + oi
    c[_REM] = er - i
