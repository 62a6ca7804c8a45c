"""MQTT 3.1.1 in the AliOS manner (PROTOCOL.md section 6): log-in, topics, packets that clients send."""

from binascii import hexlify

from .mac import hmac

TIMESTAMP = "2524608000000"  # Link Kit's constant: 2050-01-01 in ms
KEEP_ALIVE = 60  # s
PINGREQ = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"


def topic(kind: str, pk: str, dn: str) -> str:
    """`kind`: inform, progress (from the board) or upgrade (to it)."""
    return "/ota/device/%s/%s/%s" % (kind, pk, dn)


def client_id(pk: str, dn: str, secure: bool) -> str:
    mode = 2 if secure else 3
    return "%s.%s|securemode=%d,signmethod=hmacsha256,timestamp=%s|" % (pk, dn, mode, TIMESTAMP)


def username(pk: str, dn: str) -> str:
    return dn + "&" + pk


def password(ds: bytes, pk: str, dn: str, cid: str = "", timestamp: str = TIMESTAMP) -> str:
    """`ds`: device secret, 32 bytes; `cid`: the client id up to its first bar, {pk}.{dn} if empty."""
    text = "clientId%sdeviceName%sproductKey%stimestamp%s" % (cid or pk + "." + dn, dn, pk, timestamp)
    return hexlify(hmac(hexlify(ds), text.encode())).decode().upper()


def connect(ident: str, user: str, secret: str, keep_alive: int = KEEP_ALIVE) -> bytes:
    """CONNECT with a clean session and no will."""
    body = b"\x00\x04MQTT\x04\xc2" + keep_alive.to_bytes(2, "big")
    return _packet(0x10, body + _text(ident) + _text(user) + _text(secret))


def subscribe(packet_id: int, name: str, qos: int) -> bytes:
    return _packet(0x82, packet_id.to_bytes(2, "big") + _text(name) + bytes([qos]))


def publish(name: str, body: bytes, packet_id: int = 0) -> bytes:
    """With a `packet_id` QoS 1, else QoS 0."""
    if packet_id:
        return _packet(0x32, _text(name) + packet_id.to_bytes(2, "big") + body)
    return _packet(0x30, _text(name) + body)


def puback(packet_id: int) -> bytes:
    return _packet(0x40, packet_id.to_bytes(2, "big"))


def _text(text: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(2, "big") + raw


def _packet(kind: int, body: bytes) -> bytes:
    head, n = bytearray([kind]), len(body)
    while n > 127:
        head.append(n & 127 | 128)
        n >>= 7
    head.append(n)
    return bytes(head) + body
