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
    found = content_of(bank)
    return (counter, found) if _crc(counter, found) == crc else (-1, bank[:0])


def content_of(bank):
    """What follows the header, as long as that says."""
    return bank[_HEAD : _HEAD + struct.unpack(_HEADER, bytes(bank[:_HEAD]))[2]]


def banks(partition):
    """[(counter, body, bank)] newest first, of a memoryview of the partition."""
    half = len(partition) // 2
    both = []
    for bank in (partition[:half], partition[half:]):
        both.append(_read_bank(bank) + (bank,))
    return both if both[0][0] >= both[1][0] else [both[1], both[0]]


def _name(namespace: str, key: str, kind: int) -> bytes:
    n, k = namespace.encode(), key.encode()
    return bytes((len(n),)) + n + bytes((len(k),)) + k + bytes((kind,))


def _find(body, name: bytes):
    """(start, start of the value, end) of an entry; None where it is not there."""
    at, size = 0, len(body)
    while at < size:
        start = at
        at += 1 + body[at]
        at += 2 + body[at]
        value = at + 2
        at = value + (body[at] | body[at + 1] << 8)
        if value - start == len(name) + 2 and body[start : value - 2] == name:
            return start, value, at
    return None


def get(partition, namespace: str, key: str, kind: int):
    """The value as a view into the partition, or None."""
    body = banks(partition)[0][1]
    found = _find(body, _name(namespace, key, kind))
    return body[found[1] : found[2]] if found else None


def put(partition, namespace: str, key: str, kind: int, value) -> bool:
    """Writes one key (value None: without it). False where it does not fit; nothing is changed then."""
    (counter, body, _), (_, _, target) = banks(partition)
    name = _name(namespace, key, kind)
    new = b"" if value is None else name + struct.pack("<H", len(value)) + bytes(value)
    start, _, end = _find(body, name) or (len(body), 0, len(body))
    parts = (body[:start], body[end:], new)
    size = len(body) - (end - start) + len(new)
    if size > len(target) - _HEAD:
        return False
    target[:_HEAD] = b"\xff" * _HEAD  # whatever happens from here on, this bank does not count
    at = _HEAD
    for part in parts:
        target[at : at + len(part)] = part
        at += len(part)
    crc = _crc(counter + 1, target[_HEAD:at])
    target[:_HEAD] = struct.pack(_HEADER, _MAGIC, counter + 1, size, crc)
    return True


def restore(partition, body) -> None:
    """Makes `body`, the newest bank's at some earlier time, all that the partition holds."""
    partition[:] = b"\xff" * len(partition)
    partition[_HEAD : _HEAD + len(body)] = body
    partition[:_HEAD] = struct.pack(_HEADER, _MAGIC, 1, len(body), _crc(1, body))


def roll_back(partition) -> bool:
    """Forgets the newest write, as a worn or restored NVS might. False if nothing older is there."""
    newest, older = banks(partition)
    if older[0] < 0:
        return False
    newest[2][:_HEAD] = b"\xff" * _HEAD
    return True
