"""The embedded broker: who gets in, what he may do there, and what of it reaches others."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from otaspec import mqtt

from tests.cloud.kit import Board, Service, joined
from tests.cloud.mqttclient import Device, embedded, enter, hello, knock

OK, NO = b"\x20\x02\x00\x00", b"\x20\x02\x00\x05"


@pytest.fixture
async def port(service: Service) -> AsyncIterator[int]:
    async with embedded(service) as port:
        yield port


@pytest.fixture
async def boards(service: Service) -> list[Board]:
    product = await service.product()
    return [await joined(service, product, dn) for dn in ("kitchen", "hall")]


async def gone(device: Device) -> bool:
    return await device.packet() == b""


async def test_only_the_right_password_gets_in_and_every_refusal_is_the_same(
    port: int, boards: list[Board]
) -> None:
    kitchen, hall = boards
    right = mqtt.password(kitchen.ds, kitchen.pk, kitchen.dn)
    stock = mqtt.password(kitchen.ds, kitchen.pk, kitchen.dn, "aa:bb:cc", "789")
    others_word = mqtt.password(hall.ds, hall.pk, hall.dn)
    ident = "aa:bb:cc|timestamp=789,securemode=2,signmethod=hmacsha256,gw=0,ext=0|"
    for raw, answer in (
        (hello(kitchen), OK),
        (hello(kitchen, secret=right.lower()), OK),
        (hello(kitchen, ident=ident, secret=stock), OK),  # as Link Kit may say it
        (hello(kitchen, ident=ident), NO),
        (hello(kitchen, secret="0" * 64), NO),
        (hello(kitchen, secret=""), NO),
        (hello(kitchen, secret=others_word), NO),
        (hello(kitchen, user=mqtt.username("thermostat", "nobody")), NO),
        (hello(kitchen, user=mqtt.username("nothing", "kitchen")), NO),
        (hello(kitchen, user="kitchen"), NO),
        (hello(kitchen, user="kitchen&thermostat&"), NO),
        (hello(kitchen, ident="kitchen"), NO),
        (hello(kitchen, ident=mqtt.client_id("thermostat", "kitchen", False).replace("256", "1")), NO),
    ):
        device, found = await knock(port, raw)
        assert found == answer, raw
        device.writer.close()


async def test_a_device_has_its_own_topics_and_no_others(port: int, boards: list[Board]) -> None:
    kitchen, hall = [await enter(port, board) for board in boards]
    for topic in (
        hall.topic("upgrade"),
        kitchen.topic("inform"),
        "#",
        "/ota/device/upgrade/thermostat/+",
        "$SYS/#",
    ):
        assert await kitchen.subscribe(topic) == 0x80
    for topic in (hall.topic("upgrade"), hall.topic("inform"), kitchen.topic("upgrade"), "any"):
        kitchen.send(mqtt.publish(topic, b"{}"))
    assert await kitchen.alive()
    assert await hall.alive()  # nothing came before the answer to its ping


async def test_a_stranger_with_a_devices_name_changes_nothing_for_it(
    service: Service, port: int, boards: list[Board]
) -> None:
    kitchen = await enter(port, boards[0])
    for user in (mqtt.username("thermostat", "kitchen"), mqtt.username("thermostat", "hall")):
        _, answer = await knock(port, hello(boards[0], ident="thermostat&kitchen", user=user, secret="x"))
        assert answer == NO
    service.cloud.notifier._send("thermostat", "kitchen", "1.1.0")
    assert b'"code": "1000"' in await kitchen.told()


async def test_a_second_connection_ends_the_first(service: Service, port: int, boards: list[Board]) -> None:
    first = await enter(port, boards[0])
    second = await enter(port, boards[0])
    assert await gone(first)
    service.cloud.notifier._send("thermostat", "kitchen", "1.1.0")
    assert await second.told()


@pytest.mark.parametrize(
    "raw",
    {
        "too long": b"\x30\x81\x20" + bytes(4097),
        "length in five bytes": b"\x30\xff\xff\xff\xff\x01",
        "QoS 2": b"\x34\x05\x00\x01a\x00\x01",
        "QoS 3": b"\x36\x05\x00\x01a\x00\x01",
        "PUBREL": b"\x62\x02\x00\x01",
        "CONNECT again": mqtt.connect("a", "b", "c"),
        "CONNACK": OK,
        "reserved": b"\xf0\x00",
        "topic longer than its packet": b"\x82\x07\x00\x01\x00\xffabc",
    }.values(),
    ids=lambda raw: raw[:3].hex(),
)
async def test_what_a_device_may_not_send_ends_its_connection(
    port: int, boards: list[Board], raw: bytes
) -> None:
    device = await enter(port, boards[0])
    device.send(raw)
    assert await gone(device)
    assert await (await enter(port, boards[0])).alive()


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x10\x00",
        b"\x10\xff\xff\x7f",
        mqtt.PINGREQ,
        b"\x10\x0c\x00\x04MQTT\x05\xc2\x00\x3c\x00\x00",
    ],
)
async def test_no_connect_no_word(port: int, raw: bytes) -> None:
    device, answer = await knock(port, raw)
    assert answer == b""
    device.writer.close()


async def test_a_will_is_refused(port: int, boards: list[Board]) -> None:
    """amqtt would send it wherever it says."""
    raw = bytearray(hello(boards[0]))
    raw[raw.index(b"MQTT") + 5] |= 0x04
    assert (await knock(port, bytes(raw)))[1] == b""


async def test_a_silent_device_is_let_go(port: int, boards: list[Board]) -> None:
    device, answer = await knock(port, hello(boards[0], keep_alive=1))
    assert answer == OK
    async with asyncio.timeout(10):
        assert await gone(device)


async def test_a_revoked_device_has_to_go(service: Service, port: int, boards: list[Board]) -> None:
    device = await enter(port, boards[0])
    await service.call("POST", "/products/thermostat/devices/kitchen/revoke")
    assert await gone(device)
    assert (await knock(port, hello(boards[0])))[1] == NO


async def test_a_flood_is_read_slowly(port: int, boards: list[Board]) -> None:
    device = await enter(port, boards[0])
    begin = asyncio.get_running_loop().time()
    for _ in range(55):
        device.send(mqtt.publish(device.topic("progress"), b"{}"))
    assert await device.alive()
    assert asyncio.get_running_loop().time() - begin > 0.8
