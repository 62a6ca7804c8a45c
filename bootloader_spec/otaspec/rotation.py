"""From one key set to the next: the form of a signed set, and when it is accepted (PACKAGE.md section 5)."""

from . import cbor, cose
from .errors import const, error
from .keyset import Key, KeySet

_NEEDS_NEWER_AGENT = const(105)
_KEY_SET_INVALID = const(116)
_KEY_SET_ROLLBACK = const(117)

FORMAT = 1
MAX_KEYS = 16  # roots, signing keys, signatures: bounds what a board checks before it says no


def encode(keys: KeySet) -> bytes:
    """The payload that the roots sign."""
    rows = [{0: key.kid, 1: key.public, 2: key.product} for key in keys.keys]
    data = {0: FORMAT, 1: keys.version, 2: keys.threshold, 3: keys.roots, 4: rows, 5: keys.revoked}
    if keys.seq_floor is not None:
        data[6] = keys.seq_floor
    return cbor.encode(data)


def sign(payload: bytes, signers: list) -> bytes:
    """A signed set: `signers` are pairs (root public key, sign(bytes) -> r || s)."""
    signatures = []
    for public, do_sign in signers:
        header = cose.protected(cose.kid(public))
        signatures.append([header, do_sign(cose.to_be_signed(header, payload))])
    return cbor.encode([payload, signatures])


def step(current: KeySet, signed: bytes) -> KeySet:
    """The set that follows `current`; KEY_SET_INVALID, KEY_SET_ROLLBACK or CBOR_MALFORMED.

    Thresholds count unique keys, not signatures, of the old set first: nothing is decoded that the
    holders of today's trust did not sign.
    """
    payload, signatures = split(signed)
    _check_threshold(current, signatures)
    found = decode(payload)
    if found.version <= current.version:
        raise error(_KEY_SET_ROLLBACK, "%d after %d" % (found.version, current.version))
    if found.version != current.version + 1:
        _invalid("version %d after %d" % (found.version, current.version))
    _check_threshold(found, signatures)
    return found


def split(signed: bytes) -> tuple:
    """(payload, signatures) of a signed set; nothing is checked yet. CBOR_MALFORMED, KEY_SET_INVALID."""
    reader = cbor.Reader(signed)
    if len(signed) > cbor.MAX_BYTES or reader.expect(cbor.ARRAY) != 2:
        reader.refuse("not a key set")
    payload = reader.bstr()
    count = reader.expect(cbor.ARRAY)
    if count > MAX_KEYS:
        _invalid("%d signatures" % count)
    signatures = []
    for _ in range(count):
        if reader.expect(cbor.ARRAY) != 2:
            reader.refuse("not a signature")
        header = reader.bstr()
        signatures.append(cose.Signed(header, payload, reader.bstr()))
    reader.finish()
    return payload, signatures


def _check_threshold(keys: KeySet, signatures: list) -> None:
    left = {cose.kid(public): public for public in keys.roots}
    needed = keys.threshold
    for signature in signatures:
        public = left.pop(signature.kid, None)
        if public:
            signature.verify(public)
            needed -= 1
    if needed > 0:
        _invalid("%d signatures too few for set %d" % (needed, keys.version))


def decode(payload: bytes) -> KeySet:
    """The key set in a payload whose signatures were checked, or that was built into the firmware."""
    data = cbor.decode(payload)
    _check_map(data, 6, 1)
    if data[0] != FORMAT:
        raise error(_NEEDS_NEWER_AGENT, "key set format")
    version, threshold, roots, revoked = data[1], data[2], data[3], data[5]
    _check_keys(roots, 64)
    _check_keys(revoked, cose.KID_SIZE)
    if type(version) is not int or type(threshold) is not int or version < 1:
        _invalid("version or threshold")
    if not 1 <= threshold <= len(roots):
        _invalid("threshold %d of %d roots" % (threshold, len(roots)))
    if type(data[4]) is not list:
        _invalid("keys")
    keys = [_key(item) for item in data[4]]
    _check_keys([key.public for key in keys], 64)
    found = KeySet(keys, revoked, roots, threshold, version)
    found.seq_floor = data.get(6)
    if 6 in data and (type(data[6]) is not int or not 0 <= data[6] < 1 << 31):
        _invalid("seq floor")
    return found


def _key(item: object) -> Key:
    _check_map(item, 3)
    if type(item[1]) is not bytes or type(item[2]) is not str:
        _invalid("a key has the wrong type")
    key = Key(item[1], item[2])
    if key.kid != item[0]:
        _invalid("a key has another's id")
    return key


def _check_map(data: object, keys: int, more: int = 0) -> None:
    """A map with the keys 0..keys-1, perhaps `more`; later ones need a newer agent, below 0 is ignored."""
    if type(data) is not dict:
        _invalid("not a map")
    if [key for key in data if key >= keys + more]:
        raise error(_NEEDS_NEWER_AGENT, "key set")
    if [key for key in range(keys) if key not in data]:
        _invalid("a field is missing")


def _check_keys(items: object, size: int) -> None:
    """At most MAX_KEYS byte strings of `size`, none twice."""
    if type(items) is not list or len(items) > MAX_KEYS:
        _invalid("a list of at most %d keys" % MAX_KEYS)
    for i, item in enumerate(items):
        if type(item) is not bytes or len(item) != size or item in items[:i]:
            _invalid("a key of the wrong size, or twice")


def _invalid(why: str) -> None:
    raise error(_KEY_SET_INVALID, why)
