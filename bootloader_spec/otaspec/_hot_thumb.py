"""The hot loops for Thumb-2 code (PATCH.md 6.4, 7): parse of a block of OLD, walk over its units.

As _hot.py: one source for viper, bytecode and CPython. The numbers of s[...] and c[...] are explained there.
"""

from micropython import const

from otaspec._hot import moved

_C = const(0)
_PG = const(3)
_OB = const(4)
_T = const(5)
_SG = const(9)
_HB = const(10)

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
_CA = const(14)
_CB = const(15)
_CV = const(16)
_STOP = const(18)
_SL = const(19)
_NS = const(21)
_B24 = const(24)


@micropython.viper
def parse(i: int, w: int, ob: ptr8, s):
    """Types of the block: the instructions of the window in order."""
    u = 0
    c = ptr32(s[_C])
    t = ptr8(s[_T])
    hb = ptr8(s[_HB])
    sg = ptr32(s[_SG])
    ns = int(c[_NS])
    end = int(c[_IE])
    sl = int(c[_SL])
    while i < end:
        t[i] = 0
        i += 1
    i = 0
    while i < end:
        n = int(ob[i + 3])
        if i & 3 == 0 and i + 4 <= sl and int(hb[n >> 3]) >> (n & 7) & 1 != 0:
            v = int(ob[i]) | int(ob[i + 1]) << 8 | int(ob[i + 2]) << 16
            v += (int(ob[i + 3]) - int(c[_B24])) << 24
            j = 0
            while j < ns:
                if v >= int(sg[j]) and v < int(sg[j + 2]):
                    break
                j += 5
            if j < ns:
                t[i] = 1
                i += 4
                continue
        w = int(ob[i + 1])
        n = 2
        u = 24 + (w >> 5)
        if w > 0xE7:
            n = 4
            u = 16 + (w >> 3 & 3)
            if u == 18 and int(ob[i + 3]) & 0x90 == 0x90:
                u = 12
        if i + n <= sl:
            t[i] = u
        i += n


@micropython.viper
def refer(s, i: int, u: int, oi: int):
    """Rewrites the pointer or BL at window index i; its bytes are in the page at i + oi."""
    c = ptr32(s[_C])
    b = ptr8(s[_OB])
    dd = int(c[_DD])
    q = 0
    if u == 1:
        if dd & 3:
            return
        q = int(b[i]) | int(b[i + 1]) << 8 | int(b[i + 2]) << 16
        q += (int(b[i + 3]) - int(c[_B24])) << 24
    else:
        h = int(b[i + 2]) | int(b[i + 3]) << 8
        q = (int(b[i]) | (int(b[i + 1]) & 3) << 8) << 12 | (h & 0x7FF) << 1
        # S, and the bits I1 and I2, which are stored as J1 and J2 = not(I ^ S)
        if int(b[i + 1]) & 4:
            q |= (h & 0x2000) << 10 | (h & 0x800) << 11
            q -= 0x1000000
        else:
            q |= (~h & 0x2000) << 10 | (~h & 0x800) << 11
        q += int(c[_PC0]) + i + 4
    if q >= int(c[_CA]) and q < int(c[_CB]):
        h = int(c[_CV])
    else:
        h = int(moved(s, q))
    pg = ptr8(s[_PG])
    k = i + oi
    if u == 1:
        q += h
        pg[k] = q & 255
        pg[k + 1] = q >> 8 & 255
        pg[k + 2] = q >> 16 & 255
        pg[k + 3] = ((q >> 24) + int(c[_B24])) & 255
    elif h != dd:
        q += h - dd - int(c[_PC0]) - i - 4
        pg[k] = q >> 12 & 255
        pg[k + 1] = 0xF0 | (q >> 24 & 1) << 2 | q >> 20 & 3
        pg[k + 2] = q >> 1 & 255
        h = q
        if q & 0x1000000 == 0:
            h = ~q
        pg[k + 3] = int(b[i + 3]) & 0xD0 | (h >> 23 & 1) << 5 | (h >> 22 & 1) << 3 | q >> 9 & 7


@micropython.viper
def walk(i: int, u: int, g: int, s):
    """Up to c[_GAP] units of code, already copied to the page: rewrites the references among them."""
    t = ptr8(s[_T])
    c = ptr32(s[_C])
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
        elif u == 0:
            m = 1
            while m < 4 and i + m < ie and int(t[i + m]) == 0:
                m += 1
        else:
            m = 4
            if u < 13 and valid != 0 and i + 4 <= er:
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
