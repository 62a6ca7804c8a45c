"""Key sets in the service: only the next one is taken, boards get them one after the other."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from otadiff import keysets
from otadiff.sign import Signer

from tests.cloud import kit

ROOTS = [Signer(ec.derive_private_key(100 + n, ec.SECP256R1())) for n in range(3)]
OTHER = Signer(ec.derive_private_key(300, ec.SECP256R1()))


def key_set(before: bytes | None, **said: Any) -> bytes:
    """The next set, signed by two roots."""
    made = keysets.draft(keysets.Draft(**said), before)
    for root in ROOTS[:2]:
        made = keysets.add_signature(made, root)
    return made


def first(public: bytes) -> bytes:
    return key_set(None, roots=[root.public for root in ROOTS], keys=[(public, "thermostat")])


async def test_sets_go_to_boards_one_after_the_other(service: kit.Service) -> None:
    product = await service.product()
    one = first(bytes.fromhex(product["public_key"]))
    two = key_set(one, keys=[(OTHER.public, "")], revoked=[bytes.fromhex(product["kid"])])
    three = key_set(two, seq_floor=7)
    path = "/products/thermostat/keysets"
    assert (await service.call("POST", path, 201, content=one))["signs_releases"]
    assert not (await service.call("POST", path, 201, content=two))["signs_releases"]
    board = await kit.joined(service, product, "kitchen")
    assert "keys" not in await board.poll()  # it says nothing of key sets: an older agent
    assert (await board.poll(key_set=1))["keys"] == {"version": 2, "url": "/v1/keysets/thermostat/2"}
    assert "keys" not in await board.poll(key_set=2)
    await service.call("POST", path, 201, content=three)
    offered = (await board.poll(key_set=2))["keys"]
    got = await service.http.get(offered["url"])
    assert (got.status_code, got.content) == (200, three)
    shown = (await service.call("GET", path))["keysets"]
    assert [row["version"] for row in shown] == [3, 2, 1]
    assert shown[0]["seq_floor"] == 7


async def test_what_is_no_next_set_is_refused(service: kit.Service) -> None:
    product = await service.product()
    one = first(bytes.fromhex(product["public_key"]))
    path = "/products/thermostat/keysets"
    await service.call("POST", path, 201, content=one)
    unsigned = keysets.draft(keysets.Draft(), one)
    for body, name in (
        (unsigned, "KEY_SET_INVALID"),
        (one, "KEY_SET_ROLLBACK"),
        (key_set(key_set(one)), "KEY_SET_INVALID"),
        (b"not a key set", "CBOR_MALFORMED"),
        (bytes(9000), "REQUEST_TOO_LARGE"),
    ):
        refused = await service.call("POST", path, 413 if len(body) > 8192 else 400, content=body)
        assert refused["error"] == name
    assert (await service.http.get("/v1/keysets/thermostat/2")).status_code == 404
    assert (await service.http.get("/v1/keysets/toaster/1")).status_code == 404
