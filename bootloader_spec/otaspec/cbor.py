"""The deterministic subset of CBOR that manifests and key sets use (PACKAGE.md section 2; RFC 8949).

Python values: int, bytes, str, list, dict with integer keys, bool, Tag. The decoder accepts only what
the encoder writes, so every value has exactly one encoding.
"""

from .errors import const, error

_CBOR_MALFORMED = const(101)

MAX_BYTES = 8192
MAX_DEPTH = 4
MAX_INT = (1 << 53) - 1

UINT = 0
NINT = 1
BSTR = 2
TSTR = 3
ARRAY = 4
MAP = 5
TAG = 6
SIMPLE = 7
_FALSE = const(20)
_TRUE = const(21)


class Tag:
    """A tagged item: `number` (uint) and `value`."""

    def __init__(self, number: int, value: object) -> None:
        self.number = number
        self.value = value


def head(major: int, n: int) -> bytes:
    """The first bytes of an item: major type 0..7 and argument 0..MAX_INT, in the shortest form."""
    if n < 24:
        return bytes((major << 5 | n,))
    for low, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if n < 1 << 8 * size:
            return bytes((major << 5 | low,)) + n.to_bytes(size, "big")
    raise ValueError("too large for CBOR")


def encode(value: object, depth: int = 1) -> bytes:
    """`value` as CBOR; ValueError for what the subset does not hold."""
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")
    kind = type(value)
    if kind is bool:
        return head(SIMPLE, _TRUE if value else _FALSE)
    if kind is int:
        if not -MAX_INT <= value <= MAX_INT:
            raise ValueError("integer too large")
        return head(UINT, value) if value >= 0 else head(NINT, -1 - value)
    if kind is str:
        raw = value.encode()
        return head(TSTR, len(raw)) + raw
    if kind is Tag:
        return head(TAG, value.number) + encode(value.value, depth + 1)
    if kind is list or kind is tuple:
        return head(ARRAY, len(value)) + b"".join([encode(item, depth + 1) for item in value])
    if kind is dict:
        return head(MAP, len(value)) + _pairs(value, depth + 1)
    raw = bytes(memoryview(value))
    return head(BSTR, len(raw)) + raw


def _pairs(value: dict, depth: int) -> bytes:
    pairs = []
    for key in value:
        if type(key) is not int:
            raise ValueError("map keys are integers")
        pairs.append((encode(key, depth), encode(value[key], depth)))
    return b"".join([key + item for key, item in sorted(pairs)])


def decode(data: bytes) -> object:
    """The one item that `data` (at most MAX_BYTES) holds; CBOR_MALFORMED for anything else."""
    if len(data) > MAX_BYTES:
        raise error(_CBOR_MALFORMED, "more than 8192 bytes")
    reader = Reader(data)
    value = reader.item()
    reader.finish()
    return value


class Reader:
    """Walks over `data` item by item; holds no more than the item it returns."""

    def __init__(self, data: bytes) -> None:
        self.data = memoryview(data)
        self.at = 0

    def refuse(self, why: str) -> None:
        raise error(_CBOR_MALFORMED, "byte %d: %s" % (self.at, why))

    def finish(self) -> None:
        if self.at != len(self.data):
            self.refuse("trailing bytes")

    def take(self, n: int) -> memoryview:
        start = self.at
        if n > len(self.data) - start:
            self.refuse("truncated")
        self.at = start + n
        return self.data[start : start + n]

    def head(self) -> tuple:
        """(major type, argument), refused unless in the shortest form and at most MAX_INT."""
        first = self.take(1)[0]
        n = first & 31
        if n >= 28:
            self.refuse("indefinite or reserved length")
        if n >= 24:
            size = 1 << n - 24
            n = int.from_bytes(self.take(size), "big")
            if n < (24 if size == 1 else 1 << 4 * size):
                self.refuse("not in the shortest form")
            if n > MAX_INT:
                self.refuse("integer too large")
        return first >> 5, n

    def expect(self, major: int) -> int:
        """The argument of the next item, which must be of type `major`."""
        found, n = self.head()
        if found != major:
            self.refuse("major type %d where %d belongs" % (found, major))
        return n

    def bstr(self) -> memoryview:
        """The next item, which must be a byte string, without a copy."""
        return self.take(self.expect(BSTR))

    def item(self, depth: int = 1) -> object:
        if depth > MAX_DEPTH:
            self.refuse("nested too deeply")
        major, n = self.head()
        if major == UINT:
            return n
        if major == NINT:
            if n == MAX_INT:
                self.refuse("integer too large")
            return -1 - n
        if major == BSTR:
            return bytes(self.take(n))
        if major == TSTR:
            return self.text(bytes(self.take(n)))
        if major == ARRAY:
            return self.array(n, depth + 1)
        if major == MAP:
            return self.map(n, depth + 1)
        if major == TAG:
            return Tag(n, self.item(depth + 1))
        if n != _FALSE and n != _TRUE:
            self.refuse("simple value or float")
        return n == _TRUE

    def text(self, raw: bytes) -> str:
        try:
            text = str(raw, "utf-8")
            # MicroPython lets overlong forms and surrogates pass: only the one UTF-8 form is ours.
            again = "".join([chr(ord(c)) for c in text]).encode()
        except (UnicodeError, ValueError):
            again = None
        if again != raw or [c for c in text if 0xD800 <= ord(c) < 0xE000]:
            self.refuse("not UTF-8")
        return text

    def array(self, n: int, depth: int) -> list:
        # Each item is at least one byte: a hostile count ends here, not in the heap.
        if n > len(self.data) - self.at:
            self.refuse("truncated")
        return [self.item(depth) for _ in range(n)]

    def map(self, n: int, depth: int) -> dict:
        if 2 * n > len(self.data) - self.at:
            self.refuse("truncated")
        found = {}
        last = b""
        for _ in range(n):
            start = self.at
            key = self.item(depth)
            if type(key) is not int:
                self.refuse("map keys are integers")
            encoded = bytes(self.data[start : self.at])
            # Bytewise ascending excludes duplicates too.
            if encoded <= last:
                self.refuse("map keys unsorted or twice")
            last = encoded
            found[key] = self.item(depth)
        return found
