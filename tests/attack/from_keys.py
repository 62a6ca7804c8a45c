"""Stolen keys, and key sets that nobody may follow."""

from collections.abc import Iterator
from typing import Any

from otaspec import cbor, journal

from tests.attack import keysets
from tests.attack.bench import FLOOR, SIGNER, records
from tests.attack.cases import GOOD, Case, flip, http, sends
from tests.attack.keysets import FIRST, NEXT, ROOTS, follow, key_set


def _kept(payload: bytes, number: int) -> dict[str, str]:
    """NVS of a board that has taken that set."""
    return records(
        keyset=(journal.KEYS, {"set": payload}), floor=(journal.FLOOR, {"seq": FLOOR, "key_set": number})
    )


def _keys() -> Iterator[Case]:
    row = "signing key stolen"
    revoking: dict[str, Any] = {"keys": [NEXT], "revoked": [SIGNER]}
    yield Case(
        row, "revoked-key", "KEY_REVOKED", "a release signed with a key that was revoked", GOOD,
        roots=FIRST, nvs=_kept(key_set(2, **revoking), 2),
    )  # fmt: skip
    yield Case(
        row, "revoked-now", "KEY_REVOKED", "the same, and the board hears of it in the same answer", GOOD,
        roots=FIRST, keysets={"2": follow(2, **revoking)},
    )  # fmt: skip
    yield Case(
        row, "revoked-in-the-firmware", "KEY_REVOKED", "revoked by the set that is built in", GOOD,
        roots=key_set(3, **revoking), nvs=_kept(key_set(2), 2),
    )  # fmt: skip
    yield Case(
        row, "key-left-out", "KEY_UNKNOWN", "a key that the set in force no longer names", GOOD,
        roots=FIRST, nvs=_kept(key_set(2, keys=[NEXT]), 2),
    )  # fmt: skip
    yield Case(
        row, "key-of-another-product", "KEY_UNKNOWN", "a key that may sign for the toaster only", GOOD,
        roots=key_set(1, keys=[(SIGNER, "toaster")]),
    )  # fmt: skip
    yield Case(
        row, "settings-beside-a-set", "KEY_UNKNOWN", "a key of the settings where a set is built in", GOOD,
        roots=key_set(1, keys=[NEXT]),
    )  # fmt: skip
    yield Case(
        row, "journal-rolled-back", "KEY_SET_ROLLBACK", "an NVS whose key set is gone",
        GOOD,
        roots=FIRST, nvs=records(floor=(journal.FLOOR, {"seq": FLOOR, "key_set": 3})),
    )  # fmt: skip
    yield Case(
        row, "seq-below-the-reset-floor", "SEQ_TOO_OLD", "an old release, the roots raised the floor",
        GOOD,
        roots=FIRST, keysets={"2": follow(2, seq_floor=9)},
    )  # fmt: skip


def _sets() -> Iterator[Case]:
    row = "key-set downgrade"
    invalid, rollback = "KEY_SET_INVALID", "KEY_SET_ROLLBACK"
    second = _kept(key_set(2, keys=[SIGNER, NEXT]), 2)

    def case(name: str, error: str, what: str, body: bytes, number: str = "2", **change: Any) -> Case:
        given: dict[str, Any] = {"answer": {"update": None}, "roots": FIRST, "keysets": {number: body}}
        return Case(row, "set-" + name, error, what, **(given | change))

    yield case("again", rollback, "the set in force, signed, as its own successor", follow(1))
    yield case("older", rollback, "set 1 as the successor of set 2", follow(1), "3", nvs=second)
    yield case("skipped", invalid, "set 3 as the successor of set 1", follow(3))
    yield case("far-ahead", invalid, "set 1,000,000: no set could follow it", follow(1_000_000))
    yield case("one-signature", invalid, "one of three roots where two are needed", follow(2, ROOTS[:1]))
    yield case("one-root-twice", invalid, "the same root twice", follow(2, [ROOTS[0], ROOTS[0]]))
    yield case("unsigned", invalid, "no signature at all", follow(2, []))
    yield case("by-signing-keys", invalid, "signed by signing keys", follow(2, [SIGNER, NEXT]))
    yield case("by-its-own-roots", invalid, "signed by the roots that it brings itself",
               follow(2, [ROOTS[3], NEXT], roots=[ROOTS[3], NEXT]))  # fmt: skip
    yield case("without-its-own-roots", invalid, "its own roots have not signed it",
               follow(2, roots=[ROOTS[3], NEXT]))  # fmt: skip
    yield case("threshold-of-none", invalid, "a set that would need no signature", follow(2, threshold=0))
    yield case("bit", "SIGNATURE_WRONG", "one bit of a signature", flip(follow(2), -1))
    yield case("field", "SIGNATURE_WRONG", "one bit of a signing key in it", flip(follow(2), 300))
    yield case("cut", "CBOR_MALFORMED", "a set that ends too early", follow(2)[:-1])
    yield case("longer", "CBOR_MALFORMED", "a byte behind the set", follow(2) + b"\0")
    yield case("no-cbor", "CBOR_MALFORMED", "a web page in place of a set", b"<!doctype html>")
    yield case("format-2", "NEEDS_NEWER_AGENT", "a set of a later format",
               keysets.signed(bytes(cbor.encode(cbor.decode(key_set(2)) | {0: 2}))))  # fmt: skip
    many = [(ROOTS[0] if n == 0 else _signer(n), "p" * 64) for n in range(16)]
    yield case(
        "too-large", invalid, "a set larger than a board can keep", follow(2, keys=many, revoked=[SIGNER])
    )
    endless = {"replies": {"keysets": sends(http(b"", length=False), (bytes(1024), -1, 0))}}
    yield case("endless", "ANSWER_INVALID", "a set without end", b"", **endless)
    missing = {"replies": {"keysets": sends(http(b"", status="404 Not Found"))}}
    yield case("missing", "HTTP_STATUS", "a set that is offered and not there", b"", **missing)


def _signer(number: int) -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec
    from otadiff.sign import Signer

    return Signer(ec.derive_private_key(400 + number, ec.SECP256R1()))


GROUPS = (_keys, _sets)
