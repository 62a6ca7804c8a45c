"""The whole path against the real cloud: registered, offered a delta, installed, counted as confirmed."""

import json
import os
import subprocess
import sys
from asyncio import to_thread
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from otacloud.client import Client
from otacloud.schemas import ProductIn, RolloutIn
from otasim.faults import NONE, Cut, Faults

from .service import Service
from .station import Station, image

pytestmark = pytest.mark.slow


def serve(folder: Path, **settings: str) -> "tuple[subprocess.Popen[bytes], dict[str, str]]":
    """`driblet serve` as a process of its own, and what it said: url, token (the first time)."""
    command = "from driblet.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", command, "serve", "--port", "0", "--data", str(folder), "--json"],
        stdout=subprocess.PIPE,
        env=os.environ | {"DRIBLET_POLL_INTERVAL": "1"} | settings,
    )
    assert process.stdout
    return process, json.loads(process.stdout.readline())


def end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    process.wait(10)
    assert process.stdout
    process.stdout.close()


@contextmanager
def cloud(folder: Path, **settings: str) -> Iterator[Client]:
    process, said = serve(folder, **settings)
    try:
        with Client(said["url"], said["token"]) as client:
            yield client
    finally:
        end(process)


async def rolled_out(folder: Path, old: bytes, new: bytes, faults: Faults = NONE) -> Station:
    """A board that went from `old` to `new` by a rollout of the real cloud, and is confirmed there."""
    with cloud(folder / "cloud") as client:
        product = await to_thread(client.create_product, ProductIn(pk="thermostat", board="LINUX_HOST"))
        for version, raw in (("1.0.0", old), ("1.1.0", new)):
            (folder / version).write_bytes(raw)
            await to_thread(client.upload_release, product.pk, version, folder / version)
            await to_thread(client.wait_release, product.pk, version)
        keys = bytes.fromhex(product.public_key)
        settings = {"ps": bytes.fromhex(product.ps), "server": client.server, "keys": keys}
        board = Station(folder, Service(), old, settings)
        await board.run(lambda _: len(client.devices(product.pk).devices) == 1)
        rollout = await to_thread(client.create_rollout, product.pk, RolloutIn(version="1.1.0"))
        done = "done"
        await board.run(lambda _: client.rollout(product.pk, rollout.id).state == done, faults, seconds=240)
        device = client.device(product.pk, "kitchen")
    assert board.slot(1, len(new)) == new
    assert (device.state, device.version, device.slot) == ("confirmed", "1.1.0", "ota_1")
    return board


@pytest.mark.parametrize("faults", [NONE, Faults([Cut(150, "bits", 3)])], ids=["calm", "power-cut"])
async def test_a_board_takes_a_rollout_of_the_real_cloud(tmp_path: Path, faults: Faults) -> None:
    board = await rolled_out(tmp_path, image("1.0.0"), image("1.1.0"), faults)
    assert board.exits().count("power-cut") == len(faults.cuts)
