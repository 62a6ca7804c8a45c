"""Makes the golden vectors with other people's libraries: cbor2, cryptography, ecdsa, hmac, amqtt.

Nothing of otaspec is imported here, so the vectors say what the pages say and not what our code does.
`python make.py` rewrites the files; a test holds them equal to what this makes.
"""

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import cbor2
from amqtt.mqtt.connect import ConnectPacket, ConnectPayload, ConnectVariableHeader
from amqtt.mqtt.puback import PubackPacket
from amqtt.mqtt.publish import PublishPacket
from amqtt.mqtt.subscribe import SubscribePacket
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from ecdsa import NIST256p, numbertheory
from ecdsa.ellipticcurve import INFINITY, Point

FOLDER = Path(__file__).parent
P = NIST256p.curve.p()
N = NIST256p.order
G = Point(NIST256p.curve, NIST256p.generator.x(), NIST256p.generator.y(), N)

Row = dict[str, Any]


class Private:
    """A key from a small number, so that the vectors never change."""

    def __init__(self, number: int) -> None:
        self.key = ec.derive_private_key(number, ec.SECP256R1())
        public = self.key.public_key().public_numbers()
        self.public = public.x.to_bytes(32, "big") + public.y.to_bytes(32, "big")
        self.kid = hashlib.sha256(self.public).digest()[:8]

    def sign(self, data: bytes) -> bytes:
        der = self.key.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        r, s = decode_dss_signature(der)
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def cbor(value: Any) -> bytes:
    """Deterministic CBOR: cbor2 writes the shortest forms, the order of keys is bytewise."""
    return cbor2.dumps(_ordered(value))


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _ordered(value[k]) for k in sorted(value, key=cbor2.dumps)}
    if isinstance(value, list):
        return [_ordered(item) for item in value]
    return value


def sign1(payload: bytes, key: Private) -> bytes:
    protected = cbor({1: -7, 4: key.kid})
    signature = key.sign(cbor(["Signature1", protected, b"", payload]))
    return cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature]))


def key_set(payload: bytes, keys: list[Private]) -> bytes:
    signatures = []
    for key in keys:
        protected = cbor({1: -7, 4: key.kid})
        signatures.append([protected, key.sign(cbor(["Signature1", protected, b"", payload]))])
    return cbor([payload, signatures])


# --- cbor.json ------------------------------------------------------------------------------------


def as_json(value: Any) -> Any:
    """Bytes, maps and tags in a form that JSON holds."""
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, dict):
        return {"map": [[k, as_json(v)] for k, v in _ordered(value).items()]}
    if isinstance(value, cbor2.CBORTag):
        return {"tag": value.tag, "value": as_json(value.value)}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    return value


ACCEPT: list[Any] = [
    *(0, 1, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**53 - 1),
    *(-1, -24, -25, -256, -257, -65536, -65537, -(2**32), -(2**32) - 1, -(2**53) + 1),
    *(b"", b"\0", bytes(23), bytes(24), bytes(255), bytes(256), bytes(8189)),
    *("", "a", "é", "水", "😀", "a" * 23, "a" * 24, "\u007f\u0080\u07ff\u0800\uffff\U00010000\U0010ffff"),
    *([], [1, [2, [3]]], list(range(24)), [True, False]),
    *({}, {0: 1, 23: 2, 24: 3, 256: 4, -1: 5, -25: 6}, {1: {2: {3: b"x"}}}),
    *(cbor2.CBORTag(18, [b"", {}, b"", b""]), cbor2.CBORTag(0, "a"), cbor2.CBORTag(65536, 1)),
]
REFUSE = [
    ("", "nothing"),
    ("1800", "0 in two bytes"),
    ("1817", "23 in two bytes"),
    ("1900ff", "255 in three bytes"),
    ("1a0000ffff", "65535 in five bytes"),
    ("1b00000000ffffffff", "2^32 - 1 in nine bytes"),
    ("1b0020000000000000", "2^53"),
    ("1bffffffffffffffff", "2^64 - 1"),
    ("3b001fffffffffffff", "-(2^53)"),
    ("3817", "-24 in two bytes"),
    ("18", "argument missing"),
    ("1a000100", "argument cut short"),
    ("1c", "reserved argument 28"),
    ("1d", "reserved argument 29"),
    ("1e", "reserved argument 30"),
    ("1f", "indefinite integer"),
    ("41", "byte string cut short"),
    ("4200", "byte string cut short by one"),
    ("5801ff", "length 1 in two bytes"),
    ("5f4100ff", "indefinite byte string"),
    ("7f6161ff", "indefinite text"),
    ("9f01ff", "indefinite array"),
    ("bf0101ff", "indefinite map"),
    ("ff", "break on its own"),
    ("5b001fffffffffffff00", "byte string of 2^53 - 1 bytes"),
    ("5a0001000000", "byte string longer than what is there"),
    ("9a0001000000", "array longer than what is there"),
    ("ba0000800000", "map longer than what is there"),
    ("9b001fffffffffffff", "array of 2^53 - 1 items"),
    ("81", "array cut short"),
    ("a1", "map without a key"),
    ("a101", "map without a value"),
    ("a201010101", "the same key twice"),
    ("a202010101", "keys out of order"),
    ("a220011818 02".replace(" ", ""), "keys in order of length, not bytewise"),
    ("a1616101", "text as a key"),
    ("a1410001", "bytes as a key"),
    ("a1f501", "true as a key"),
    ("a1f401", "false as a key"),
    ("a1800001", "array as a key"),
    ("f6", "null"),
    ("f7", "undefined"),
    ("e0", "simple value 0"),
    ("f820", "simple value 32"),
    ("f814", "false in two bytes"),
    ("f90000", "half float"),
    ("fa00000000", "float"),
    ("fb0000000000000000", "double"),
    ("fc", "reserved simple value"),
    ("8181818100", "depth 5, arrays"),
    ("a100a100a100a10000", "depth 5, maps"),
    ("d2d2d2d200", "depth 5, tags"),
    ("0000", "trailing byte"),
    ("8000", "trailing byte after an array"),
    ("61ff", "not UTF-8"),
    ("6180", "continuation byte alone"),
    ("61c3", "sequence cut short"),
    ("62c328", "bad continuation"),
    ("62c080", "overlong zero"),
    ("62c1bf", "overlong 0x7f"),
    ("63e0809f", "overlong three bytes"),
    ("63eda080", "surrogate"),
    ("64f0808080", "overlong four bytes"),
    ("64f4908080", "above 10FFFF"),
    ("65f888808080", "five bytes"),
    ("591ffe" + "00" * 8190, "8193 bytes"),
]


def cbor_vectors() -> Row:
    accept = [{"hex": cbor(value).hex(), "value": as_json(value)} for value in ACCEPT]
    return {"accept": accept, "refuse": [{"hex": text, "why": why} for text, why in REFUSE]}


# --- p256.json ------------------------------------------------------------------------------------


def xy(point: Point) -> bytes:
    return point.x().to_bytes(32, "big") + point.y().to_bytes(32, "big")


def b32(number: int) -> bytes:
    return number.to_bytes(32, "big")


def curve_point(x: int) -> Point:
    """The next point at or after x."""
    while True:
        try:
            square = (x * x * x - 3 * x + NIST256p.curve.b()) % P
            return Point(NIST256p.curve, x, numbertheory.square_root_mod_prime(square, P), N)
        except numbertheory.SquareRootError:
            x += 1


def with_scalars(q: Point, u1: int, u2: int) -> tuple[bytes, bytes]:
    """(digest, signature) by `q` whose check computes u1 G + u2 Q: no private key is needed."""
    total = G * u1 + q * u2
    r = total.x() % N
    s = r * pow(u2, -1, N) % N
    return b32(u1 * s % N), b32(r) + b32(s)


def with_nonce_point(big_r: Point, digest: int) -> tuple[bytes, bytes]:
    """(public, signature) whose check ends at the point R, for an R with an unusual x."""
    r = big_r.x() % N
    q = (big_r * 12345 + G * (-digest % N)) * pow(r, -1, N)
    return xy(q), b32(r) + b32(12345)


def p256_vectors() -> list[Row]:
    rows: list[Row] = []

    def add(why: str, public: bytes, digest: bytes, signature: bytes, ok: bool) -> None:
        row = {"public": public.hex(), "digest": digest.hex(), "signature": signature.hex()}
        rows.append({"why": why, **row, "ok": ok})

    key = Private(0xD21B)
    message = hashlib.sha256(b"driblet").digest()
    good = key.sign(b"driblet")
    r, s = int.from_bytes(good[:32], "big"), int.from_bytes(good[32:], "big")
    add("a plain signature", key.public, message, good, True)
    add("s and N - s are both right", key.public, message, b32(r) + b32(N - s), True)
    for why, rr, ss in (
        *(("r = 0", 0, s), ("s = 0", r, 0), ("both 0", 0, 0), ("r = N", N, s), ("s = N", r, N)),
        *(("r + N where it fits not", (r + N) % 2**256, s), ("s + N", r, (s + N) % 2**256)),
        *(("r = N - 1", N - 1, s), ("s = N - 1", r, N - 1), ("r = 1", 1, s), ("s = 1", r, 1)),
        *(("r = P", P, s), ("all ones", 2**256 - 1, 2**256 - 1), ("swapped", s, r), ("-r", N - r, s)),
    ):
        add(why, key.public, message, b32(rr) + b32(ss), False)
    for bit in (0, 7, 255):
        add("a bit of the digest", key.public, b32(int.from_bytes(message, "big") ^ 1 << bit), good, False)
        add("a bit of s", key.public, message, b32(r) + b32(s ^ 1 << bit), False)
        off = b32(int.from_bytes(key.public[:32], "big") ^ 1 << bit) + key.public[32:]
        add("a bit of the key: off the curve", off, message, good, False)
    add("another key", Private(2).public, message, good, False)
    add(
        "negated key", key.public[:32] + b32(P - int.from_bytes(key.public[32:], "big")), message, good, False
    )
    add("key (0, 0)", bytes(64), message, good, False)
    zero_x = curve_point(0)
    add("key x = 0 written as P", b32(P) + b32(zero_x.y()), message, good, False)
    add("key y above P", b32(5) + b32(2**256 - 1), message, good, False)
    add("short signature", key.public, message, good[:63], False)
    add("long signature", key.public, message, good + b"\0", False)
    add("short digest", key.public, message[:31], good, False)
    add("short key", key.public[:63], message, good, False)

    # Scalars and keys at which an addition meets its own point, its negative, or nothing.
    keys = (
        *(("Q = G", G), ("Q = -G", G * (N - 1)), ("Q = 2G", G * 2), ("Q = G/2", G * pow(2, -1, N))),
        *(("Q = 2^52 G", G * 2**52), ("Q = -2^52 G", G * (N - 2**52)), ("Q with x = 0", zero_x)),
    )
    scalars = (1, 2, 2**52, 2**52 + 1, 2**255, N - 1, N - 2, (N + 1) // 2)
    for name, q in keys:
        for u1, u2 in zip(scalars, (*scalars[1:], 1), strict=True):
            for v1, v2 in ((u1, u2), (u1, u1)):
                if G * v1 + q * v2 == INFINITY:
                    continue
                digest, signature = with_scalars(q, v1, v2)
                add(
                    f"{name}, u1 = {v1:x}, u2 = {v2:x}", xy(q), digest, signature, signature[:32] != bytes(32)
                )
    for name, d in (("Q = G", 1), ("Q = -G", N - 1), ("Q = 5G", 5)):
        # e + r d = 0: the sum is the point at infinity, whatever s is.
        add(f"{name}, sum at infinity", xy(G * d), b32(-r * d % N), b32(r) + b32(s), False)
    add("digest 0", *_by_scalars(curve_point(7), 0, 99))
    digest, signature = with_scalars(curve_point(7), 0, 99)
    add("digest N is digest 0", xy(curve_point(7)), b32(N), signature, True)
    add("digest all ones", key.public, b"\xff" * 32, _sign_digest(0xD21B, 2**256 - 1), True)

    high = curve_point(N + 2**64)  # N <= x < P: r = x - N, and x is found by the second comparison
    public, signature = with_nonce_point(high, int.from_bytes(message, "big"))
    add("x(R) between N and P", public, message, signature, True)
    low = curve_point(2**64)  # x < P - N: r + N is below P too, and is not x
    public, signature = with_nonce_point(low, int.from_bytes(message, "big"))
    add("x(R) below P - N", public, message, signature, True)
    edge = curve_point(P - N)  # r + N would be P or more: must not be tried modulo P
    public, signature = with_nonce_point(edge, int.from_bytes(message, "big"))
    add("x(R) at P - N", public, message, signature, True)
    small = curve_point(1)
    public, signature = with_nonce_point(small, int.from_bytes(message, "big"))
    wrapped = b32((small.x() + P - N) % P) + signature[32:]
    add("r + N = x(R) + P", public, message, wrapped, False)
    return rows


def _by_scalars(q: Point, u1: int, u2: int) -> tuple[bytes, bytes, bytes, bool]:
    return xy(q), *with_scalars(q, u1, u2), True


def _sign_digest(d: int, digest: int) -> bytes:
    k = 0x1234567
    r = (G * k).x() % N
    return b32(r) + b32(pow(k, -1, N) * (digest + r * d) % N)


# --- mac.json -------------------------------------------------------------------------------------


def mac(key: bytes, items: list[bytes]) -> bytes:
    data = b"".join(len(item).to_bytes(2, "big") + item for item in items)
    return hmac.digest(key, data, "sha256")


def mac_vectors() -> Row:
    secret = bytes(range(32))
    pk, dn, device_nonce, body = "pk-1", "board_0.7", bytes(range(16)), b'{"time":1,"update":null}'
    nonce = "AbC-123_" * 16
    keys = {}
    for name in ("login", "poll", "wrap", "register"):
        keys[name] = hmac.digest(secret, f"driblet {name} 1".encode(), "sha256")

    def handshake(what: str) -> str:
        items = [b"1", what.encode(), pk.encode(), dn.encode(), nonce.encode(), device_nonce]
        return mac(keys[what], items).hex()

    plain = []
    for key, data in ((b"", b""), (b"k" * 64, b"d"), (b"k" * 65, b"d" * 200), (secret, bytes(55))):
        plain.append({"key": key.hex(), "data": data.hex(), "mac": hmac.digest(key, data, "sha256").hex()})
    answer = [b"1", b"answer", pk.encode(), dn.encode(), device_nonce, body]
    return {
        "hmac": plain,
        "secret": secret.hex(),
        "keys": {name: key.hex() for name, key in keys.items()},
        "pk": pk,
        "dn": dn,
        "server_nonce": nonce,
        "device_nonce": device_nonce.hex(),
        "body": body.hex(),
        "register": handshake("register"),
        "login": handshake("login"),
        "answer": mac(keys["poll"], answer).hex(),
    }


# --- mqtt.json ------------------------------------------------------------------------------------


def mqtt_vectors() -> Row:
    log_in = []
    for pk, dn, ds, secure in (
        ("a1X2bEnP82z", "kitchen", bytes(range(32)), True),
        ("thermostat", "board_0.7-x", b"\xff" * 32, False),
        ("p" * 64, "d" * 64, hashlib.sha256(b"longest").digest(), True),
    ):
        cid = f"{pk}.{dn}"
        text = f"clientId{cid}deviceName{dn}productKey{pk}timestamp2524608000000"
        row = {"pk": pk, "dn": dn, "ds": ds.hex(), "secure": secure}
        mode = 2 if secure else 3
        row["client_id"] = f"{cid}|securemode={mode},signmethod=hmacsha256,timestamp=2524608000000|"
        row["username"] = f"{dn}&{pk}"
        row["password"] = hmac.digest(ds.hex().encode(), text.encode(), "sha256").hex().upper()
        names = ConnectPayload(row["client_id"], username=row["username"], password=row["password"])
        row["connect"] = ConnectPacket(None, ConnectVariableHeader(0xC2, 60), names).to_bytes().hex()
        log_in.append(row)
    other = {"cid": "12345", "timestamp": "789"}
    text = "clientId12345deviceNamekitchenproductKeya1X2bEnP82ztimestamp789"
    other["password"] = hmac.digest(log_in[0]["ds"].encode(), text.encode(), "sha256").hex().upper()
    topic, body = "/ota/device/upgrade/pk-1/board_0.7", b'{"id":"1"}'
    packets = [{"call": "subscribe", "id": 7, "qos": 1, "packet": SubscribePacket.build([(topic, 1)], 7)}]
    for number, size in ((0, 10), (9, 10), (0, 127), (65535, 300)):
        made = PublishPacket.build(topic, body.ljust(size), number or None, False, int(number > 0), False)
        packets.append({"call": "publish", "id": number, "size": size, "packet": made})
    packets.append({"call": "puback", "id": 513, "packet": PubackPacket.build(513)})
    for row in packets:
        row["packet"] = row["packet"].to_bytes().hex()
    return {"log_in": log_in, "other": other, "topic": topic, "body": body.hex(), "packets": packets}


# --- manifest.json --------------------------------------------------------------------------------

IMAGE = hashlib.sha256(b"image").digest()
BASE = hashlib.sha256(b"base").digest()
PAYLOAD = hashlib.sha256(b"payload").digest()
HEAD = bytes(range(32))


def patch_manifest() -> dict[int, Any]:
    payload = {0: 1900, 1: PAYLOAD, 2: 2, 3: {0: 1, 1: 12, 2: 6}, 4: 14336}
    image, base = {0: 1753328, 1: IMAGE}, {0: 1752960, 1: BASE}
    texts = {2: "thermostat", 3: "ESP32_4M", 5: "1.1.0"}
    return {0: 1, 1: 42, **texts, 4: 0, 6: image, 7: payload, 8: base}


COMPONENT = {0: 1, 1: "app", 2: 300, 3: HEAD, -1: "ignored"}


def bundle_manifest() -> dict[int, Any]:
    """Nothing but another bundle for the image that runs."""
    payload = {0: 0, 1: hashlib.sha256(b"").digest(), 2: 4, 3: {}, 4: 0}
    data = patch_manifest() | {7: payload, 12: [dict(COMPONENT)]}
    del data[8]
    return data


def plain_manifest() -> dict[int, Any]:
    payload = {0: 40000 - 32, 1: PAYLOAD, 2: 0, 3: {}, 4: 0, 5: 4096, 6: PAYLOAD * 10, 7: HEAD}
    texts = {2: "p", 3: "LINUX_HOST", 5: "2026-11 “blue”"}
    rest = {9: 3, 10: 1, 11: 1893456000, 12: [], 14: BASE, 15: "board-7", -1: "ignored", -9: [{-5: b"x"}]}
    return {0: 1, 1: 2**31 - 1, **texts, 4: 0xFFFF, 6: {0: 40000, 1: IMAGE}, 7: payload, **rest}


def fields(data: dict[int, Any]) -> Row:
    """What a decoder must find; absent fields are left out."""
    payload, image, base = data[7], data[6], data.get(8)
    row: Row = {"seq": data[1], "product": data[2], "board": data[3], "chip": data[4], "version": data[5]}
    row |= {"image_size": image[0], "image_sha256": image[1].hex(), "payload_size": payload[0]}
    row |= {"payload_sha256": payload[1].hex(), "payload_codec": payload[2], "payload_ram": payload[4]}
    row |= {"payload_params": [[k, v] for k, v in payload[3].items()]}
    if base:
        row |= {"base_size": base[0], "base_sha256": base[1].hex()}
    names = {9: "secure_version", 10: "min_agent", 11: "not_after", 14: "sbom", 15: "device"}
    found = {name: data[key] for key, name in names.items() if key in data}
    for component in data.get(12, ()):
        names = {0: "bundle_kind", 1: "bundle_name", 2: "bundle_size", 3: "bundle_sha256"}
        found |= {name: component[key] for key, name in names.items()}
    names = {5: "payload_chunk_size", 6: "payload_chunks", 7: "payload_head"}
    found |= {name: payload[key] for key, name in names.items() if key in payload}
    return row | {name: v.hex() if isinstance(v, bytes) else v for name, v in found.items()}


# (why, error, path of keys, value or DROP)
DROP = object()
INVALID, NEWER, MALFORMED = "MANIFEST_INVALID", "NEEDS_NEWER_AGENT", "CBOR_MALFORMED"
CHANGES: list[tuple[str, str, tuple[int, ...], Any]] = [
    ("format 0", INVALID, (0,), 0),
    ("format 2", NEWER, (0,), 2),
    ("format as text", INVALID, (0,), "1"),
    ("format true", INVALID, (0,), True),
    *((f"key {k} missing", INVALID, (k,), DROP) for k in range(8)),
    *((f"key 7.{k} missing", INVALID, (7, k), DROP) for k in range(5)),
    *((f"key 6.{k} missing", INVALID, (6, k), DROP) for k in range(2)),
    *((f"key 8.{k} missing", INVALID, (8, k), DROP) for k in range(2)),
    ("seq 0", INVALID, (1,), 0),
    ("seq 2^31", INVALID, (1,), 2**31),
    ("seq negative", INVALID, (1,), -1),
    ("product empty", INVALID, (2,), ""),
    ("product of 65 bytes", INVALID, (2,), "é" * 32 + "a"),
    ("board as bytes", INVALID, (3,), b"ESP32"),
    ("chip 65536", INVALID, (4,), 65536),
    ("version of 65 bytes", INVALID, (5,), "1" * 65),
    ("image as array", INVALID, (6,), [1, IMAGE]),
    ("image size 0", INVALID, (6, 0), 0),
    ("image size 2^28 + 1", INVALID, (6, 0), 2**28 + 1),
    ("image hash of 31 bytes", INVALID, (6, 1), IMAGE[:31]),
    ("payload as bytes", INVALID, (7,), b""),
    ("payload size 0", INVALID, (7, 0), 0),
    ("codec negative", INVALID, (7, 2), -1),
    ("params as array", INVALID, (7, 3), [12]),
    ("params of 17", INVALID, (7, 3), dict.fromkeys(range(17), 0)),
    ("params with a negative value", INVALID, (7, 3), {0: -1}),
    ("params with a negative key", INVALID, (7, 3), {-1: 1}),
    ("params with a text", INVALID, (7, 3), {0: "12"}),
    ("params with a map", INVALID, (7, 3), {0: {}}),
    ("ram 2^31", INVALID, (7, 4), 2**31),
    ("chunk size without chunks", INVALID, (7, 5), 4096),
    ("chunks of 16384 bytes", INVALID, (7, 5), 16384),
    ("chunks without chunk size", INVALID, (7, 6), PAYLOAD),
    ("head with a patch", INVALID, (7, 7), HEAD),
    ("patch without a base", INVALID, (8,), DROP),
    ("image without a head", INVALID, (7, 2), 0),
    ("base with a compressed image", INVALID, (7, 2), 1),
    ("secure_version as text", INVALID, (9,), "1"),
    ("not_after 0", INVALID, (11,), 0),
    ("components as a map", INVALID, (12,), {}),
    ("two components", NEWER, (12,), [COMPONENT, COMPONENT]),
    ("a component of kind 2", NEWER, (12, 0, 0), 2),
    ("a component with a key 4", NEWER, (12, 0, 4), 1),
    ("component as a number", INVALID, (12,), [1]),
    ("component kind 0", INVALID, (12, 0, 0), 0),
    ("component name empty", INVALID, (12, 0, 1), ""),
    ("component size 0", INVALID, (12, 0, 2), 0),
    ("component size 2^22 + 1", INVALID, (12, 0, 2), 2**22 + 1),
    ("component hash of 20 bytes", INVALID, (12, 0, 3), bytes(20)),
    *((f"component key {k} missing", INVALID, (12, 0, k), DROP) for k in range(4)),
    ("encrypted", NEWER, (13,), {0: 1}),
    ("encrypted, empty", NEWER, (13,), {}),
    ("sbom of 20 bytes", INVALID, (14,), bytes(20)),
    ("device empty", INVALID, (15,), ""),
    ("key 16", NEWER, (16,), 1),
    ("key 2^53 - 1", NEWER, (2**53 - 1,), 1),
    ("key 6.2", NEWER, (6, 2), 1),
    ("key 7.8", NEWER, (7, 8), b""),
    ("key 8.2", NEWER, (8, 2), 1),
]


def changed(path: tuple[int, ...], value: Any) -> bytes:
    data = bundle_manifest() if path[:2] == (12, 0) else patch_manifest()
    at = data
    for key in path[:-1]:
        at = at[key]
    if value is DROP:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return cbor(data)


def manifest_vectors() -> Row:
    key = Private(0xD21B)
    accept, packages = [], []
    for data in (patch_manifest(), plain_manifest(), bundle_manifest()):
        payload = cbor(data)
        accept.append({"payload": payload.hex(), "fields": fields(data)})
        signed = sign1(payload, key)
        head = b"DRB1" + len(signed).to_bytes(4, "little") + signed
        digest = hashlib.sha256(cbor(["Signature1", cbor({1: -7, 4: key.kid}), b"", payload])).digest()
        packages.append({"head": head.hex(), "digest": digest.hex(), "fields": fields(data)})
    refuse = [
        {"why": why, "error": name, "payload": changed(path, value).hex()}
        for why, name, path, value in CHANGES
    ]
    for why, name, payload in (
        ("an array", INVALID, cbor([1])),
        ("a number", INVALID, cbor(1)),
        ("an empty map", INVALID, cbor({})),
        ("nothing", MALFORMED, b""),
        ("null as a value", MALFORMED, bytes.fromhex("a100f6")),
        ("text as a key", MALFORMED, bytes.fromhex("a1616101")),
    ):
        refuse.append({"why": why, "error": name, "payload": payload.hex()})
    return {"public": key.public.hex(), "accept": accept, "refuse": refuse, "packages": packages}


# --- keyset.json ----------------------------------------------------------------------------------


def key_set_vectors() -> Row:
    roots = [Private(100 + n) for n in range(4)]
    signing = [Private(200 + n) for n in range(3)]

    def payload(version: int, threshold: int, of: list[Private], **change: Any) -> bytes:
        keys = [{0: k.kid, 1: k.public, 2: ""} for k in signing[:2]]
        keys[1][2] = "thermostat"
        data = {0: 1, 1: version, 2: threshold, 3: [r.public for r in of], 4: keys, 5: [signing[2].kid]}
        return cbor(data | {int(name[1:]): value for name, value in change.items()})

    a, b, c, d = roots
    first = payload(1, 2, [a, b, c])
    same, turned, last = payload(2, 2, [a, b, c]), payload(2, 2, [b, c, d]), payload(2, 1, [d])
    steps = []

    def add(why: str, name: str, data: bytes, signers: list[Private]) -> None:
        steps.append({"why": why, "error": name, "signed": key_set(data, signers).hex()})

    add("two of three", "", same, [a, c])
    add("three of three", "", same, [c, b, a])
    add("a root replaced, two of each set", "", turned, [b, c])
    add("a root replaced, the new one signs too", "", turned, [a, b, d])
    add("a negative key is ignored", "", payload(2, 2, [a, b, c], **{"_-1": "x"}), [a, b])
    invalid, rollback = "KEY_SET_INVALID", "KEY_SET_ROLLBACK"
    add("one of three", invalid, same, [a])
    add("the same root twice", invalid, same, [a, a])
    add("no signature", invalid, same, [])
    add("not enough of the old set", invalid, turned, [a, d])
    add("not enough of the new set", invalid, last, [a, b])
    add("signed by a signing key", invalid, same, [signing[0], signing[1]])
    add("version 1 again", rollback, first, [a, b])
    add("version 3", invalid, payload(3, 2, [a, b, c]), [a, b])
    add("threshold 0", invalid, payload(2, 0, [a, b, c]), [a, b])
    add("threshold above the roots", invalid, payload(2, 4, [a, b, c]), [a, b, c])
    add("a root twice", invalid, payload(2, 2, [a, a, b]), [a, b])
    add("a root of 63 bytes", invalid, payload(2, 1, [a], _3=[a.public[:63]]), [a, b])
    add("17 roots", invalid, payload(2, 2, [a, b] + [Private(n) for n in range(1, 16)]), [a, b])
    add("another's key id", invalid, payload(2, 2, [a, b], _4=[{0: bytes(8), 1: a.public, 2: ""}]), [a, b])
    add("keys as a map", invalid, payload(2, 2, [a, b], _4={}), [a, b])
    add("a key is a number", invalid, payload(2, 2, [a, b], _4=[7]), [a, b])
    add("a revoked id of 7 bytes", invalid, payload(2, 2, [a, b], _5=[bytes(7)]), [a, b])
    add("version as text", invalid, payload(2, 2, [a, b], _1="2"), [a, b])
    add("a seq floor", "", payload(2, 2, [a, b, c], _6=40), [a, b])
    add("a seq floor of 2^31", invalid, payload(2, 2, [a, b, c], _6=1 << 31), [a, b])
    add("a seq floor as text", invalid, payload(2, 2, [a, b, c], _6="4"), [a, b])
    add("an unknown key", "NEEDS_NEWER_AGENT", payload(2, 2, [a, b], _7=1), [a, b])
    add("format 2", "NEEDS_NEWER_AGENT", payload(2, 2, [a, b], _0=2), [a, b])
    wrong = bytearray(key_set(same, [a, b]))
    wrong[-1] ^= 1
    steps.append({"why": "a bit of a signature", "error": "SIGNATURE_WRONG", "signed": wrong.hex()})
    find = [[signing[0].kid.hex(), ""], [signing[2].kid.hex(), "KEY_REVOKED"], ["00" * 8, "KEY_UNKNOWN"]]
    return {"first": first.hex(), "steps": steps, "find": find}


MAKERS = {
    "cbor": cbor_vectors,
    "keyset": key_set_vectors,
    "mac": mac_vectors,
    "manifest": manifest_vectors,
    "mqtt": mqtt_vectors,
    "p256": p256_vectors,
}


def text(name: str) -> str:
    return json.dumps(MAKERS[name](), indent=0, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name in MAKERS:
        (FOLDER / f"{name}.json").write_text(text(name), encoding="utf-8")
