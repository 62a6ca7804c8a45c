"""The service at a real Mosquitto, with the files that it writes for it."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from otacloud import mosquitto as made
from otacloud.brokerlink import Link
from otaspec import mqtt
from otaspec.errors import InputError
from pydantic import SecretStr

from tests.cloud import mosquitto
from tests.cloud.kit import Clock, Service
from tests.cloud.mqttclient import close_all, enter, hello, knock
from tests.cloud.test_rollouts import Fleet

NO = b"\x20\x02\x00\x05"


@dataclass
class Place:
    folder: Path
    port: int
    url: SecretStr
    begun: asyncio.Event  # the service has come to the broker


@pytest.fixture
async def fleet(service: Service, clock: Clock) -> Fleet:
    return await Fleet(service, await service.product(), clock).set_up(3)


@pytest.fixture
async def place(fleet: Fleet, tmp_path: Path) -> AsyncIterator[Place]:
    mosquitto.program()
    cloud = fleet.service.cloud
    files = await made.files(cloud.db, cloud.vault, "driblet", "s3cret@word")
    assert files.devices == 3
    made.write(tmp_path, files)
    port = mosquitto.free_port()
    begun = asyncio.Event()

    async def begin(link: Link) -> None:
        await cloud.notifier.begin(link)
        begun.set()

    url = f"mqtt://driblet:s3cret%40word@127.0.0.1:{port}"
    link = Link(url, None, cloud.notifier.hear, begin)
    task = asyncio.create_task(link.run())
    yield Place(tmp_path, port, SecretStr(url), begun)
    close_all()
    cloud.notifier.end()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_rollouts_reach_the_boards_and_a_broker_that_was_away_is_found_again(
    fleet: Fleet, place: Place
) -> None:
    with mosquitto.running(place.folder, place.port):
        device = await enter(place.port, fleet.boards[1])
        await place.begun.wait()
        await fleet.roll_out(devices=["board-1"])
        assert json.loads(await device.told())["data"]["version"] == "1.1.0"
    close_all()
    place.begun.clear()
    with mosquitto.running(place.folder, place.port):
        device = await enter(place.port, fleet.boards[1])
        await place.begun.wait()
        assert await device.told()  # who came while the service was away
        device.send(mqtt.publish(device.topic("inform"), b"{}"))
        assert await device.told()


async def test_mosquitto_knows_each_device_and_its_topics(fleet: Fleet, place: Place) -> None:
    with mosquitto.running(place.folder, place.port):
        await place.begun.wait()
        kitchen, hall = [await enter(place.port, board) for board in fleet.boards[:2]]
        assert (await knock(place.port, hello(fleet.boards[0], secret="0" * 64)))[1] == NO
        assert (await knock(place.port, hello(fleet.boards[0], user=mqtt.username("thermostat", "x"))))[
            1
        ] == NO
        await hall.subscribe(kitchen.topic("upgrade"))
        hall.send(mqtt.publish(kitchen.topic("upgrade"), b"{}"))
        await hall.alive()
        await fleet.roll_out(devices=["board-0"])
        assert await kitchen.told()
        assert await kitchen.alive()
        assert await hall.alive()


async def test_files_need_a_name_for_the_service(service: Service) -> None:
    with pytest.raises(InputError, match="DRIBLET_MQTT_URL"):
        await made.files(service.cloud.db, service.cloud.vault, "", "")


async def never(link: Link) -> None:
    raise AssertionError


@pytest.mark.parametrize("url", ["http://host", "mqtt://", "host:1883"])
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(InputError, match="DRIBLET_MQTT_URL"):
        Link(url, None, lambda *_: None, never)
