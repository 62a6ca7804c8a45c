"""Keys change under a real board and the real cloud: a key set is taken, then a release by its new key, and a
package by the key that it revoked is refused, though it lies in the cloud's own storage."""

from asyncio import to_thread
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from otacloud.client import Client
from otacloud.schemas import ProductIn, RolloutIn
from otadiff import keysets
from otadiff.sign import Signer
from otaspec import cose

from tests.agent.service import Service
from tests.agent.station import Station, full, image
from tests.agent.test_cloud import cloud
from tests.spec.packages import PUBLIC  # the old key, by which full() signs

pytestmark = pytest.mark.slow

ROOTS = [Signer(ec.derive_private_key(100 + n, ec.SECP256R1())) for n in range(3)]
PK = "thermostat"
PATIENT = {"wdt": 30_000, "checkin": 60, "timeout": 5}  # a loaded machine is no hung board


def key_set(before: bytes | None, key: bytes, **said: list[bytes]) -> bytes:
    """The set after `before`, signed by two of the three roots: `key` may sign for the product."""
    made = keysets.draft(keysets.Draft(keys=[(key, PK)], **said), before)
    for root in ROOTS[:2]:
        made = keysets.add_signature(made, root)
    return made


def with_keys(version: str, frozen: bytes) -> bytes:
    return image(version, {"root_keys.py": keysets.frozen(frozen).encode()})


async def released(client: Client, folder: Path, version: str, raw: bytes) -> None:
    (folder / version).write_bytes(raw)
    await to_thread(client.upload_release, PK, version, folder / version)
    await to_thread(client.wait_release, PK, version)


async def test_a_board_follows_its_keys(tmp_path: Path) -> None:
    first = key_set(None, PUBLIC, roots=[root.public for root in ROOTS])
    old, new, stolen = (with_keys(version, first) for version in ("1.0.0", "1.1.0", "1.2.0"))
    with cloud(tmp_path / "cloud") as client:
        product = await to_thread(client.create_product, ProductIn(pk=PK, board="LINUX_HOST"))
        second = key_set(first, bytes.fromhex(product.public_key), revoked=[cose.kid(PUBLIC)])
        for each in (first, second):
            await to_thread(client.add_key_set, PK, each)
        for version, raw in (("1.0.0", old), ("1.1.0", new)):
            await released(client, tmp_path, version, raw)
        settings = {"ps": bytes.fromhex(product.ps), "server": client.server, "keys": b""}
        board = Station(tmp_path, Service(), old, settings | PATIENT)
        await board.run(lambda _: "key set 2" in "\n".join(board.console()), seconds=120)
        rollout = await to_thread(client.create_rollout, PK, RolloutIn(version="1.1.0"))
        await board.run(lambda _: client.rollout(PK, rollout.id).state == "done", seconds=240)
        assert board.slot(1, len(new)) == new

        packages = tmp_path / "cloud" / "objects" / "packages"
        before = set(packages.iterdir())
        await released(client, tmp_path, "1.2.0", stolen)
        seq = client.release(PK, "1.2.0").seq
        for package in set(packages.iterdir()) - before:
            package.write_bytes(full(stolen, seq=seq, version="1.2.0"))
        rollout = await to_thread(client.create_rollout, PK, RolloutIn(version="1.2.0"))
        await board.run(lambda _: client.device(PK, "kitchen").error is not None, seconds=240)
        device = client.device(PK, "kitchen")
    assert device.error
    assert (device.error.name, device.version, device.state) == ("KEY_REVOKED", "1.1.0", "failed")
    assert board.slot(0, len(old)) == old
