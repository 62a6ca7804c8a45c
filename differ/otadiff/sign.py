"""Signing keys. A signer is named by URI: `file:key.pem` (or just a path), plain or encrypted PEM.

Private keys are used through `cryptography`; every signature is verified by `ecdsa`, a second
implementation, before anything uses it: a fault in one of them is not published.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import ecdsa
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from otaboards.folders import build_folder, is_checkout
from otaspec import cose
from otaspec.errors import InputError, code, error

PASSWORD = "DRIBLET_KEY_PASSWORD"  # noqa: S105 - the name of the variable


class Signer:
    """A P-256 key that signs: `public` X || Y (64 bytes), `kid` (8 bytes), `sign`."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        if not isinstance(key.curve, ec.SECP256R1):
            raise _invalid(f"a key on {key.curve.name}, not P-256")
        self._key = key
        numbers = key.public_key().public_numbers()
        self.public = numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
        self.kid: bytes = cose.kid(self.public)

    def sign(self, data: bytes) -> bytes:
        """ES256 over `data`: r || s, 64 bytes, deterministic (RFC 6979)."""
        der = self._key.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        r, s = decode_dss_signature(der)
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        try:
            ecdsa.VerifyingKey.from_string(self.public, ecdsa.NIST256p).verify(
                signature, data, hashlib.sha256
            )
        except ecdsa.BadSignatureError as fault:
            raise error(code("SIGNATURE_WRONG"), "cryptography signed it, ecdsa refuses it") from fault
        return signature

    def public_pem(self) -> str:
        """The public key, for openssl and other tools."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def open_signer(uri: str, password: str | None = None) -> Signer:
    """The signer named by `uri`. The password of an encrypted key is `password`, or $DRIBLET_KEY_PASSWORD.

    Raises FILE_UNREADABLE, or KEY_INVALID for what is no P-256 private key or needs another password.
    """
    path, pem = _read(uri)
    secret = password or os.environ.get(PASSWORD)
    try:
        key = serialization.load_pem_private_key(pem, secret.encode() if secret else None)
    except TypeError:
        # `cryptography` says so: a password with a plain key, or none with an encrypted one.
        if not secret:
            raise _invalid(f"{path} is encrypted; set {PASSWORD}") from None
        key = serialization.load_pem_private_key(pem, None)
    except ValueError as fault:
        raise _invalid(f"{path}: {fault}") from fault
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise _invalid(f"{path} holds another kind of key than P-256")
    return Signer(key)


def open_public(uri: str) -> bytes:
    """X || Y of a key: 128 hex digits, or a PEM file with the public or the private key."""
    if len(uri) == 128 and not Path(uri).exists():
        try:
            return bytes.fromhex(uri)
        except ValueError:
            raise _invalid("128 characters that are no hex digits") from None
    path, pem = _read(uri)
    if b"PUBLIC KEY" not in pem:
        return open_signer(uri).public
    try:
        key = serialization.load_pem_public_key(pem)
    except ValueError as fault:
        raise _invalid(f"{path}: {fault}") from fault
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise _invalid(f"{path} holds another kind of key than P-256")
    form = serialization.PublicFormat.UncompressedPoint
    return key.public_bytes(serialization.Encoding.X962, form)[1:]


def _read(uri: str) -> tuple[Path, bytes]:
    scheme, _, rest = uri.partition(":")
    path = Path(rest if scheme == "file" else uri)
    if scheme != "file" and rest and not path.exists():
        raise _invalid(f"{scheme}: is no way to name a key; file: is")
    try:
        return path, path.read_bytes()
    except OSError as fault:
        raise InputError(code("FILE_UNREADABLE"), f"{path}: {fault.strerror}"[:120]) from fault


def new_key(path: Path, password: str | None = None) -> Signer:
    """Makes a key and writes it to `path`, which must not be there, readable by its owner only."""
    key = ec.generate_private_key(ec.SECP256R1())
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password.encode())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
    except OSError as fault:
        raise InputError(code("FILE_UNREADABLE"), f"{path}: {fault.strerror}"[:120]) from fault
    return Signer(key)


def development_key(say: Callable[[str], None]) -> Signer:
    """The key for trying things out: made at the first use, which `say` hears about. Not for a product."""
    if is_checkout():
        folder = build_folder("keys")
    else:
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config", "driblet")
    path = folder / "development.pem"
    if not path.exists():
        new_key(path)
        say(f"Made a development key: {path}. Name your own with --key.")
    return open_signer(str(path))


def _invalid(evidence: str) -> InputError:
    return InputError(code("KEY_INVALID"), evidence[:120])
