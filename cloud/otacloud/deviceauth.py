"""Log-in of devices: nonces and tokens that need no store, and the MAC checks (PROTOCOL.md section 2)."""

import base64
import hashlib
import hmac
import os
import struct
from typing import NamedTuple

from otaspec import mac, mqtt

from otacloud.errors import refuse
from otacloud.vault import SealBroken, Vault

NONCE_LIFE = 60
SECRET_SIZE = 32

_NONCE = struct.Struct(">Q16s")  # time made, random
_CLAIMS = struct.Struct(">QIQ")  # device id, generation, time of expiry
_TAG = 16


class Claims(NamedTuple):
    """What a device's bearer token says. It holds only with the generation that the device has now."""

    device_id: int
    generation: int
    expires: int


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class DeviceAuth:
    """Stateless: any instance with the same master key accepts what another one issued."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._nonce_key = vault.derive("server nonce")
        self._nobody = vault.derive("nobody's secret")

    def _tag(self, made: bytes, pk: str, dn: str) -> bytes:
        return mac_over(self._nonce_key, made, pk, dn)[:_TAG]

    def new_nonce(self, pk: str, dn: str, now: int) -> str:
        made = _NONCE.pack(now, os.urandom(16))
        return _text(made + self._tag(made, pk, dn))

    def nonce_holds(self, nonce: str, pk: str, dn: str, now: int) -> bool:
        """Whether this server made `nonce` for that name within the last NONCE_LIFE seconds."""
        try:
            data = _bytes(nonce)
        except ValueError:
            return False
        made, tag = data[: _NONCE.size], data[_NONCE.size :]
        if len(made) != _NONCE.size or not hmac.compare_digest(tag, self._tag(made, pk, dn)):
            return False
        age: int = now - _NONCE.unpack(made)[0]
        return 0 <= age <= NONCE_LIFE

    def check_login(
        self, ds_sealed: bytes | None, pk: str, dn: str, nonce: str, device_nonce: bytes, shown: bytes
    ) -> bool:
        """Takes the same time for a device that does not exist."""
        ds = self._nobody if ds_sealed is None else self._vault.open(ds_sealed, "ds")
        expected = mac.login(ds, pk, dn, nonce, device_nonce)
        return hmac.compare_digest(expected, shown) and ds_sealed is not None

    def check_register(
        self, ps_sealed: bytes | None, pk: str, dn: str, nonce: str, device_nonce: bytes, shown: bytes
    ) -> bool:
        ps = self._nobody if ps_sealed is None else self._vault.open(ps_sealed, "ps")
        expected = mac.register(ps, pk, dn, nonce, device_nonce)
        return hmac.compare_digest(expected, shown) and ps_sealed is not None

    def poll_key(self, ds_sealed: bytes) -> bytes:
        """The key of a device's answers: good for nothing else, so it may stay in memory."""
        return mac.poll_key(self._vault.open(ds_sealed, "ds"))

    def check_broker(
        self, ds_sealed: bytes | None, pk: str, dn: str, cid: str, timestamp: str, shown: str
    ) -> bool:
        """The MQTT password (PROTOCOL.md section 6); the same time for a device that does not exist."""
        ds = self._nobody if ds_sealed is None else self._vault.open(ds_sealed, "ds")
        expected = mqtt.password(ds, pk, dn, cid, timestamp)
        return hmac.compare_digest(expected.encode(), shown.upper().encode()) and ds_sealed is not None

    def new_token(self, device_id: int, generation: int, expires: int) -> str:
        return _text(self._vault.seal(_CLAIMS.pack(device_id, generation, expires), "device token"))

    def claims(self, token: str, now: int) -> Claims:
        """LOGIN_REFUSED for a token that is not ours or has expired."""
        try:
            claims = Claims(*_CLAIMS.unpack(self._vault.open(_bytes(token), "device token")))
        except (ValueError, struct.error, SealBroken):
            raise refuse("LOGIN_REFUSED") from None
        if claims.expires <= now:
            raise refuse("LOGIN_REFUSED", "the token has expired")
        return claims

    def new_secret(self) -> tuple[bytes, bytes]:
        """A device secret, plain (to be shown once) and sealed (to be kept)."""
        ds = os.urandom(SECRET_SIZE)
        return ds, self._vault.seal(ds, "ds")


def answer_mac(poll_key: bytes, pk: str, dn: str, device_nonce: bytes, body: bytes) -> str:
    """As mac.answer, by the C library: every poll ends with it."""
    items = (b"1", b"answer", pk.encode(), dn.encode(), device_nonce, body)
    listed = b"".join([len(item).to_bytes(2, "big") + item for item in items])
    return hmac.digest(poll_key, listed, "sha256").hex()


def mac_over(key: bytes, made: bytes, pk: str, dn: str) -> bytes:
    """The lengths of the names are part of the input: ("ab", "c") is not ("a", "bc")."""
    names = f"{len(pk)}:{pk}{len(dn)}:{dn}"
    return hmac.digest(key, made + names.encode(), hashlib.sha256)
