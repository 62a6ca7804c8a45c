"""Key-value storage in the nvs partition. The format is ours, not ESP-IDF's: a stand-in.

The partition holds two banks of half its size. A bank is a header {magic "dNVS", counter, length,
crc32 of counter, length and body} and a body of entries {namespace, key (each: length byte, text),
type byte, length uint16, value}. The bank with a right CRC and the higher counter counts. A write
copies it into the other bank with one entry changed and puts the header last: old or new, never
between. As on a chip, each key is atomic by itself; several keys together are not.
Runs on CPython too: the simulator puts a new board's credentials there.
"""

import binascii
import struct

I32, BLOB = 1, 2
NAME_MAX = 15
_MAGIC = b"dNVS"
_HEADER = "<4sIII"
_HEAD = 16


def _crc(counter: int, body) -> int:
    return binascii.crc32(body, binascii.crc32(struct.pack("<II", counter, len(body)))) & 0xFFFFFFFF


def _read_bank(bank):
    """(counter, body) of a bank; counter -1 where there is none."""
    magic, counter, length, crc = struct.unpack(_HEADER, bytes(bank[:_HEAD]))
    if magic != _MAGIC or length > len(bank) - _HEAD:
        return -1, bank[:0]
    body = bank[_HEAD : _HEAD + length]
    return (counter, body) if _crc(counter, body) == crc else (-1, bank[:0])


def banks(partition):
    """[(counter, body, bank)] newest first, of a memoryview of the partition."""
    half = len(partition) // 2
    both = []
    for bank in (partition[:half], partition[half:]):
        counter, body = _read_bank(bank)
        both.append((counter, body, bank))
    return both if both[0][0] >= both[1][0] else [both[1], both[0]]


def _name(namespace: str, key: str, kind: int) -> bytes:
    n, k = namespace.encode(), key.encode()
    return bytes((len(n),)) + n + bytes((len(k),)) + k + bytes((kind,))


def _entries(body):
    """Yields (start, name, value) of each entry."""
    at = 0
    while at < len(body):
        start = at
        at += 1 + body[at]
        at += 2 + body[at]
        size = body[at] | body[at + 1] << 8
        yield start, body[start:at], body[at + 2 : at + 2 + size]
        at += 2 + size


def get(partition, namespace: str, key: str, kind: int):
    """The value as a view into the partition, or None."""
    name = _name(namespace, key, kind)
    for _, found, value in _entries(banks(partition)[0][1]):
        if found == name:
            return value
    return None


def put(partition, namespace: str, key: str, kind: int, value) -> bool:
    """Writes one key (value None: without it). False where it does not fit; nothing is changed then."""
    (counter, body, _), (_, _, target) = banks(partition)
    name = _name(namespace, key, kind)
    new = b"" if value is None else name + struct.pack("<H", len(value)) + bytes(value)
    kept = [(start, len(found) + 2 + len(old)) for start, found, old in _entries(body) if found != name]
    size = sum([length for _, length in kept]) + len(new)
    if size > len(target) - _HEAD:
        return False
    target[:_HEAD] = b"\xff" * _HEAD  # whatever happens from here on, this bank does not count
    at = _HEAD
    for start, length in kept:
        target[at : at + length] = body[start : start + length]
        at += length
    target[at : at + len(new)] = new
    crc = _crc(counter + 1, target[_HEAD : _HEAD + size])
    target[:_HEAD] = struct.pack(_HEADER, _MAGIC, counter + 1, size, crc)
    return True


def roll_back(partition) -> bool:
    """Forgets the newest write, as a worn or restored NVS might. False if nothing older is there."""
    newest, older = banks(partition)
    if older[0] < 0:
        return False
    newest[2][:_HEAD] = b"\xff" * _HEAD
    return True
