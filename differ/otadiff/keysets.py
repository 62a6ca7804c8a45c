"""Key sets on their way from draft to boards: made, signed by one root after the other, checked. Offline.

A file holds a set in its signed form (PACKAGE.md section 5), with the signatures that it has so far.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from otaspec import cbor, cose, rotation
from otaspec.errors import OtaError, code, error
from otaspec.keyset import Key, KeySet

from otadiff.sign import Signer


@dataclass
class Draft:
    """What a new set is to say; None: as the set before has it."""

    roots: Sequence[bytes] | None = None
    threshold: int | None = None
    keys: Sequence[tuple[bytes, str]] | None = None  # public key, product ("": any)
    revoked: Sequence[bytes] = field(default=())  # beside those revoked before
    seq_floor: int | None = None


def draft(said: Draft, before: bytes | None) -> bytes:
    """An unsigned set after `before` (a file; None: the first). KEY_SET_INVALID for what no board takes."""
    old = opened(before) if before else KeySet([], [], [], 0, 0)
    keys = list(old.keys) if said.keys is None else [Key(public, product) for public, product in said.keys]
    roots = list(old.roots) if said.roots is None else list(said.roots)
    revoked = list(dict.fromkeys([*old.revoked, *said.revoked]))
    keys = [key for key in keys if key.kid not in revoked]
    threshold = said.threshold or old.threshold or len(roots) // 2 + 1
    found = KeySet(keys, revoked, roots, threshold, old.version + 1)
    found.seq_floor = said.seq_floor
    payload = rotation.encode(found)
    rotation.decode(payload)
    return bytes(rotation.sign(payload, []))


def opened(file: bytes) -> KeySet:
    """The set in a file, whoever signed it."""
    return rotation.decode(rotation.split(file)[0])


def signers(file: bytes) -> list[bytes]:
    """Ids of the keys that have signed it."""
    return [signature.kid for signature in rotation.split(file)[1]]


def add_signature(file: bytes, signer: Signer) -> bytes:
    """The file with the signature of one more root; a second one by the same root replaces the first."""
    payload, signatures = rotation.split(file)
    kept = [
        [bytes(cose.protected(each.kid)), bytes(each.signature)]
        for each in signatures
        if each.kid != signer.kid
    ]
    header = cose.protected(signer.kid)
    mine = [bytes(header), signer.sign(cose.to_be_signed(header, bytes(payload)))]
    return bytes(cbor.encode([bytes(payload), [*kept, mine]]))


def check(file: bytes, before: bytes) -> OtaError | None:
    """Why a board that has the set `before` would not take it; None: it would."""
    try:
        rotation.step(opened(before), file)
    except OtaError as problem:
        return problem
    return None


def frozen(file: bytes) -> str:
    """The module `root_keys` that a firmware has built in."""
    payload = bytes(rotation.split(file)[0])
    if len(payload) > 1792:
        raise error(code("KEY_SET_INVALID"), f"{len(payload)} bytes, boards keep 1792")
    lines = [f"    {payload[at : at + 32]!r}" for at in range(0, len(payload), 32)]
    title = f'"""Key set {opened(file).version}: who may sign for this firmware (`driblet keyset freeze`)."""'
    return "\n".join([title, "", "SET = (", *lines, ")", ""])
