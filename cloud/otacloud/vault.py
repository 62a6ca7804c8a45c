"""The service's master key: seals secrets at rest and gives one key per purpose."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12


class SealBroken(Exception):  # noqa: N818 - names what was found
    """Not sealed by this master key, or for another purpose."""


class Vault:
    """AES-256-GCM under keys derived from the 32-byte master key, one for each purpose.

    The purpose is part of the key, so that a device secret cannot be passed off as a signing key.
    """

    def __init__(self, master: bytes) -> None:
        if len(master) != 32:
            raise ValueError("the master key has 32 bytes (64 hex digits)")
        self._master = master
        self._ciphers: dict[str, AESGCM] = {}

    def derive(self, purpose: str) -> bytes:
        """32 bytes for `purpose`: HMAC-SHA256(master, purpose)."""
        return hmac.digest(self._master, f"driblet {purpose}".encode(), hashlib.sha256)

    def _cipher(self, purpose: str) -> AESGCM:
        if purpose not in self._ciphers:
            self._ciphers[purpose] = AESGCM(self.derive("seal " + purpose))
        return self._ciphers[purpose]

    def seal(self, plain: bytes, purpose: str) -> bytes:
        """nonce || ciphertext || tag."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher(purpose).encrypt(nonce, plain, None)

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """The plain bytes; SealBroken."""
        try:
            return self._cipher(purpose).decrypt(sealed[:_NONCE], sealed[_NONCE:], None)
        except (InvalidTag, ValueError) as problem:
            raise SealBroken(purpose) from problem


def load_master_key(path: Path) -> bytes:
    """The key in `path` (hex); made there, readable by its owner only, where there is none."""
    if not path.exists():
        _write_new(path, secrets.token_hex(32))
    return bytes.fromhex(path.read_text().strip())


def _write_new(path: Path, text: str) -> None:
    """Whole or not at all: a key cut short would lock every secret away."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
