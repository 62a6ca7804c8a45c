"""What an address-aware patch says before its ops: fixed fields, segments, map (PATCH.md 2, 5, 6.1).

Needed once, at the start: a board that loads it from a file drops it afterwards (address.py).
"""

from array import array

from otaspec import _hot
from otaspec.addressinput import collect, const, refuse, signed

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
_COUNT = const(800)
_NSEGS = const(1560)
_NADDR = const(1712)
_NLEN = const(1864)
_ENTRIES = const(2016)
_ZKEY = const(2168)
_KEY = const(2320)
_MOVE = const(2472)
_SAME = const(2624)
_HEAD_TOP = const(30)  # largest exponent

_SECTOR = const(4096)
_MODELS = const(3192)
_MIX_MODELS = const(3072)


def memory(mix: int, n: int) -> int:
    """Bytes of decoder data for a map of n entries (PATCH.md 15)."""
    return 16128 + 8 * n + (6752 if mix else 0)


def head(d: object, params: dict, size: int, ram: int) -> tuple:
    """Sets what the decoder d needs, for NEW of `size` bytes.

    (CPU, ELIDE, F4, sizes of the blocks' sections); d.size is that of the head's.
    """
    if not (0 < d.old.size <= _SIZE_MAX and 0 < size <= _SIZE_MAX):
        refuse(1)
    mix, flags, block = _fixed(d, params, size)
    cpu = flags & 15
    if memory(mix, 0) > ram:
        refuse(memory(mix, 0), 113)
    # The large buffers first.
    d.s[1] = array("H", range(_MODELS + _MIX_MODELS if mix else _MODELS))
    d.s[3] = bytearray(_SECTOR + 8)
    if mix:
        d.s[12] = array("i", range(102))
    n = d.patch.size - 4
    sizes = []
    if block:
        sizes = _directory(d, (size - 1 >> block) + 1)
        n = sizes.pop()
    d.begin(n)
    d.clear()
    # What is made from here on stays, in what small places are free: no litter in between.
    collect()
    if flags & _EXPLICIT:
        from otaspec.addressraw import listed

        found = listed(d, cpu)
    else:
        found = _esp(d, cpu)
        if cpu == _RISCV:
            found = _cut(d, found)
    _old_table(d, found, cpu)
    collect()
    _new_table(d, size, cpu)
    n = number(d, _ENTRIES)
    if memory(mix, n) > ram:
        refuse(memory(mix, n), 113)
    collect()
    _map(d, n)
    if block:
        d.close()
    return cpu, flags & _ELIDE, block, sizes


def _fixed(d: object, params: dict, size: int) -> tuple:
    """MIX, F3, F4."""
    fixed = bytearray(4)
    d.fill(fixed, 0, 4)
    version, features, flags, block = fixed
    # What this decoder does not know (114), then what contradicts itself (112).
    if len(params) != 2 or params.get(1) != _VERSION or params.get(2) not in (0, _MIX):
        refuse(2, 114)
    if version != _VERSION or features & ~_MIX or flags & 15 > _THUMB or flags & 0xC0:
        refuse(2, 114)
    if params[2] != features:
        refuse(2)
    if (block and not 16 <= block <= 20) or (flags & _ELIDE and size < 34):
        refuse(2)
    return features, flags, block  # MIX is the only feature


def _directory(d: object, n: int) -> list:
    """Sizes of the sections of n blocks, and last that of the head (PATCH.md 13)."""
    sizes = bytearray(2 + 3 * n)
    d.fill(sizes, 0, len(sizes))
    found = [sizes[k] | sizes[k + 1] << 8 | sizes[k + 2] << 16 for k in range(2, len(sizes), 3)]
    found.append(sizes[0] | sizes[1] << 8)
    return found


def number(d: object, tree: int) -> int:
    """EG number of the head."""
    return d.number(tree, tree + 32, _HEAD_TOP)


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
        described = False
        if span > 3:
            old.readinto(start, memoryview(word)[:4])
            described = word[:4] == b"\x32\x54\xcd\xab"
        page = address >> 20
        code = int(cpu != _NONE and (page >> 4 in (0x40, 0x42) or page == 0x4FF) and not described)
        if page in (0x3FF, 0x3FC, 0x408, 0x4FF):
            span += 0x30000
        elif described or 0x3C0 <= page < 0x3F8:
            span += 0x20000
        else:
            span += 0x40
        found.append((start, end, address, span, code))
        start = end
    if count > 16:
        refuse(6)
    return found


def _cut(d: object, segments: list) -> list:
    """The segments, cut where code ends (H0)."""
    found = []
    for start, end, address, span, code in segments:
        n = number(d, _COUNT)
        if n:
            n = 4 * n - 4
            if n > end - start:
                refuse(5)
            code = 0
            if n and n < end - start:
                found.append((start, start + n, address, n, 1))
                start += n
                address += n
                span -= n
            elif n:
                code = 1
        found.append((start, end, address, span, code))
    if len(found) > 16:
        refuse(5)
    return found


def _old_table(d: object, found: list, cpu: int) -> None:
    """Checks OLD's segments; enters them as the hot loops read them."""
    c = d.c
    d.old_table = d.s[9] = table = array("i", range(5 * len(found)))
    d.s[10] = highs = bytearray(32)
    base = min([f[2] for f in found]) & ~0xFFFFFF if found else 0
    k = 0
    for start, end, address, span, code in found:
        if (code and address & 3) or address >= 1 << 31 or address - base + span - 1 > _MOST:
            refuse(6)
        for high in range(address >> 24, (address + span - 1 >> 24) + 1):
            highs[high >> 3] |= 1 << (high & 7)
        address -= base
        table[k] = address
        table[k + 1] = address + end - start
        table[k + 2] = address + span
        table[k + 3] = start
        table[k + 4] = code
        k += 5
    c[_B24] = base >> 24
    c[_NS] = k
    c[_CA] = c[_CB] = -_MOST
    c[_ENTRY] = int(cpu == _WINDOWED)


def _new_table(d: object, size: int, cpu: int) -> None:
    count = number(d, _NSEGS)
    if count > 16:
        refuse(5)
    d.new_table = table = array("i", range(5 * count))
    old = d.old_table
    end = 0
    for k in range(0, 5 * count, 5):
        known = k < len(old)
        address = (old[k] if known else 0) + signed(number(d, _NADDR))
        length = (old[k + 1] - old[k] if known else 0) + signed(number(d, _NLEN))
        start = end + number(d, _NLEN)
        end = start + length
        if length < 0 or end > size or address < -_HALF or address + length - 1 > _MOST:
            refuse(5)
        table[k] = address
        table[k + 1] = address + length
        table[k + 3] = start
        # what follow() in _hot.py reads: 0 data, else the code's CPU
        table[k + 4] = (cpu if cpu > 2 else 1) if known and old[k + 4] else 0


def _map(d: object, n: int) -> None:
    if n > 4095 or (n and not d.old_table):
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
        move = recent[0] + signed(number(d, _MOVE))
    recent.insert(0, move)
    if len(recent) > 4:
        recent.pop()
    return move
