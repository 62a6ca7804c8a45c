"""Bundles through the real cloud: image and files in one rollout, files alone; bad ones stop and go back."""

import hashlib
from asyncio import to_thread
from pathlib import Path

import pytest
from otacloud.client import Client
from otacloud.schemas import ProductIn, RolloutIn

from .service import Service
from .station import Station, image
from .test_bundles import APP, ONE, TWO, app, words
from .test_cloud import cloud

pytestmark = pytest.mark.slow

BAD = app("bad", APP + "def self_test():\n    return False\n")
PK = "thermostat"


async def rolled_out(client: Client, board: Station, version: str, state: str) -> None:
    """The rollout of a release ends as `state`."""
    rollout = await to_thread(client.create_rollout, PK, RolloutIn(version=version))
    await board.run(lambda _: client.rollout(PK, rollout.id).state == state, seconds=240)


def says(client: Client, version: str, bundle: bytes) -> bool:
    device = client.device(PK, "kitchen")
    digest = hashlib.sha256(bundle).hexdigest()
    return (device.version, device.inventory.get("bundle")) == (version, digest)


async def test_image_and_files_then_files_alone_and_bad_ones_go_back(tmp_path: Path) -> None:
    images = {"1.0.0": image("1.0.0"), "1.1.0": image("1.1.0")}
    bundles = {"1.0.0": b"", "1.1.0": ONE}
    with cloud(tmp_path / "cloud") as client:
        product = await to_thread(client.create_product, ProductIn(pk=PK, board="LINUX_HOST"))
        for version, raw in images.items():
            path = tmp_path / version
            path.write_bytes(raw)
            made = await to_thread(client.upload_release, PK, version, path, bundle=bundles[version])
            assert made.bundle_size == len(bundles[version])
            await to_thread(client.wait_release, PK, version)
        keys = bytes.fromhex(product.public_key)
        settings = {"ps": bytes.fromhex(product.ps), "server": client.server, "keys": keys}
        board = Station(tmp_path, Service(), images["1.0.0"], settings)
        await board.run(lambda _: len(client.devices(PK).devices) == 1)

        await rolled_out(client, board, "1.1.0", "done")
        await board.run(lambda _: says(client, "1.1.0", ONE))

        wear = board.wear("ota_0"), board.wear("ota_1")
        made = await to_thread(client.reissue_release, PK, "1.1.0", "1.1.1", bundle=TWO)
        await to_thread(client.wait_release, PK, "1.1.1")
        await rolled_out(client, board, "1.1.1", "done")
        await board.run(lambda _: says(client, "1.1.1", TWO))
        assert (board.wear("ota_0"), board.wear("ota_1")) == wear  # the files alone
        assert (made.image_sha256, made.bundle_sha256) == (
            hashlib.sha256(images["1.1.0"]).hexdigest(),
            hashlib.sha256(TWO).hexdigest(),
        )

        await to_thread(client.reissue_release, PK, "1.1.1", "1.2.0", bundle=BAD)
        await to_thread(client.wait_release, PK, "1.2.0")
        await rolled_out(client, board, "1.2.0", "stopped")
        await board.run(lambda _: says(client, "1.1.1", TWO))
    heard = [word for n, word in enumerate(words(board)) if not n or word != words(board)[n - 1]]
    assert heard == ["one", "two", "bad", "two"]
    assert board.runs() == "ota_1"
