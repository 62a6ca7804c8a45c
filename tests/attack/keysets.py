"""Key sets for attacks: three roots, two signing keys, and sets that are wrong in one place."""

from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from otadiff.sign import Signer
from otaspec import rotation
from otaspec.keyset import Key, KeySet

from tests.attack.bench import SIGNER

ROOTS = [Signer(ec.derive_private_key(100 + n, ec.SECP256R1())) for n in range(4)]
NEXT = Signer(ec.derive_private_key(300, ec.SECP256R1()))


def key_set(
    version: int,
    keys: Sequence[Signer | tuple[Signer, str]] = (SIGNER,),
    revoked: Sequence[Signer] = (),
    roots: Sequence[Signer] = ROOTS[:3],
    threshold: int = 2,
    seq_floor: int | None = None,
) -> bytes:
    """The payload of a set. A key is a signer, or a signer and the one product that it may sign for."""
    pairs = [key if isinstance(key, tuple) else (key, "") for key in keys]
    found = KeySet(
        [Key(signer.public, product) for signer, product in pairs],
        [signer.kid for signer in revoked],
        [root.public for root in roots],
        threshold,
        version,
    )
    found.seq_floor = seq_floor
    return bytes(rotation.encode(found))


def signed(payload: bytes, signers: Sequence[Signer] = ROOTS[:2]) -> bytes:
    return bytes(rotation.sign(payload, [(signer.public, signer.sign) for signer in signers]))


def follow(version: int, signers: Sequence[Signer] = ROOTS[:2], **change: Any) -> bytes:
    """A signed set."""
    return signed(key_set(version, **change), signers)


FIRST = key_set(1)
