"""What the pages say of MQTT: what the service knows, and no more."""

import asyncio
import re
from collections.abc import Callable

from tests.cloud import mosquitto
from tests.cloud.kit import Service, joined
from tests.cloud.mqttclient import embedded, enter
from tests.cloud.test_mosquitto import Place, fleet, place
from tests.cloud.test_rollouts import Fleet

__all__ = ["fleet", "place"]

AT = "/products/thermostat"


async def fact(service: Service, path: str, name: str) -> str:
    page = (await service.http.get(AT + path)).text
    found = re.search(rf"<dt>{name}</dt><dd>(.*?)</dd>", page)
    assert found, page
    return found[1]


async def until(look: Callable[[], object]) -> None:
    """The broker sees a little later that somebody hung up."""
    async with asyncio.timeout(20):
        while not look():
            await asyncio.sleep(0.01)


async def test_the_broker_inside_knows_who_is_connected(service: Service) -> None:
    product = await service.product()
    kitchen = await joined(service, product, "kitchen")
    await joined(service, product, "hall")
    other = await joined(service, await service.product("camera"), "cellar")
    await service.http.post("/sign-in", data={"secret": service.token})
    assert await fact(service, "/settings", "MQTT broker") == "none: devices poll"
    assert await fact(service, "/devices/kitchen", "Updates") == "polls every 60 s"
    await service.call("POST", f"{AT}/groups", 201, json={"name": "slow", "poll_interval": 600})
    await service.call("PATCH", f"{AT}/devices/hall", json={"group": "slow"})
    async with embedded(service) as port:
        device, _ = await enter(port, kitchen), await enter(port, other)
        assert await fact(service, "/settings", "MQTT broker") == "in the service; 1 device connected"
        assert await fact(service, "/devices/kitchen", "Updates") == "told by MQTT, connected"
        assert await fact(service, "/devices/hall", "Updates") == "polls every 600 s"
        device.writer.close()
        outlet = service.cloud.notifier.outlet
        assert outlet
        await until(lambda: not outlet.connected(kitchen.pk, kitchen.dn))
        assert await fact(service, "/devices/kitchen", "Updates") == "polls every 60 s"
    assert await fact(service, "/settings", "MQTT broker") == "none: devices poll"


async def test_of_a_broker_elsewhere_only_the_link_is_known(fleet: Fleet, place: Place) -> None:
    service = fleet.service
    service.cloud.settings.mqtt_url = place.url
    await service.http.post("/sign-in", data={"secret": service.token})
    assert await fact(service, "/settings", "MQTT broker") == "does not answer: devices poll"
    with mosquitto.running(place.folder, place.port):
        await place.begun.wait()
        said = "connected; which devices are, only the broker knows"
        assert await fact(service, "/settings", "MQTT broker") == said
        said = "polls every 60 s; whether MQTT tells it, only the broker knows"
        assert await fact(service, "/devices/board-1", "Updates") == said
    outlet = service.cloud.notifier.outlet
    assert outlet
    await until(lambda: not outlet.up)
    assert await fact(service, "/settings", "MQTT broker") == "does not answer: devices poll"
    assert await fact(service, "/devices/board-1", "Updates") == "polls every 60 s"
