"""The hot loops for Xtensa code (PATCH.md 6.4, 7): parse of a block of OLD, walk over its units.

As _hot.py: one source for viper, bytecode and CPython. The numbers of s[...] and c[...] are explained there.
"""

from micropython import const

_C = const(0)
_PG = const(3)
_OB = const(4)
_T = const(5)
_MK = const(7)
_MV = const(8)
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
_NM = const(17)
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

# Codes of units (see parse) that are references, and of padding.
_POINTER = const(129)
_CALL = const(226)
_LITERAL = const(228)
_LOCAL = const(246)
_PAD = const(46)
# Of first bytes whose instruction has to be looked at: 128, a number << 2 and its bytes.
_IFZERO = const(131)  # beqz, bnez, bltz, bgez
_IFCALL = const(135)
_IFL32R = const(139)
_IFJ = const(143)
_IFRETN = const(146)  # and retw.n
_IFJX = const(155)  # ret and retw are 151


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
def flag_words(k: int, i: int, ob: ptr8, s):
    """Marks the aligned words that resync the parse: 32 pointer, 64 `entry`. No type is set yet.

    k: 3, i: 0. (Parameters of the hot loops are where they are since the first three have registers.)
    """
    r = 0
    c = ptr32(s[_C])
    hb = ptr8(s[_HB])
    sg = ptr32(s[_SG])
    t = ptr8(s[_T])
    ns = int(c[_NS])
    entry = int(c[_ENTRY])
    sl = int(c[_SL])
    if sl > _WINDOW:
        sl = _WINDOW
    # k: the word's highest byte
    while k < sl:
        i = int(ob[k - 3])
        if i == 0x36 and entry != 0 and int(ob[k - 2]) & 15 == 1:
            t[k - 3] = 64
        i = int(ob[k])
        if int(hb[i >> 3]) >> (i & 7) & 1:
            v = int(ob[k - 3]) | int(ob[k - 2]) << 8 | int(ob[k - 1]) << 16
            v += (i - int(c[_B24])) << 24
            i = 0
            while i < ns:
                if v >= int(sg[i]) and v < int(sg[i + 2]):
                    if int(sg[i + 4]) == 0 or entry == 0 or int(is_entry(s, v)) != 0:
                        r = int(t[k - 3])
                        t[k - 3] = r | 32
                    break
                i += 5
        k += 4


@micropython.viper
def parse(i: int, f: int, ob: ptr8, s):
    """Codes of the window's units, all 0 so far: its instructions in order, from i = 0; f: 0.

    Those before the block get it into step. A code is the type (PATCH.md 6.2) in the low five bits, the
    unit's bytes in the next two (0: 4), and bit 7 where it may hold a reference.
    """
    flag_words(3, 0, s[_OB], s)
    c = ptr32(s[_C])
    t = ptr8(s[_T])
    # of each first byte: the code, or one of _IF...
    cl = ptr8(
        b"\x70\x8b\x72\x73\x74\x87\x8f\x77\x58\x59\x5a\x5b\x5c\x92\x7e\x7f"
        b"\x70\x8b\x72\x73\x74\x87\x83\x77\x58\x59\x5a\x5b\x5c\x92\x7e\x7f"
        b"\x70\x8b\x72\x73\x74\x87\x76\x77\x58\x59\x5a\x5b\x5c\x5d\x7e\x7f"
        b"\x70\x8b\x72\x73\x74\x87\x76\x77\x58\x59\x5a\x5b\x5c\x5d\x7e\x7f"
        b"\x70\x8b\x72\x73\x74\x87\x8f\x77\x58\x59\x5a\x5b\x5c\x5d\x7e\x7f"
        b"\x70\x8b\x72\x73\x74\x87\x83\x77\x58\x59\x5a\x5b\x5c\x5d\x7e\x7f"
        b"\x70\x8b\x72\x73\x74\x87\x76\x77\x58\x59\x5a\x5b\x5c\x5d\x7e\x7f"
        b"\x70\x8b\x72\x73\x74\x87\x76\x77\x58\x59\x5a\x5b\x5c\x5d\x7e\x7f"
        b"\x97\x8b\x72\x73\x74\x87\x8f\x77\x58\x59\x5a\x5b\x5c\x5d\x7e\x7f"
        b"\x97\x8b\x72\x73\x74\x87\x83\x77\x58\x59\x5a\x5b\x5c\x5d\x7e\x7f"
        b"\x9b\x8b\x72\x73\x74\x87\x76\x77\x58\x59\x5a\x5b\x5c\x5d\x7e\x7f"
        b"\x70\x8b\x72\x73\x74\x87\x76\x77\x58\x59\x5a\x5b\x5c\x5d\x7e\x7f"
        b"\x70\x8b\x72\x73\x74\x87\x8f\x77\x58\x59\x5a\x5b\x5c\x5d\x7e\x7f"
        b"\x70\x8b\x72\x73\x74\x87\x83\x77\x58\x59\x5a\x5b\x5c\x5d\x7e\x7f"
        b"\x70\x8b\x72\x73\x74\x87\x76\x77\x58\x59\x5a\x5b\x5c\x5d\x7e\x7f"
        b"\x70\x8b\x72\x73\x74\x87\x76\x77\x58\x59\x5a\x5b\x5c\x5d\x7e\x7f"
    )
    ec = ptr32(s[_EC])
    end = int(c[_IE])
    pc0 = int(c[_PC0])
    sl = int(c[_SL])
    sa = int(c[_SA]) - pc0
    near = 0  # the next marked word, or where instructions may reach beyond the segment
    lim = 0  # instructions that start below it end there or before
    while i < end:
        f = int(cl[int(ob[i])])
        while f < 128 and i < lim:
            t[i] = f
            i = (f >> 5) + i
            f = int(cl[int(ob[i])])
        if i >= end:
            break
        n = f & 3
        if f < 128:
            n = f >> 5
        a = (i + 3) & -4
        if i + n > near:
            if near < a:
                near = a
            while near < sl and near < _WINDOW and t[near] == 0:
                near += 4
            if near > sl:
                near = sl
            lim = near - 2
            if lim > end:
                lim = end
            if a < i + n:
                w = int(t[a])
                if w != 0 and a != i:  # resync 1
                    while i < a and i < end:
                        t[i] = _PAD
                        i += 1
                    i = a
                    continue
                if w & 32:
                    t[i] = _POINTER
                    i += 4
                    continue
            if i + n > sl:
                f = 0
        if f < 128:
            t[i] = f
            i += n
            continue
        if f == _IFL32R:
            w = 113
            q = a + ((int(ob[i + 1]) | int(ob[i + 2]) << 8) << 2) - 0x40000
            if q >= sa and q < i:
                w = _LITERAL
            t[i] = w
            i += 3
            continue
        if f == _IFCALL:
            w = 117
            q = (int(ob[i]) | int(ob[i + 1]) << 8 | int(ob[i + 2]) << 16) >> 6
            if q & 0x20000:
                q -= 0x40000
            q = ((pc0 + i) & -4) + 4 + (q << 2)
            k = int(ec[((q >> 2) ^ (q >> 9)) & 127])
            if k & -2 == q:
                if k & 1:
                    w = _CALL
            elif int(is_entry(s, q)):
                w = _CALL
            t[i] = w
            i += 3
            continue
        if f == _IFZERO:
            t[i] = _LOCAL
            i += 3
            continue
        # resync 2: after an unconditional jump padding may follow
        a = 0
        if f == _IFJ:
            t[i] = _LOCAL
            i += 3
            a = 4
        elif f == _IFRETN:
            t[i] = 93
            i += 2
            if int(ob[i - 1]) == 0xF0:
                a = 4
        else:
            t[i] = 112
            i += 3
            k = int(ob[i - 2])
            if f == _IFJX:
                k &= 0xF0
            if k == 0 and int(ob[i - 1]) == 0:
                a = 4
        while a != 0 and i < end and int(ob[i]) == 0:
            t[i] = _PAD
            i += 1
            a -= 1


@micropython.viper
def walk(i: int, f: int, g: int, s):
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
    m = 0
    pc0 = int(c[_PC0])
    dd = int(c[_DD])
    whole = er if int(c[_VALID]) else 0  # where a unit must end that is rewritten
    pg = ptr8(s[_PG])
    pl = ptr32(s[_PL])
    # The map's interval at hand, and up to where in it a reference moves with us and needs nothing; a
    # displacement that is no multiple of 4 is always rewritten. First of calls, then of literals.
    ca = int(c[_CA])
    cb = int(c[_CB])
    cv = int(c[_CV])
    cn = cb if cv == dd and dd & 3 == 0 else ca
    la = int(c[_LA])
    lb = int(c[_LB])
    lv = int(c[_LV])
    ln = lb if lv == dd and dd & 3 == 0 else la
    # the newest range likewise
    k = _RG0 + 3 * int(c[_RG])
    ra = int(c[k])
    rn = ra + int(c[k + 1]) if int(c[k + 2]) == dd else ra
    while True:
        while g and i < stop:
            f = int(t[i])
            g -= 1
            if f and f < 128:
                i = (f >> 5) + i
                continue
            break
        else:
            break
        if f == 0:
            m = 1
            k = int(c[_IE])
            while m < 4 and i + m < k and int(t[i + m]) == 0:
                m += 1
            i += m
            continue
        m = f >> 5 & 3
        if f == _POINTER:
            m = 4
        if i + m > whole:
            i += m
            continue
        h = 0
        k = 2  # 0: the displacement is the map's; 1: of a literal
        b0 = int(ob[i])
        q = int(ob[i + 1]) | int(ob[i + 2]) << 8
        if f == _LITERAL:
            q = ((i + 3) & -4) + (q << 2) + pc0 - 0x40000
            b = (q >> 2 & 31) << 1
            if int(pl[b]) == q:
                h = int(pl[b + 1])
            else:
                if q >= la and q < ln:
                    i += 3
                    continue
                k = 1
                h = lv
                if q >= la and q < lb:
                    k = 2
        elif f == _LOCAL:
            if b0 & 0x30:
                q = q >> 4
                if q & 0x800:
                    q -= 0x1000
            else:
                q = b0 >> 6 | q << 2
                if q & 0x20000:
                    q -= 0x40000
            q += pc0 + i + 4
            if q >= ra and q < rn:
                i += 3
                continue
            # of the newest copy that holds it, else the map's (PATCH.md 7)
            k = 0
            a = int(c[_RG])
            b = 9
            while b:
                w = _RG0 + a * 3
                h = q - int(c[w])
                if h >= 0 and h < int(c[w + 1]):
                    h = int(c[w + 2])
                    k = 2
                    break
                a -= 1
                if a < 0:
                    a = 8
                b -= 1
        else:
            k = 0
            if f == _POINTER:
                q = (b0 | q << 8) + ((int(ob[i + 3]) - int(c[_B24])) << 24)
            else:
                q = b0 >> 6 | q << 2
                if q & 0x20000:
                    q -= 0x40000
                q = (i & -4) + 4 + (q << 2) + pc0
                if q >= ca and q < cn:
                    i += 3
                    continue
        if k == 0 and q >= ca and q < cb:
            h = cv
            k = 2
        if k < 2:  # M(q) (PATCH.md 5), as moved() finds it
            mk = ptr32(s[_MK])
            mv = ptr32(s[_MV])
            nm = int(c[_NM])
            a = 0
            b = nm
            while a < b:
                w = (a + b) >> 1
                if int(mk[w]) <= q:
                    a = w + 1
                else:
                    b = w
            h = 0
            w = -0x3FFFFFFF
            if a:
                h = int(mv[a - 1])
                w = int(mk[a - 1])
            b = int(mk[a]) if a < nm else 0x3FFFFFFF
            a = b if h == dd and dd & 3 == 0 else w
            if k:
                la = w
                lb = b
                lv = h
                ln = a
            else:
                ca = w
                cb = b
                cv = h
                cn = a
        k = i + oi
        if f == _POINTER:
            if dd & 3 == 0:
                q += h
                pg[k] = q & 255
                pg[k + 1] = q >> 8 & 255
                pg[k + 2] = q >> 16 & 255
                pg[k + 3] = ((q >> 24) + int(c[_B24])) & 255
            i += 4
            continue
        if h == dd and dd & 3 == 0:
            i += 3
            continue
        q += h
        w = pc0 + i + dd
        i += 3
        if f == _LITERAL:
            q = (q - ((w + 3) & -4)) >> 2
            pg[k + 1] = q & 255
            pg[k + 2] = q >> 8 & 255
            continue
        if f == _CALL:
            q = (q - (w & -4) - 4) >> 2
        else:
            q = q - w - 4
            if b0 & 0x30:
                pg[k + 1] = int(ob[i - 2]) & 15 | (q & 15) << 4
                pg[k + 2] = q >> 4 & 255
                continue
        pg[k] = b0 & 0x3F | (q & 3) << 6
        pg[k + 1] = q >> 2 & 255
        pg[k + 2] = q >> 10 & 255
    c[_CA] = ca
    c[_CB] = cb
    c[_CV] = cv
    c[_LA] = la
    c[_LB] = lb
    c[_LV] = lv
    if f and f < 128:
        m = f >> 5
    if i > er:
        m -= i - er
        i = er
    f &= 31
    c[_UT] = f if f else 15
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
