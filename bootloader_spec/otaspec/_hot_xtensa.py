"""The hot loops for Xtensa code (PATCH.md 6.4, 7): parse of a block of OLD, walk over its units.

As _hot.py: one source for viper, bytecode and CPython. The numbers of s[...] and c[...] are explained there.
"""

from micropython import const

from otaspec._hot import local, moved

_C = const(0)
_PG = const(3)
_OB = const(4)
_T = const(5)
_SG = const(9)
_HB = const(10)
_READ2 = const(13)  # function: two bytes of OLD from an offset into a buffer
_B2 = const(14)
_EC = const(15)  # array i, 128: target | 1 if `entry` stands there; -1 unknown
_PL = const(16)  # array i, 64: slots of literals that went elsewhere: target or -1, displacement

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
_SA = const(20)
_NS = const(21)
_WN = const(22)
_RG = const(23)
_B24 = const(24)
_ENTRY = const(25)  # 1: windowed registers, functions start with `entry`
_RG0 = const(27)
_LA = const(58)  # as _CA, _CB, _CV: the map's interval that the last literal stood in
_LB = const(59)
_LV = const(60)

_WINDOW = const(1080)  # bytes: 48 + 1024 + 8


@micropython.viper
def is_entry(s, v: int) -> int:
    """1 if `entry a1` stands at address v of an executable segment (PATCH.md 6.1); CPU 2: any code."""
    c = ptr32(s[_C])
    sg = ptr32(s[_SG])
    j = 0
    ns = int(c[_NS])
    while j < ns:
        if int(sg[j + 4]) != 0 and v >= int(sg[j]) and v + 3 <= int(sg[j + 1]):
            break
        j += 5
    if j >= ns:
        return 0
    if int(c[_ENTRY]) == 0:
        return 1
    if v & 3:
        return 0
    ec = ptr32(s[_EC])
    d = ((v >> 2) ^ (v >> 9)) & 127
    k = int(ec[d])
    if k & -2 == v:
        return k & 1
    k = v - int(c[_PC0])
    if k >= 0 and k + 2 <= int(c[_WN]):
        ob = ptr8(s[_OB])
    else:
        s[_READ2](int(sg[j + 3]) + v - int(sg[j]), s[_B2])
        ob = ptr8(s[_B2])
        k = 0
    k = 1 if int(ob[k]) == 0x36 and int(ob[k + 1]) & 15 == 1 else 0
    ec[d] = v | k
    return k


@micropython.viper
def flag_words(s):
    """Marks the aligned words that resync the parse: 32 pointer, 64 `entry`. No type is set yet."""
    k = 0
    r = 0
    c = ptr32(s[_C])
    ob = ptr8(s[_OB])
    hb = ptr8(s[_HB])
    sg = ptr32(s[_SG])
    t = ptr8(s[_T])
    ns = int(c[_NS])
    entry = int(c[_ENTRY])
    sl = int(c[_SL]) - 3
    if sl > _WINDOW:
        sl = _WINDOW
    while k < sl:
        if int(ob[k]) == 0x36 and entry != 0 and int(ob[k + 1]) & 15 == 1:
            t[k] = 64
        i = int(ob[k + 3])
        if int(hb[i >> 3]) >> (i & 7) & 1:
            v = int(ob[k]) | int(ob[k + 1]) << 8 | int(ob[k + 2]) << 16
            v += (i - int(c[_B24])) << 24
            i = 0
            while i < ns:
                if v >= int(sg[i]) and v < int(sg[i + 2]):
                    if int(sg[i + 4]) == 0 or entry == 0 or int(is_entry(s, v)) != 0:
                        r = int(t[k])
                        t[k] = r | 32
                    break
                i += 5
        k += 4


@micropython.viper
def parse(s):
    """Types of the window, 0 so far: its instructions in order; those before the block get it into step."""
    flag_words(s)
    i = 0
    b0 = 0
    f = 0
    c = ptr32(s[_C])
    ob = ptr8(s[_OB])
    t = ptr8(s[_T])
    # of each first byte: length of the instruction; + 4 call, 8 l32r, 12 j, 16 ret.n, retw.n,
    # 20 ret, retw, 24 jx
    cl = ptr8(
        b"\x03\x0b\x03\x03\x03\x07\x0f\x03\x02\x02\x02\x02\x02\x12\x03\x03"
        b"\x03\x0b\x03\x03\x03\x07\x03\x03\x02\x02\x02\x02\x02\x12\x03\x03"
        b"\x03\x0b\x03\x03\x03\x07\x03\x03\x02\x02\x02\x02\x02\x02\x03\x03"
        b"\x03\x0b\x03\x03\x03\x07\x03\x03\x02\x02\x02\x02\x02\x02\x03\x03"
        b"\x03\x0b\x03\x03\x03\x07\x0f\x03\x02\x02\x02\x02\x02\x02\x03\x03"
        b"\x03\x0b\x03\x03\x03\x07\x03\x03\x02\x02\x02\x02\x02\x02\x03\x03"
        b"\x03\x0b\x03\x03\x03\x07\x03\x03\x02\x02\x02\x02\x02\x02\x03\x03"
        b"\x03\x0b\x03\x03\x03\x07\x03\x03\x02\x02\x02\x02\x02\x02\x03\x03"
        b"\x17\x0b\x03\x03\x03\x07\x0f\x03\x02\x02\x02\x02\x02\x02\x03\x03"
        b"\x17\x0b\x03\x03\x03\x07\x03\x03\x02\x02\x02\x02\x02\x02\x03\x03"
        b"\x1b\x0b\x03\x03\x03\x07\x03\x03\x02\x02\x02\x02\x02\x02\x03\x03"
        b"\x03\x0b\x03\x03\x03\x07\x03\x03\x02\x02\x02\x02\x02\x02\x03\x03"
        b"\x03\x0b\x03\x03\x03\x07\x0f\x03\x02\x02\x02\x02\x02\x02\x03\x03"
        b"\x03\x0b\x03\x03\x03\x07\x03\x03\x02\x02\x02\x02\x02\x02\x03\x03"
        b"\x03\x0b\x03\x03\x03\x07\x03\x03\x02\x02\x02\x02\x02\x02\x03\x03"
        b"\x03\x0b\x03\x03\x03\x07\x03\x03\x02\x02\x02\x02\x02\x02\x03\x03"
    )
    ec = ptr32(s[_EC])
    end = int(c[_IE])
    pc0 = int(c[_PC0])
    sl = int(c[_SL])
    sa = int(c[_SA]) - pc0
    near = 0  # the next marked word, or where instructions may reach beyond the segment
    while i < end:
        b0 = int(ob[i])
        f = int(cl[b0])
        if f < 4 and i + f <= near:
            t[i] = 16 | b0 & 15
            i += f
            continue
        n = f & 3
        a = (i + 3) & -4
        if i + n > near:
            if near < a:
                near = a
            while near < sl and near < _WINDOW and t[near] == 0:
                near += 4
            if near > sl:
                near = sl
        if a < i + n:
            w = int(t[a])
            if w != 0 and a != i:  # resync 1
                while i < a and i < end:
                    t[i] = 14
                    i += 1
                i = a
                continue
            if w & 32:
                t[i] = 1
                i += 4
                continue
        if i + n <= sl:
            w = 16 + (b0 & 15)
            if f == 7:
                q = (b0 | int(ob[i + 1]) << 8 | int(ob[i + 2]) << 16) >> 6
                if q & 0x20000:
                    q -= 0x40000
                q = ((pc0 + i) & -4) + 4 + (q << 2)
                k = int(ec[((q >> 2) ^ (q >> 9)) & 127])
                if k & -2 == q:
                    if k & 1:
                        w = 2
                elif int(is_entry(s, q)):
                    w = 2
            elif f == 11:
                q = a + ((int(ob[i + 1]) | int(ob[i + 2]) << 8) << 2) - 0x40000
                if q >= sa and q < i:
                    w = 4
            t[i] = w
        i += n
        if f >= 12:  # resync 2: after an unconditional jump padding may follow
            a = 0
            if f == 15:
                a = 4
            elif f == 18:
                if int(ob[i - 1]) == 0xF0:
                    a = 4
            elif int(ob[i - 1]) == 0:
                b0 = int(ob[i - 2])
                if f == 27:
                    b0 &= 0xF0
                if b0 == 0:
                    a = 4
            while a != 0 and i < end and int(ob[i]) == 0:
                t[i] = 14
                i += 1
                a -= 1


@micropython.viper
def refer(s, i: int, u: int, q: int, oi: int):
    """Rewrites the reference of type u, target q, at window index i; its bytes are in the page at i + oi."""
    c = ptr32(s[_C])
    ob = ptr8(s[_OB])
    pg = ptr8(s[_PG])
    dd = int(c[_DD])
    b0 = int(ob[i])
    k = i + oi
    pl = ptr32(s[_PL])
    h = (q >> 2 & 31) << 1
    if u == 4 and int(pl[h]) == q:
        h = int(pl[h + 1])
    elif u == 22:
        h = int(local(s, q))
    elif u == 4:
        if q < int(c[_LA]) or q >= int(c[_LB]):
            w = int(c[_CA])
            b = int(c[_CB])
            h = int(c[_CV])
            moved(s, q)
            c[_LA] = int(c[_CA])
            c[_LB] = int(c[_CB])
            c[_LV] = int(c[_CV])
            c[_CA] = w
            c[_CB] = b
            c[_CV] = h
        h = int(c[_LV])
    elif q >= int(c[_CA]) and q < int(c[_CB]):
        h = int(c[_CV])
    else:
        h = int(moved(s, q))
    if u == 1:
        if dd & 3 == 0:
            q += h
            pg[k] = q & 255
            pg[k + 1] = q >> 8 & 255
            pg[k + 2] = q >> 16 & 255
            pg[k + 3] = ((q >> 24) + int(c[_B24])) & 255
    elif h != dd or dd & 3 != 0:
        q += h
        w = int(c[_PC0]) + i + dd
        if u == 4:
            q = (q - ((w + 3) & -4)) >> 2
            pg[k + 1] = q & 255
            pg[k + 2] = q >> 8 & 255
        elif u == 22 and b0 & 0x10 != 0:
            q = q - w - 4
            pg[k + 1] = int(ob[i + 1]) & 15 | (q & 15) << 4
            pg[k + 2] = q >> 4 & 255
        else:
            if u == 2:
                q = (q - (w & -4) - 4) >> 2
            else:
                q = q - w - 4
            pg[k] = b0 & 0x3F | (q & 3) << 6
            pg[k + 1] = q >> 2 & 255
            pg[k + 2] = q >> 10 & 255


@micropython.viper
def walk(s):
    """Up to c[_GAP] units of code, already copied to the page: rewrites the references among them."""
    i = 0
    f = 0
    g = 0
    t = ptr8(s[_T])
    # of each type: its length, 0 if unsynced; + 8 if it may hold a reference
    lt = ptr8(
        b"\x00\x0c\x0b\x03\x0b\x03\x03\x03\x03\x03\x03\x03\x03\x04\x01\x03"
        b"\x03\x03\x03\x03\x03\x03\x0b\x03\x02\x02\x02\x02\x02\x02\x03\x03"
    )
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
    pc0 = int(c[_PC0])
    dd = int(c[_DD])
    valid = int(c[_VALID])
    # the newest range in window coordinates: a local target in it that moves with us needs nothing
    k = _RG0 + 3 * int(c[_RG])
    l0 = int(c[k]) - pc0
    l1 = l0 + int(c[k + 1])
    if int(c[k + 2]) != dd:
        l1 = l0
    # the map's interval at hand, likewise; a displacement that is no multiple of 4 is always rewritten
    n0 = int(c[_CA]) - pc0
    n1 = int(c[_CB]) - pc0
    if int(c[_CV]) != dd or dd & 3 != 0:
        n1 = n0
    m0 = int(c[_LA]) - pc0
    m1 = int(c[_LB]) - pc0
    if int(c[_LV]) != dd or dd & 3 != 0:
        m1 = m0
    pl = ptr32(s[_PL])
    u = 0
    m = 0
    while g != 0 and i < stop:
        u = int(t[i])
        f = int(lt[u])
        g -= 1
        m = f & 7
        if f < 8:
            if f == 0:
                m = 1
                f = int(c[_IE])
                while m < 4 and i + m < f and int(t[i + m]) == 0:
                    m += 1
            i += m
            continue
        if valid != 0 and i + m <= er:
            b0 = int(ob[i])
            q = int(ob[i + 1]) | int(ob[i + 2]) << 8
            if u == 4:
                q = ((i + 3) & -4) + (q << 2) - 0x40000
                if q >= m0 and q < m1 and int(pl[(q + pc0 >> 2 & 31) << 1]) != q + pc0:
                    i += 3
                    continue
            elif u == 2:
                q = b0 >> 6 | q << 2
                if q & 0x20000:
                    q -= 0x40000
                q = (i & -4) + 4 + (q << 2)
                if q >= n0 and q < n1:
                    i += 3
                    continue
            elif u == 1:
                q = b0 | q << 8
                q += ((int(ob[i + 3]) - int(c[_B24])) << 24) - pc0
            else:
                f = b0 & 0x30
                if f == 0:
                    q = b0 >> 6 | q << 2
                    if q & 0x20000:
                        q -= 0x40000
                elif f == 0x10:
                    q >>= 4
                    if q & 0x800:
                        q -= 0x1000
                else:
                    i += 3
                    continue
                q += i + 4
                if q >= l0 and q < l1:
                    i += 3
                    continue
            refer(s, i, u, q + pc0, oi)
            if u == 4:
                m0 = int(c[_LA]) - pc0
                m1 = int(c[_LB]) - pc0
                if int(c[_LV]) != dd or dd & 3 != 0:
                    m1 = m0
            else:
                n0 = int(c[_CA]) - pc0
                n1 = int(c[_CB]) - pc0
                if int(c[_CV]) != dd or dd & 3 != 0:
                    n1 = n0
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


@micropython.viper
def learn(s):
    """The unit that ends the page, of type 4, got a residual: keeps where its literal is now (PATCH.md 7)."""
    c = ptr32(s[_C])
    ob = ptr8(s[_OB])
    pg = ptr8(s[_PG])
    pl = ptr32(s[_PL])
    i = int(c[_I]) - 3
    o = int(c[_O]) - 3
    if int(c[_UM]) == 3 and int(c[_VALID]) != 0 and int(ob[i]) == int(pg[o]):
        q = ((i + 3) & -4) + ((int(ob[i + 1]) | int(ob[i + 2]) << 8) << 2) + int(c[_PC0]) - 0x40000
        k = (q >> 2 & 31) << 1
        pl[k] = q
        i += int(c[_PC0]) + int(c[_DD])
        pl[k + 1] = ((i + 3) & -4) + ((int(pg[o + 1]) | int(pg[o + 2]) << 8) << 2) - 0x40000 - q
