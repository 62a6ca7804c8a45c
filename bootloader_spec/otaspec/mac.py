"""Keys and inputs of the MACs between board and server (PROTOCOL.md section 2; RFC 2104)."""

import hashlib

SIZE = 32
_BLOCK = 64


def hmac(key: bytes, *parts) -> bytes:
    """HMAC-SHA256 (RFC 2104) over `parts` one after the other; MicroPython's hashlib has none."""
    if len(key) > _BLOCK:
        key = hashlib.sha256(key).digest()
    key = key + bytes(_BLOCK - len(key))
    inner = hashlib.sha256(bytes([b ^ 0x36 for b in key]))
    for part in parts:
        inner.update(part)
    outer = hashlib.sha256(bytes([b ^ 0x5C for b in key]))
    outer.update(inner.digest())
    return outer.digest()


def equal(a: bytes, b: bytes) -> bool:
    """Whether two MACs are the same, in a time that depends on their lengths only."""
    if len(a) != len(b):
        return False
    different = 0
    for i in range(len(a)):
        different |= a[i] ^ b[i]
    return different == 0


def login_key(ds: bytes) -> bytes:
    return hmac(ds, b"driblet login 1")


def poll_key(ds: bytes) -> bytes:
    return hmac(ds, b"driblet poll 1")


def wrap_key(ds: bytes) -> bytes:
    return hmac(ds, b"driblet wrap 1")


def register_key(ps: bytes) -> bytes:
    return hmac(ps, b"driblet register 1")


def over(key: bytes, items: tuple) -> bytes:
    """The MAC over a list of byte strings, each preceded by its length (uint16, big-endian)."""
    parts = []
    for item in items:
        parts.append(len(item).to_bytes(2, "big"))
        parts.append(item)
    return hmac(key, *parts)


def register(ps: bytes, pk: str, dn: str, server_nonce: str, device_nonce: bytes) -> bytes:
    """What a board shows to register: it knows the product secret."""
    return _handshake(register_key(ps), b"register", pk, dn, server_nonce, device_nonce)


def login(ds: bytes, pk: str, dn: str, server_nonce: str, device_nonce: bytes) -> bytes:
    """What a board shows to log in: it knows its device secret."""
    return _handshake(login_key(ds), b"login", pk, dn, server_nonce, device_nonce)


def answer(ds: bytes, pk: str, dn: str, device_nonce: bytes, body: bytes) -> bytes:
    """What the server shows with the answer to a poll: fresh, and by one who knows the device secret."""
    return over(poll_key(ds), (b"1", b"answer", pk.encode(), dn.encode(), device_nonce, body))


def _handshake(key: bytes, what: bytes, pk: str, dn: str, server_nonce: str, device_nonce: bytes) -> bytes:
    return over(key, (b"1", what, pk.encode(), dn.encode(), server_nonce.encode(), device_nonce))
