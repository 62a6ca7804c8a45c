"""What an address-aware patch says before its ops: fixed fields, segments, map (PATCH.md 2, 5, 6.1).

Needed once, at the start: a board that loads it from a file drops it afterwards (address.py).
"""

from array import array

from otaspec.addresscoder import Coder, const, refuse, signed

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
_OFF = const(952)
_SIZE = const(1104)
_ZADDR = const(1256)
_ADDR = const(1408)
_NSEGS = const(1560)
_NADDR = const(1712)
_NLEN = const(1864)
_ENTRIES = const(2016)
_ZKEY = const(2168)
_KEY = const(2320)
_DISP = const(2472)
_SAME = const(2624)
_RAW = const(2627)
_FRESH = const(0x8000)
_TOP = const(30)  # largest exponent


def memory(cpu: int, features: int, entries: int) -> int:
    """Bytes of decoder data (PATCH.md 15)."""
    need = 15872 + 8 * entries
    if features & _MIX:
        need += 3200
    if cpu == _RISCV:
        need += 1280
    return need


class Head:
    """The fields that the ops need.

    segments: of OLD, (offset, end offset, address, executable); news: of NEW, (offset, end offset, address).
    Addresses are counted from the base. directory: PATCH.md 13, empty if there is but one block.
    """

    def __init__(self, params: dict, old: "object", patch: "object", new: "object", ram: int) -> None:
        if not (0 < old.size <= _SIZE_MAX and 0 < new.size <= _SIZE_MAX):
            refuse("image larger than 8 MiB")
        self.coder = coder = Coder(patch)
        self._fixed(params, new.size)
        if memory(self.cpu, self.mix, 0) > ram:
            refuse("%d bytes" % memory(self.cpu, self.mix, 0), 113)
        coder.allocate(self.mix)
        self.directory = bytearray(2 + 3 * ((new.size - 1 >> self.block) + 1) if self.block else 0)
        coder.plain(self.directory)
        coder.begin(self.directory[0] | self.directory[1] << 8 if self.block else patch.size - 4)
        coder.fresh()
        self._table(self._explicit(old.size) if self.explicit else self._esp(old))
        self._news(new.size)
        self._map(ram)
        if self.block:
            coder.end()

    def _fixed(self, params: dict, size: int) -> None:
        fixed = bytearray(4)
        self.coder.plain(fixed)
        version, features, flags, block = fixed
        if version != _VERSION or features & ~_MIX or flags & 15 > _THUMB or flags & 0xC0:
            refuse("version %d features %d cpu %d" % (version, features, flags), 114)
        if params != {1: version, 2: features}:
            refuse("not the manifest's parameters")
        self.mix = features & _MIX
        self.cpu = flags & 15
        self.explicit = flags & _EXPLICIT
        self.elide = flags & _ELIDE
        self.block = block
        if (block and not 16 <= block <= 20) or (self.elide and size < 34):
            refuse("block or elide")

    def _number(self, table: int) -> int:
        return self.coder.number(table, table + 32, _TOP)

    def _shifted(self, z: int, v: int) -> int:
        """EG(v) << EG(z), below 2^32."""
        z = self._number(z)
        v = self._number(v)
        if z > 31 or v >> 32 - z:
            refuse("number of more than 32 bits")
        return v << z

    def _explicit(self, size: int) -> list:
        """[(offset, end, absolute address, span, executable)] as the patch lists them."""
        found = []
        end = 0
        for _ in range(self._number(_COUNT)):
            start = end + self._number(_OFF)
            end = start + self._number(_SIZE)
            address = self._shifted(_ZADDR, _ADDR)
            span = self._shifted(_ZADDR, _ADDR)
            self.coder.s[1][_RAW] = _FRESH  # a fresh model is a raw bit
            code = self.coder.bit(_RAW)
            if end > size or span < end - start or (code and self.cpu == _NONE):
                refuse("segment %d" % len(found))
            found.append((start, end, address, span, code))
            if len(found) > 16:
                refuse("segments")
        return found

    def _esp(self, old: "object") -> list:
        """The same, as an ESP image's own headers say (PATCH.md 6.1)."""
        found = []
        head = bytearray(8)
        if old.size < 24:
            refuse("OLD is no ESP image")
        old.readinto(0, head)
        count = head[1]
        start = 24
        while len(found) < count and start + 8 <= old.size:
            old.readinto(start, head)
            start += 8
            address = int.from_bytes(head[:4], "little")
            span = int.from_bytes(head[4:], "little")
            end = start + span
            if end > old.size:
                break
            code = int(self.cpu != _NONE and address >> 24 in (0x40, 0x42))
            if not code and address >> 20 in (0x3FF, 0x3FC):
                span += 0x30000
            elif not code and 0x3C0 <= address >> 20 < 0x3F8:
                span += 0x20000
            else:
                span += 0x40
            found.append((start, end, address, span, code))
            start = end
        if count > 16:
            refuse("OLD has %d segments" % count)
        return found

    def _table(self, found: list) -> None:
        """Checks OLD's segments; enters them as the hot loops read them."""
        c = self.coder.c
        self.segments = []
        table = array("i", range(5 * len(found)))
        highs = bytearray(256)
        base = min([f[2] for f in found]) & ~0xFFFFFF if found else 0
        at = 0
        for start, end, address, span, code in found:
            if (code and address & 3) or address >= 1 << 31 or address - base + span - 1 > _MOST:
                refuse("segment at %x" % address)
            address -= base
            self.segments.append((start, end, address, code))
            for word in (address, address + end - start, address + span, start, code):
                table[at] = word
                at += 1
            for high in range(address >> 24, (address + span - 1 >> 24) + 1):
                highs[(base >> 24) + high] = 1
        c[_B24] = base >> 24
        c[_NS] = at
        c[_CA] = c[_CB] = -0x3FFFFFFF
        c[_ENTRY] = int(self.cpu == _WINDOWED)
        self.coder.s[9] = table
        self.coder.s[10] = highs

    def _news(self, size: int) -> None:
        self.news = []
        end = 0
        count = self._number(_NSEGS)
        for i in range(min(count, 17)):
            first, last, address, _ = self.segments[i] if i < len(self.segments) else (0, 0, 0, 0)
            address += signed(self._number(_NADDR))
            length = last - first + signed(self._number(_NLEN))
            start = end + self._number(_NLEN)
            end = start + length
            if i > 15 or length < 0 or end > size or address < -_HALF or address + length - 1 > _MOST:
                refuse("segment %d of NEW" % i)
            self.news.append((start, end, address))

    def _map(self, ram: int) -> None:
        coder = self.coder
        coder.c[_NM] = count = self._number(_ENTRIES)
        if count > 4095 or (count and not self.segments):
            refuse("map of %d" % count)
        if memory(self.cpu, self.mix, count) > ram:
            refuse("%d bytes" % memory(self.cpu, self.mix, count), 113)
        coder.s[7] = keys = array("i", range(count))
        coder.s[8] = moves = array("i", range(count))
        key = 0
        recent = [0]
        for i in range(count):
            gap = self._shifted(_ZKEY, _KEY)
            key += gap
            move = self._move(recent)
            if (gap == 0 and i) or key > _MOST or not -_HALF <= move < _HALF:
                refuse("map entry %d" % i)
            keys[i] = key
            moves[i] = move

    def _move(self, recent: list) -> int:
        """The displacement of a map entry (H12)."""
        coder = self.coder
        if coder.bit(_SAME):
            j = 1
            if coder.bit(_SAME + 1):
                j = 2 + coder.bit(_SAME + 2)
            if j >= len(recent):
                refuse("map displacement")
            move = recent.pop(j)
        else:
            move = recent[0] + signed(self._number(_DISP))
        recent.insert(0, move)
        if len(recent) > 4:
            recent.pop()
        return move
