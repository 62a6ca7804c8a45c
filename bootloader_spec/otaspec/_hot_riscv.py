"""The hot loops for RISC-V code (PATCH.md 6.4, 7): parse of a block of OLD, walk over its units.

As _hot.py: one source for viper, bytecode and CPython. The numbers of s[...] and c[...] are explained there.
"""

from micropython import const

from otaspec._hot import local, moved

_C = const(0)
_PG = const(3)
_OB = const(4)
_T = const(5)
_SG = const(9)
_BACK = const(13)  # of a low part: half-words back to its LUI or AUIPC, by window index / 4
_SET = const(14)  # array H, 32: of each register the window index + 1 of the LUI or AUIPC that set it, or 0

_I = const(3)
_IE = const(4)
_O = const(6)
_REM = const(7)
_GAP = const(8)
_PC0 = const(9)
_DD = const(10)
_VALID = const(11)
_UT = const(12)
_UM = const(13)
_STOP = const(18)
_SL = const(19)
_NS = const(21)
_B24 = const(24)
_CA = const(14)
_CB = const(15)
_CV = const(16)


@micropython.viper
def is_pointer(s, v: int) -> int:
    """1 if v lies in the span of a segment."""
    c = ptr32(s[_C])
    sg = ptr32(s[_SG])
    j = 0
    ns = int(c[_NS])
    while j < ns:
        if v >= int(sg[j]) and v < int(sg[j + 2]):
            return 1
        j += 5
    return 0


@micropython.viper
def low(s, i: int, r: int) -> int:
    """The low part that the 4-byte instruction at i adds to register r; 4096 if it does not use r so."""
    b = ptr8(s[_OB])
    op = int(b[i]) & 0x7F
    w = int(b[i + 1]) | int(b[i + 2]) << 8 | int(b[i + 3]) << 16  # bits 8 .. 31
    v = 4096
    if w >> 7 & 31 == r:
        if op == 0x03 or op == 0x07 or op == 0x67 or (op == 0x13 and w & 0x70 == 0):
            v = w >> 12
        elif op == 0x23 or op == 0x27:
            v = w >> 17 << 5 | (w & 15) << 1 | int(b[i]) >> 7
        if v < 4096 and v & 0x800 != 0:
            v -= 4096
    return v


@micropython.viper
def writes(s, i: int) -> int:
    """The register that the instruction at i writes, or 0."""
    b = ptr8(s[_OB])
    b0 = int(b[i])
    r = b0 >> 7 | (int(b[i + 1]) & 15) << 1
    f = int(b[i + 1]) >> 5
    k = b0 & 3
    if k == 3:
        k = b0 & 0x7F
        if k == 0x07 or k == 0x23 or k == 0x27 or k == 0x63:
            r = 0
    elif k == 0:
        r = 0
        if f == 0 or f == 2 or (f == 4 and int(b[i + 1]) & 0x1C < 8):
            r = 8 + (b0 >> 2 & 7)
    elif k == 1:
        if f == 1:
            r = 1
        elif f == 4:
            r = 8 + (r & 7)
        elif f > 4:
            r = 0
    elif f != 0 and f != 2 and (f != 4 or b0 >> 2 & 31 == 0):
        r = 0
    return r


@micropython.viper
def first_use(s, i: int, r: int) -> int:
    """The low part at the first use of register r within 24 instructions from i; 4096 if there is none."""
    c = ptr32(s[_C])
    b = ptr8(s[_OB])
    sl = int(c[_SL])
    n = 24
    while n != 0 and i + 4 <= sl:
        n -= 1
        v = 4096
        if int(b[i]) & 3 == 3:
            v = int(low(s, i, r))
        if v < 4096:
            return v
        if int(writes(s, i)) == r:
            break
        i += 4 if int(b[i]) & 3 == 3 else 2
    return 4096


@micropython.viper
def upper(s, i: int) -> int:
    """The address that the LUI or AUIPC at i sets; -0x30000000 if it is out of range."""
    c = ptr32(s[_C])
    b = ptr8(s[_OB])
    v = int(b[i + 1]) >> 4 | int(b[i + 2]) << 4 | int(b[i + 3]) << 12
    if int(b[i]) & 0x20:  # LUI
        v -= int(c[_B24]) << 12
        if v < -1 or v > 0x40000:
            return -0x30000000
        return v << 12
    if v & 0x80000:
        v -= 0x100000
    if v < -0x20000 or v >= 0x20000:
        return -0x30000000
    return (v << 12) + int(c[_PC0]) + i


@micropython.viper
def parse(i: int, b0: int, ob: ptr8, s):
    """Types of the block: the instructions of the window in order."""
    u = 0
    c = ptr32(s[_C])
    t = ptr8(s[_T])
    st = ptr16(s[_SET])
    end = int(c[_IE])
    sl = int(c[_SL])
    while u < 32:
        st[u] = 0
        u += 1
    while i < end:
        t[i] = 0
        i += 1
    i = 0
    while i < end:
        b0 = int(ob[i])
        if b0 & 3 != 3:
            if i + 2 <= sl:
                t[i] = 24 + (int(ob[i + 1]) >> 5)
                st[int(writes(s, i))] = 0
            i += 2
            continue
        if i + 4 <= sl:
            op = b0 & 0x7F
            u = 16 + (b0 >> 2 & 7)
            if op == 0x6F:
                u = 5
            elif op == 0x37 or op == 0x17:
                r = b0 >> 7 | (int(ob[i + 1]) & 15) << 1
                v = int(upper(s, i))
                st[r] = 0
                if v > -0x30000000 and r != 0:
                    st[r] = i + 1
                    k = int(first_use(s, i + 4, r))
                    if k < 4096:
                        if op == 0x17:
                            u = 7
                        elif int(is_pointer(s, v + k)):
                            u = 6
            elif op != 0x63:
                r = int(ob[i + 1]) >> 7 | (int(ob[i + 2]) & 15) << 1
                k = int(st[r]) - 1
                if k >= 0 and i - k < 512:
                    v = int(low(s, i, r))
                    if v < 4096:
                        r = int(ob[k]) & 0x20
                        if r == 0 or int(is_pointer(s, v + int(upper(s, k)))) != 0:
                            u = 8
                            if op == 0x23 or op == 0x27:
                                u = 9
                            if r == 0:
                                u += 2
                            bk = ptr8(s[_BACK])
                            bk[i >> 2] = i - k >> 1
                st[int(writes(s, i))] = 0
            t[i] = u
        i += 4


@micropython.viper
def target(s, i: int) -> int:
    """Target of the jump at window index i."""
    c = ptr32(s[_C])
    b = ptr8(s[_OB])
    b0 = int(b[i])
    b1 = int(b[i + 1])
    v = 0
    if b0 & 3 == 1:  # c.j, c.jal
        v = b0 >> 2 & 14 | (b0 & 4) << 3 | (b0 & 0x40) << 1 | (b0 & 0x80) >> 1
        v |= (b1 & 1) << 10 | (b1 & 6) << 7 | (b1 & 8) << 1 | (b1 & 16) << 7
        if v & 0x800:
            v -= 0x1000
    else:
        w = int(b[i + 2]) | int(b[i + 3]) << 8  # bits 16 .. 31
        if b0 & 8:  # jal
            v = w >> 4 & 0x7FE | (w & 16) << 7 | (w & 15) << 16 | (b1 & 0xF0) << 8
            if w & 0x8000:
                v -= 0x100000
        else:
            v = w >> 4 & 0x7E0 | (b1 & 15) << 1 | (b0 & 0x80) << 4
            if w & 0x8000:
                v -= 0x1000
    return int(c[_PC0]) + i + v


@micropython.viper
def put_jump(s, i: int, k: int, v: int):
    """The jump at window index i with immediate v to the page at k."""
    b = ptr8(s[_OB])
    pg = ptr8(s[_PG])
    b0 = int(b[i])
    b1 = int(b[i + 1])
    if b0 & 3 == 1:
        pg[k] = b0 & 3 | (v & 14) << 2 | (v & 0x20) >> 3 | (v & 0x40) << 1 | (v & 0x80) >> 1
        pg[k + 1] = b1 & 0xE0 | (v & 0x400) >> 10 | (v & 0x300) >> 7 | (v & 0x10) >> 1 | (v & 0x800) >> 7
    elif b0 & 8:
        pg[k + 1] = b1 & 15 | v >> 8 & 0xF0
        pg[k + 2] = v >> 16 & 15 | (v & 0x800) >> 7 | (v & 14) << 4
        pg[k + 3] = v >> 4 & 0x7F | v >> 13 & 0x80
    else:
        pg[k] = b0 & 0x7F | v >> 4 & 0x80
        pg[k + 1] = b1 & 0xF0 | v >> 1 & 15
        pg[k + 3] = int(b[i + 3]) & 1 | v >> 4 & 0x7E | v >> 5 & 0x80


@micropython.viper
def put_part(s, i: int, k: int, u: int, v: int):
    """A high or low part of type u: value v into the instruction at window index i, to the page at k."""
    b = ptr8(s[_OB])
    pg = ptr8(s[_PG])
    if u < 8:
        v = (v + 0x800) >> 12
        pg[k + 1] = int(b[i + 1]) & 15 | (v & 15) << 4
        pg[k + 2] = v >> 4 & 255
        pg[k + 3] = v >> 12 & 255
    elif u & 1:
        pg[k] = int(b[i]) & 0x7F | (v & 1) << 7
        pg[k + 1] = int(b[i + 1]) & 0xF0 | v >> 1 & 15
        pg[k + 3] = int(b[i + 3]) & 1 | v >> 4 & 0xFE
    else:
        pg[k + 2] = int(b[i + 2]) & 15 | (v & 15) << 4
        pg[k + 3] = v >> 4 & 255


@micropython.viper
def refer(s, i: int, u: int, oi: int):
    """Rewrites the reference of type u at window index i; its bytes are in the page at i + oi."""
    c = ptr32(s[_C])
    dd = int(c[_DD])
    k = i
    if u > 5 and u < 12:
        ob = ptr8(s[_OB])
        if u > 7:
            bk = ptr8(s[_BACK])
            k -= int(bk[i >> 2]) << 1
            q = int(low(s, i, int(ob[i + 1]) >> 7 | (int(ob[i + 2]) & 15) << 1))
        else:
            q = int(first_use(s, i + 4, int(ob[i]) >> 7 | (int(ob[i + 1]) & 15) << 1))
        q += int(upper(s, k))
    else:
        q = int(target(s, i))
    h = 0
    if u > 15:
        h = int(local(s, q))
    elif q >= int(c[_CA]) and q < int(c[_CB]):
        h = int(c[_CV])
    else:
        h = int(moved(s, q))
    if u == 6 or u == 8 or u == 9:
        if h:
            # B is a multiple of 2^24: it counts in the highest byte only
            q += h
            if u == 6:
                put_part(s, i, i + oi, 6, q)
                pg = ptr8(s[_PG])
                k = i + oi + 3
                pg[k] = (int(pg[k]) + int(c[_B24])) & 255
            else:
                put_part(s, i, i + oi, u, q)
    elif h != dd:
        q += h - dd - int(c[_PC0]) - k
        if u > 6 and u < 12:
            put_part(s, i, i + oi, u, q)
        else:
            put_jump(s, i, i + oi, q)


@micropython.viper
def walk(i: int, u: int, g: int, s):
    """Up to c[_GAP] units of code, already copied to the page: rewrites the references among them."""
    t = ptr8(s[_T])
    c = ptr32(s[_C])
    ob = ptr8(s[_OB])
    i = int(c[_I])
    g = int(c[_GAP])
    oi = int(c[_O]) - i
    er = i + int(c[_REM])
    stop = int(c[_STOP])
    if er < stop:
        stop = er
    if 4096 - oi < stop:
        stop = 4096 - oi
    valid = int(c[_VALID])
    ie = int(c[_IE])
    m = 0
    while g != 0 and i < stop:
        u = int(t[i])
        g -= 1
        if u > 23:
            m = 2
            if u == 29 or u == 25:
                if int(ob[i]) & 3 == 1 and valid != 0 and i + 2 <= er:
                    refer(s, i, u, oi)
        elif u == 0:
            m = 1
            while m < 4 and i + m < ie and int(t[i + m]) == 0:
                m += 1
        else:
            m = 4
            if u < 12 or (u == 16 and int(ob[i]) & 0x7F == 0x63):
                if valid != 0 and i + 4 <= er:
                    refer(s, i, u, oi)
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
