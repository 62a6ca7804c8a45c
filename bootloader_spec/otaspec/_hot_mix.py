"""The hot loops of the normal profile's literals (PATCH.md 9). As _hot.py, which explains s and c."""

from micropython import const

from otaspec._hot import follow

_C = const(0)
_MD = const(1)
_PB = const(2)
_PG = const(3)
_REFILL = const(11)
_WT = const(12)  # array i, 102: 32 sets of weights; of a bit, its three models, and those stretched

_RANGE = const(0)
_CODE = const(1)
_K = const(2)
_O = const(6)
_LC = const(54)
_LJ = const(55)
_LK = const(57)

_PBN = const(128)
_LIT0 = const(800)
_LIT1 = const(3192)
_LIT2 = const(5240)
_RATES = b"\x9a\x62\x46\x38\x2e\x27\x22\x1e\x1b\x18\x15\x12\x0f\x0c\x0a\x10"


@micropython.viper
def tree(s, x0: int, y: int, prev: int) -> int:
    """One literal of the normal profile: three models mixed bit by bit (PATCH.md 9)."""
    c = ptr32(s[_C])
    if int(c[_K]) > _PBN - 16:
        s[_REFILL]()
    r = int(c[_RANGE])
    x = int(c[_CODE])
    v = 1
    md = ptr16(s[_MD])
    wt = ptr32(s[_WT])
    # stretch, then squash: 128 numbers of two bytes each
    tb = ptr8(
        b"\x02\x00\x06\x00\x0a\x00\x0e\x00\x12\x00\x16\x00\x1a\x00\x1e\x00"
        b"\x22\x00\x26\x00\x2a\x00\x2e\x00\x32\x00\x36\x00\x3a\x00\x3e\x00"
        b"\x42\x00\x46\x00\x4b\x00\x4f\x00\x53\x00\x57\x00\x5b\x00\x5f\x00"
        b"\x63\x00\x67\x00\x6c\x00\x70\x00\x74\x00\x78\x00\x7c\x00\x81\x00"
        b"\x85\x00\x89\x00\x8d\x00\x92\x00\x96\x00\x9b\x00\x9f\x00\xa3\x00"
        b"\xa8\x00\xac\x00\xb1\x00\xb5\x00\xba\x00\xbe\x00\xc3\x00\xc8\x00"
        b"\xcc\x00\xd1\x00\xd6\x00\xda\x00\xdf\x00\xe4\x00\xe9\x00\xee\x00"
        b"\xf3\x00\xf8\x00\xfd\x00\x02\x01\x07\x01\x0c\x01\x11\x01\x17\x01"
        b"\x1c\x01\x21\x01\x27\x01\x2c\x01\x32\x01\x37\x01\x3d\x01\x43\x01"
        b"\x49\x01\x4f\x01\x55\x01\x5b\x01\x61\x01\x67\x01\x6e\x01\x74\x01"
        b"\x7b\x01\x81\x01\x88\x01\x8f\x01\x96\x01\x9d\x01\xa5\x01\xac\x01"
        b"\xb4\x01\xbb\x01\xc3\x01\xcb\x01\xd4\x01\xdc\x01\xe5\x01\xee\x01"
        b"\xf7\x01\x00\x02\x0a\x02\x14\x02\x1e\x02\x29\x02\x34\x02\x3f\x02"
        b"\x4b\x02\x57\x02\x64\x02\x71\x02\x7f\x02\x8d\x02\x9d\x02\xad\x02"
        b"\xbe\x02\xd0\x02\xe3\x02\xf8\x02\x0f\x03\x27\x03\x42\x03\x5f\x03"
        b"\x80\x03\xa6\x03\xd2\x03\x06\x04\x47\x04\x9e\x04\x22\x05\x3d\x06"
        b"\x00\x08\x40\x08\x7f\x08\xbf\x08\xfe\x08\x3d\x09\x7b\x09\xb9\x09"
        b"\xf5\x09\x31\x0a\x6b\x0a\xa5\x0a\xdd\x0a\x15\x0b\x4a\x0b\x7f\x0b"
        b"\xb2\x0b\xe4\x0b\x14\x0c\x42\x0c\x6f\x0c\x9b\x0c\xc5\x0c\xed\x0c"
        b"\x14\x0d\x3a\x0d\x5e\x0d\x80\x0d\xa1\x0d\xc1\x0d\xdf\x0d\xfc\x0d"
        b"\x17\x0e\x32\x0e\x4b\x0e\x62\x0e\x79\x0e\x8f\x0e\xa3\x0e\xb6\x0e"
        b"\xc9\x0e\xda\x0e\xeb\x0e\xfb\x0e\x09\x0f\x17\x0f\x25\x0f\x31\x0f"
        b"\x3d\x0f\x49\x0f\x53\x0f\x5d\x0f\x67\x0f\x70\x0f\x78\x0f\x80\x0f"
        b"\x87\x0f\x8f\x0f\x95\x0f\x9b\x0f\xa1\x0f\xa7\x0f\xac\x0f\xb1\x0f"
        b"\xb6\x0f\xba\x0f\xbe\x0f\xc2\x0f\xc6\x0f\xc9\x0f\xcd\x0f\xd0\x0f"
        b"\xd3\x0f\xd5\x0f\xd8\x0f\xda\x0f\xdc\x0f\xdf\x0f\xe0\x0f\xe2\x0f"
        b"\xe4\x0f\xe6\x0f\xe7\x0f\xe9\x0f\xea\x0f\xeb\x0f\xed\x0f\xee\x0f"
        b"\xef\x0f\xf0\x0f\xf1\x0f\xf2\x0f\xf3\x0f\xf3\x0f\xf4\x0f\xf5\x0f"
        b"\xf5\x0f\xf6\x0f\xf7\x0f\xf7\x0f\xf8\x0f\xf8\x0f\xf9\x0f\xf9\x0f"
        b"\xf9\x0f\xfa\x0f\xfa\x0f\xfa\x0f\xfb\x0f\xfb\x0f\xfb\x0f\xfc\x0f"
        b"\xfc\x0f\xfc\x0f\xfc\x0f\xfc\x0f\xfd\x0f\xfd\x0f\xfd\x0f\xfd\x0f"
        b"\xfd\x0f\xfd\x0f\xfe\x0f\xfe\x0f\xfe\x0f\xfe\x0f\xfe\x0f\xfe\x0f"
    )
    rt = ptr8(_RATES)
    pb = ptr8(s[_PB])
    k = int(c[_K])
    w = x0 << 3
    while v < 256:
        wt[96] = _LIT0 + (x0 << 8) + v
        wt[97] = _LIT1 + ((y * 0x9E5 + v * 0x265) & 2047)
        wt[98] = _LIT2 + ((prev * 0x9E5 + v * 0x265) & 1023)
        p = 0
        n = 0
        while n < 3:
            b = int(md[int(wt[96 + n])]) >> 8
            if b > 127:
                b = int(tb[2 * b - 256]) | int(tb[2 * b - 255]) << 8
            else:
                b = 0 - (int(tb[254 - 2 * b]) | int(tb[255 - 2 * b]) << 8)
            wt[99 + n] = b
            p += b * int(wt[w + 32 * n])
            n += 1
        p >>= 16
        if p < 0:
            p = 0 - p
            if p > 2047:
                p = 2047
            p = 256 + (p >> 4 << 1)
            p = 4096 - (int(tb[p]) | int(tb[p + 1]) << 8)
        else:
            if p > 2047:
                p = 2047
            p = 256 + (p >> 4 << 1)
            p = int(tb[p]) | int(tb[p + 1]) << 8
        b = (r >> 12) * p
        if x < b:
            r = b
            p = (4096 - p) * 12
            v = v << 1 | 1
        else:
            x -= b
            r -= b
            p = p * -12
            v = v << 1
        # weights and models learn
        n = 0
        while n < 3:
            b = int(wt[w + 32 * n]) + ((int(wt[99 + n]) * p + 8192) >> 14)
            if b > 262143:
                b = 262143
            if b < -262143:
                b = -262143
            wt[w + 32 * n] = b
            i = int(wt[96 + n])
            m = int(md[i])
            b = m & 15
            m >>= 4
            if v & 1:
                m += ((4095 - m) * int(rt[b]) + 128) >> 8
            else:
                m -= (m * int(rt[b]) + 128) >> 8
            if b < 15:
                b += 1
            md[i] = m << 4 | b
            n += 1
        w += 1
        while r < 0x400000:
            r <<= 8
            x = x << 8 | int(pb[k])
            k += 1
    c[_RANGE] = r
    c[_CODE] = x
    c[_K] = k
    return v & 255


@micropython.viper
def mixed(s, n: int, q: int, prev: int):
    """n literals for position q into the page, all in code or all in data; prev is the byte before."""
    c = ptr32(s[_C])
    pg = ptr8(s[_PG])
    o = int(c[_O])
    k = int(c[_LC])
    n += o
    while o < n:
        if k == 4:
            c[_LJ] = q & 1
        if k:
            j = int(c[_LJ])
            prev = int(tree(s, j, 256 + (j << 6) + int(c[_LK]), prev))
            follow(s, prev)
        else:
            prev = int(tree(s, q & 3, prev, prev))
        pg[o] = prev
        o += 1
        q += 1
    c[_O] = o
