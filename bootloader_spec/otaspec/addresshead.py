"""What an address-aware patch says before its ops: fixed fields, segments, map (PATCH.md 2, 5, 6.1).

Needed once, at the start: a board that loads it from a file drops it afterwards (address.py).
"""

import gc
from array import array

from otaspec import _hot
from otaspec.addressinput import const, refuse, signed

_VERSION = const(1)
_MIX = const(1)  # feature bit: normal profile
_EXPLICIT = const(16)  # bits of the third byte
_ELIDE = const(32)
_NONE = const(0)  # CPUs; 1 and 2 are Xtensa
_WINDOWED = const(1)
_RISCV = const(3)
_THUMB = const(4)
_SIZE_MAX = const(8388608)  # of an image
_MOST = const(0x3FFFFFFF)  # address, after the base was taken off: a small integer of MicroPython
_HALF = const(0x20000000)

# State words, as in _hot.py.
_CA = const(14)
_CB = const(15)
_NM = const(17)
_NS = const(21)
_B24 = const(24)
_ENTRY = const(25)

# First model of each table: 32 of the tree, 120 of the mantissa. They lie over the models of literals and
# residuals, which the ops start anew.
_NSEGS = const(1560)
_NADDR = const(1712)
_NLEN = const(1864)
_ENTRIES = const(2016)
_ZKEY = const(2168)
_KEY = const(2320)
_DISP = const(2472)
_SAME = const(2624)
_TOP = const(30)  # largest exponent

_WORDS = const(54)
_SECTOR = const(4096)
_PATCH_BYTES = const(128)
_MODELS = const(3192)
_MIX_MODELS = const(1024)


def memory(cpu: int, features: int, n: int) -> int:
    """Bytes of decoder data for a map of n entries (PATCH.md 15)."""
    need = 15872 + 8 * n
    if features & _MIX:
        need += 3200
    if cpu == _RISCV:
        need += 1280
    return need


def head(d: object, params: dict, size: int, ram: int) -> tuple:
    """Sets what the decoder d needs, for NEW of `size` bytes.

    (CPU, ELIDE, F4, sizes of the blocks' sections); d.size is that of the head's.
    """
    if not (0 < d.old.size <= _SIZE_MAX and 0 < size <= _SIZE_MAX):
        refuse(1)
    features, flags, block = _fixed(d, params, size)
    cpu = flags & 15
    _afford(cpu, features, 0, ram)
    _allocate(d, features & _MIX)
    n = d.patch.size - 4
    sizes = []
    if block:
        sizes = _directory(d, (size - 1 >> block) + 1)
        n = sizes.pop()
    d.begin(n)
    d.fresh()
    # What is made from here on stays, in what small places are free: no litter in between.
    gc.collect()
    if flags & _EXPLICIT:
        from otaspec.addressraw import listed as segments
    else:
        segments = _esp
    _segments(d, segments(d, cpu), cpu)
    gc.collect()
    _news(d, size)
    n = number(d, _ENTRIES)
    _afford(cpu, features, n, ram)
    gc.collect()
    _map(d, n)
    if block:
        d.close()
    return cpu, flags & _ELIDE, block, sizes


def _fixed(d: object, params: dict, size: int) -> tuple:
    """F2 to F4."""
    fixed = bytearray(4)
    d.fill(fixed, 0, 4)
    version, features, flags, block = fixed
    if version != _VERSION or features & ~_MIX or flags & 15 > _THUMB or flags & 0xC0:
        refuse(2, 114)
    if params != {1: version, 2: features}:
        refuse(2)
    if (block and not 16 <= block <= 20) or (flags & _ELIDE and size < 34):
        refuse(2)
    return features, flags, block


def _directory(d: object, n: int) -> list:
    """Sizes of the sections of n blocks, and last that of the head (PATCH.md 13)."""
    sizes = bytearray(2 + 3 * n)
    d.fill(sizes, 0, len(sizes))
    found = [sizes[k] | sizes[k + 1] << 8 | sizes[k + 2] << 16 for k in range(2, len(sizes), 3)]
    found.append(sizes[0] | sizes[1] << 8)
    return found


def _afford(cpu: int, features: int, n: int, ram: int) -> None:
    n = memory(cpu, features, n)
    if n > ram:
        refuse(n, 113)


def _allocate(d: object, mix: int) -> None:
    """Models, page and state, in the order of _hot.py; the large ones first."""
    d.s = s = [None] * 13
    s[1] = array("H", range(_MODELS + _MIX_MODELS if mix else _MODELS))
    s[3] = bytearray(_SECTOR + 8)
    s[0] = d.c = array("i", range(_WORDS))
    _hot.fill32(d.c, _WORDS, 0)
    s[2] = bytearray(_PATCH_BYTES)
    s[6] = array("i", range(64))
    s[11] = d.refill
    if mix:
        s[12] = array("i", range(16))


def number(d: object, tree: int) -> int:
    """EG number of the head."""
    return d.number(tree, tree + 32, _TOP)


def shifted(d: object, z: int, v: int) -> int:
    """EG(v) << EG(z), below 2^32."""
    z = number(d, z)
    v = number(d, v)
    if z > 31 or v >> 32 - z:
        refuse(5)
    return v << z


def _esp(d: object, cpu: int) -> list:
    """[(offset, end, absolute address, span, executable)] as an ESP image's headers say (PATCH.md 6.1)."""
    old = d.old
    found = []
    word = bytearray(8)
    if old.size < 24:
        refuse(6)
    old.readinto(0, word)
    count = word[1]
    start = 24
    while len(found) < count and start + 8 <= old.size:
        old.readinto(start, word)
        start += 8
        address = int.from_bytes(word[:4], "little")
        span = int.from_bytes(word[4:], "little")
        end = start + span
        if end > old.size:
            break
        code = int(cpu != _NONE and address >> 24 in (0x40, 0x42))
        if not code and address >> 20 in (0x3FF, 0x3FC):
            span += 0x30000
        elif not code and 0x3C0 <= address >> 20 < 0x3F8:
            span += 0x20000
        else:
            span += 0x40
        found.append((start, end, address, span, code))
        start = end
    if count > 16:
        refuse(6)
    return found


def _segments(d: object, found: list, cpu: int) -> None:
    """Checks OLD's segments; enters them as the hot loops read them."""
    c = d.c
    d.segments = []
    table = array("i", range(5 * len(found)))
    highs = bytearray(32)
    base = min([f[2] for f in found]) & ~0xFFFFFF if found else 0
    at = 0
    for start, end, address, span, code in found:
        if (code and address & 3) or address >= 1 << 31 or address - base + span - 1 > _MOST:
            refuse(6)
        address -= base
        d.segments.append((start, end, address, code))
        for word in (address, address + end - start, address + span, start, code):
            table[at] = word
            at += 1
        for high in range((base + address) >> 24, (base + address + span - 1 >> 24) + 1):
            highs[high >> 3] |= 1 << (high & 7)
    c[_B24] = base >> 24
    c[_NS] = at
    c[_CA] = c[_CB] = -0x3FFFFFFF
    c[_ENTRY] = int(cpu == _WINDOWED)
    d.s[9] = table
    d.s[10] = highs


def _news(d: object, size: int) -> None:
    d.news = []
    end = 0
    count = number(d, _NSEGS)
    for i in range(min(count, 17)):
        first, last, address, _ = d.segments[i] if i < len(d.segments) else (0, 0, 0, 0)
        address += signed(number(d, _NADDR))
        length = last - first + signed(number(d, _NLEN))
        start = end + number(d, _NLEN)
        end = start + length
        if i > 15 or length < 0 or end > size or address < -_HALF or address + length - 1 > _MOST:
            refuse(5)
        d.news.append((start, end, address))


def _map(d: object, n: int) -> None:
    if n > 4095 or (n and not d.segments):
        refuse(5)
    d.c[_NM] = n
    d.s[7] = keys = array("i", range(n))
    d.s[8] = moves = array("i", range(n))
    key = 0
    recent = [0]
    for k in range(n):
        gap = shifted(d, _ZKEY, _KEY)
        key += gap
        move = _move(d, recent)
        if (gap == 0 and k) or key > _MOST or not -_HALF <= move < _HALF:
            refuse(5)
        keys[k] = key
        moves[k] = move


def _move(d: object, recent: list) -> int:
    """The displacement of a map entry (H12)."""
    bit = _hot.bit
    if bit(d.s, _SAME):
        j = 1
        if bit(d.s, _SAME + 1):
            j = 2 + bit(d.s, _SAME + 2)
        if j >= len(recent):
            refuse(5)
        move = recent.pop(j)
    else:
        move = recent[0] + signed(number(d, _DISP))
    recent.insert(0, move)
    if len(recent) > 4:
        recent.pop()
    return move
