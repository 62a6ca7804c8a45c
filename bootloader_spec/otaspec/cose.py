"""COSE_Sign1 with ES256, in the one shape that a package has (PACKAGE.md section 2; RFC 9052 section 4.2).

Before a signature is checked nothing but this fixed shape is read: no general decoder runs over bytes
that nobody vouches for.
"""

import hashlib

from . import cbor, p256
from .errors import const, error

_SIGNATURE_WRONG = const(102)

KID_SIZE = 8
SIGNATURE_SIZE = 64
SIGN1 = 18  # CBOR tag of COSE_Sign1

_HEADER = b"\xa2\x01\x26\x04\x48"  # {1: -7 (ES256), 4: kid of 8 bytes}
_CONTEXT = b"\x84\x6aSignature1"  # the array ["Signature1", protected, h'', payload] opens so


def kid(public: bytes) -> bytes:
    """Key id: the first 8 bytes of SHA-256 over the public key X || Y (64 bytes)."""
    return hashlib.sha256(public).digest()[:KID_SIZE]


def protected(kid: bytes) -> bytes:
    """The protected header of a signature by the key `kid`."""
    return _HEADER + kid


def _before(protected: bytes, payload: bytes) -> bytes:
    """What stands before the payload in the signed structure."""
    head = cbor.head(cbor.BSTR, len(protected))
    return _CONTEXT + head + bytes(protected) + b"\x40" + cbor.head(cbor.BSTR, len(payload))


def to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """The Sig_structure (RFC 9052 section 4.4) whose SHA-256 is signed."""
    return _before(protected, payload) + payload


def digest(protected: bytes, payload: bytes) -> bytes:
    """SHA-256 of the Sig_structure, without a copy of the payload."""
    state = hashlib.sha256(_before(protected, payload))
    state.update(payload)
    return state.digest()


def sign1(payload: bytes, kid: bytes, sign: object) -> bytes:
    """The signed envelope. `sign(bytes) -> r || s` gets the Sig_structure and does the SHA-256 itself."""
    header = protected(kid)
    signature = sign(to_be_signed(header, payload))
    return cbor.encode(cbor.Tag(SIGN1, [header, {}, payload, signature]))


class Signed:
    """A signature and what it covers: `kid`, `payload`, `signature` (memoryviews), `digest` (32 bytes)."""

    def __init__(self, header: bytes, payload: bytes, signature: bytes) -> None:
        if bytes(header[:-KID_SIZE]) != _HEADER:
            raise error(_SIGNATURE_WRONG, "protected header is not {alg: ES256, kid: 8 bytes}")
        if len(signature) != SIGNATURE_SIZE:
            raise error(_SIGNATURE_WRONG, "not 64 bytes")
        self.kid = bytes(header[-KID_SIZE:])
        self.payload = payload
        self.signature = signature
        self.digest = digest(header, payload)

    def verify(self, public: bytes, table: object = None) -> None:
        """SIGNATURE_WRONG unless the holder of `public` signed this."""
        for _ in self.steps(public, table):
            pass

    def steps(self, public: bytes, table: object = None) -> object:
        """As verify, in small steps."""
        for found in p256.steps(public, self.digest, self.signature, table):
            yield None
        if not found:
            raise error(_SIGNATURE_WRONG)


def split(data: bytes) -> Signed:
    """Takes an envelope apart; CBOR_MALFORMED if it is no COSE_Sign1 of our one shape."""
    reader = cbor.Reader(data)
    if reader.expect(cbor.TAG) != SIGN1 or reader.expect(cbor.ARRAY) != 4:
        reader.refuse("not a COSE_Sign1")
    header = reader.bstr()
    if reader.expect(cbor.MAP):
        reader.refuse("unprotected header is not empty")
    payload = reader.bstr()
    signature = reader.bstr()
    reader.finish()
    return Signed(header, payload, signature)
