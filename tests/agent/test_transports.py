"""The same rollout of the real cloud over each way that a board may hear of it: poll, long-poll, MQTT by the
embedded broker and by a real Mosquitto, also when that is killed in the middle of the update."""

import os
import signal
import subprocess
import sys
import time
from asyncio import to_thread
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from otacloud import mosquitto as made
from otacloud.client import Client
from otacloud.schemas import DeviceChange, DeviceIn, GroupIn, ProductIn, RolloutIn

from tests.cloud import mosquitto

from .service import Service
from .station import Station, image
from .test_cloud import cloud

pytestmark = pytest.mark.slow

OLD, NEW = image("1.0.0", fill=200_000), image("1.1.0", fill=200_000)
HOUR = {"DRIBLET_POLL_INTERVAL": "3600"}
BOARDS = ("poll", "long-poll", "mqtt", "broker-killed")


@dataclass
class Place:
    """A cloud with both releases and a device for each transport."""

    client: Client
    keys: bytes
    secrets: dict[str, bytes]
    broker: str
    mosquitto: "subprocess.Popen[bytes] | None" = None

    def heard(self) -> bool:
        """Whether a board has said by MQTT that it is there."""
        return 'driblet_heard_total{kind="inform"}' in httpx.get(self.client.server + "/metrics").text


def stock(client: Client, folder: Path) -> tuple[bytes, dict[str, bytes]]:
    """The key of a product with two releases, and the secrets of its devices."""
    product = client.create_product(ProductIn(pk="thermostat", board="LINUX_HOST"))
    client.create_group("thermostat", GroupIn(name="quick", poll_interval=1))
    for version, raw in (("1.0.0", OLD), ("1.1.0", NEW)):
        (folder / version).write_bytes(raw)
        client.upload_release("thermostat", version, folder / version)
        client.wait_release("thermostat", version)
    secrets = {dn: bytes.fromhex(client.create_device("thermostat", DeviceIn(dn=dn)).ds) for dn in BOARDS}
    client.change_device("thermostat", "poll", DeviceChange(group="quick"))
    return bytes.fromhex(product.public_key), secrets


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("embedded")
    port = mosquitto.free_port()
    with cloud(folder / "cloud", **HOUR, DRIBLET_MQTT_PORT=str(port)) as client:
        yield Place(client, *stock(client, folder), f"mqtt://127.0.0.1:{port}")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    mosquitto.program()
    folder = tmp_path_factory.mktemp("elsewhere")
    port = mosquitto.free_port()
    url = f"mqtt://driblet:word@127.0.0.1:{port}"
    names = made.Files(made.line("driblet", "word") + "\n", "\n".join(made.service("driblet")) + "\n", 0)
    made.write(folder, names)
    with (
        mosquitto.running(folder, port) as process,
        cloud(folder / "cloud", **HOUR, DRIBLET_MQTT_URL=url) as client,
    ):
        keys, secrets = stock(client, folder)
        command = [
            "from driblet.cli import main; main()",
            "mosquitto",
            str(folder),
            "--data",
            str(folder / "cloud"),
        ]
        environment = os.environ | {"DRIBLET_MQTT_URL": url}
        subprocess.run([sys.executable, "-c", *command], env=environment, check=True, capture_output=True)
        process.send_signal(signal.SIGHUP)
        yield Place(client, keys, secrets, f"mqtt://127.0.0.1:{port}", process)


SETTINGS: dict[str, dict[str, Any]] = {
    "poll": {"poll": 1},
    "long-poll": {"poll": 3600, "wait": 100},
    "mqtt": {"poll": 3600},
    "broker-killed": {"poll": 3600},
}


async def roll_out(place: Place, how: str, folder: Path) -> float:
    """Seconds from the rollout's start until the board had taken it up; it is confirmed in the end."""
    client, started = place.client, []
    settings = {"dn": how, "ds": place.secrets[how], "ps": b"", "server": client.server, "keys": place.keys}
    if how in ("mqtt", "broker-killed"):
        settings["mqtt"] = place.broker
    board = Station(folder, Service(), OLD, settings | SETTINGS[how])
    taken: list[float] = []

    def until(_: Station) -> bool:
        device = client.device("thermostat", how)
        if not started and device.version == "1.0.0" and ("mqtt" not in settings or place.heard()):
            started.append(time.monotonic())
            client.create_rollout("thermostat", RolloutIn(version="1.1.0", devices=[how]))
        if started and not taken and device.state not in (None, "idle"):
            taken.append(time.monotonic())
            if how == "broker-killed" and place.mosquitto:
                place.mosquitto.kill()
        return device.state == "confirmed"

    await board.run(until, seconds=240)
    assert board.slot(1, len(NEW)) == NEW
    shown = await to_thread(client.device, "thermostat", how)
    assert (shown.state, shown.version, shown.slot) == ("confirmed", "1.1.0", "ota_1")
    assert (await to_thread(client.rollouts, "thermostat"))[0].state == "done"
    return taken[0] - started[0]


@contextmanager
def said(how: str) -> Iterator[list[float]]:
    """A figure for who runs this with -s: the bar is wide, as the machine may be busy."""
    took: list[float] = []
    yield took
    print(f"\n{how}: taken up after {took[0]:.1f} s")
    assert took[0] < 30  # the interval is an hour


@pytest.mark.parametrize("how", ["poll", "long-poll", "mqtt"])
async def test_the_same_rollout_over_each(embedded: Place, how: str, tmp_path: Path) -> None:
    with said(how) as took:
        took.append(await roll_out(embedded, how, tmp_path))


async def test_the_same_rollout_by_mosquitto(elsewhere: Place, tmp_path: Path) -> None:
    with said("mosquitto") as took:
        took.append(await roll_out(elsewhere, "mqtt", tmp_path))


async def test_a_broker_killed_in_mid_update_stops_nothing(elsewhere: Place, tmp_path: Path) -> None:
    with said("broker killed") as took:
        took.append(await roll_out(elsewhere, "broker-killed", tmp_path))
