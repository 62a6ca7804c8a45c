"""The agent's MQTT client under MicroPython, against brokers that behave and brokers that do not."""

import json
import socket
import ssl
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trustme
from otaspec import mqtt

from .brokers import CONNACK, SUBACK, RawBroker, listen, packet
from .conftest import Device
from .service import Service
from .station import Station, full, image, reported

UNREACHABLE, TIMEOUT, TLS, INVALID, REFUSED, PLAIN = 301, 302, 303, 305, 308, 311
PK, DN, DS = "thermostat", "kitchen", b"d" * 32
UPGRADE = mqtt.topic("upgrade", PK, DN)
WORD = mqtt.publish(UPGRADE, b'{"code":"1000"}', 7)


def visit(device: Device, *brokers: RawBroker, **setup: Any) -> list[dict[str, Any]]:
    """How one connection to each of them ended."""
    cases = [{"url": broker.url} for broker in brokers]
    names = {"pk": PK, "dn": DN, "ds": DS.hex()}
    return [
        json.loads(line)
        for line in device(
            "mqtt_client.py", json.dumps({"cases": cases, **names, **setup}) + "\n"
        ).splitlines()
    ]


def test_log_in_topic_and_poll_now_to_the_bit(device: Device) -> None:
    with RawBroker(
        CONNACK + SUBACK + WORD, lambda b, c: [b.packets.append(_raw(c)) for _ in range(2)]
    ) as broker:
        (found,) = visit(device, broker)
    ident, user = mqtt.client_id(PK, DN, False), mqtt.username(PK, DN)
    sent = mqtt.connect(ident, user, mqtt.password(DS, PK, DN))
    assert broker.packets[0][1] == sent[-len(broker.packets[0][1]) :]
    assert [body for _, body in broker.packets[1:]] == [mqtt.subscribe(1, UPGRADE, 1), mqtt.puback(7)]
    assert found["woken"]
    assert found["error"] == UNREACHABLE  # it hung up on us


def _raw(connection: socket.socket) -> tuple[int, bytes]:
    """The next packet, its head included; ours are short."""
    head = connection.recv(2)
    return head[0], head + connection.recv(head[1])


def message(topic: str = UPGRADE, head: int = 0x30, body: bytes = b"") -> bytes:
    made = mqtt.publish(topic, body)
    return bytes([head]) + made[1:]


HOSTILE = {
    "silent": (b"", TIMEOUT),
    "another protocol": (b"HTTP/1.1 400 Bad Request\r\n\r\n", INVALID),
    "message before CONNACK": (WORD, INVALID),
    "CONNACK of three bytes": (b"\x20\x03\x00\x00\x00", INVALID),
    "wrong password": (b"\x20\x02\x00\x05", REFUSED),
    "unknown protocol": (b"\x20\x02\x00\x01", REFUSED),
    "cut in CONNACK": (b"\x20\x02\x00", UNREACHABLE),
    "no subscription": (CONNACK + b"\x90\x03\x00\x01\x80", REFUSED),
    "CONNACK twice": (CONNACK + CONNACK, INVALID),
    "length in five bytes": (CONNACK + b"\x30\xff\xff\xff\xff\x01", INVALID),
    "the longest length": (CONNACK + b"\x30\xff\xff\xff\x7f" + b"x" * 3000, INVALID),
    "one byte too long": (CONNACK + message(body=bytes(16385 - 2 - len(UPGRADE))), INVALID),
    "topic longer than its packet": (CONNACK + b"\x30\x04\xff\xffab", INVALID),
    "empty topic": (CONNACK + b"\x30\x02\x00\x00", INVALID),
    "foreign topic": (CONNACK + message(mqtt.topic("upgrade", PK, "kitcheN")), INVALID),
    "all topics": (CONNACK + message("#"), INVALID),
    "QoS 2": (CONNACK + message(head=0x34, body=b"\x00\x01"), INVALID),
    "QoS 3": (CONNACK + message(head=0x36, body=b"\x00\x01"), INVALID),
    "QoS 1 without a number": (CONNACK + message(head=0x32), INVALID),
    "PUBREL": (CONNACK + b"\x62\x02\x00\x01", INVALID),
    "reserved 0": (CONNACK + b"\x00\x00", INVALID),
    "reserved 15": (CONNACK + b"\xf0\x00", INVALID),
    "PINGRESP with a body": (CONNACK + b"\xd0\x01\x00", INVALID),
    "CONNECT": (CONNACK + b"\x10\x00", INVALID),
    "pings without end": (CONNACK + b"\xd0\x00" * 101, INVALID),
    "messages without end": (CONNACK + message(body=b"x" * 500) * 101, INVALID),
    "cut in a message": (CONNACK + WORD[:-3], UNREACHABLE),
    "closed": (CONNACK, UNREACHABLE),
}


def hold(_: RawBroker, connection: socket.socket) -> None:
    """Until the board leaves."""
    while connection.recv(100):
        pass


def hang_up(_: RawBroker, connection: socket.socket) -> None:
    time.sleep(0.1)


def test_hostile_brokers_are_left_with_a_code_and_take_no_memory(device: Device) -> None:
    brokers = [RawBroker(sent, hang_up if code == UNREACHABLE else hold) for sent, code in HOSTILE.values()]
    for broker in brokers:
        broker.__enter__()
    try:
        found = visit(device, *brokers, timeout=1)
    finally:
        for broker in brokers:
            broker.__exit__()
    ends = dict(zip(HOSTILE, found, strict=True))
    assert {name: end["error"] for name, end in ends.items()} == {n: code for n, (_, code) in HOSTILE.items()}
    assert max(end["heap"] for end in found) < 6000
    assert not any(
        ends[name]["woken"] for name in ("foreign topic", "QoS 2", "all topics", "cut in a message")
    )


def test_the_longest_message_is_read_in_pieces(device: Device) -> None:
    sent = message(body=bytes(16384 - 2 - len(UPGRADE)))
    with RawBroker(CONNACK + SUBACK + sent, listen) as broker:
        (found,) = visit(device, broker, timeout=1, seconds=3)
    assert (found["woken"], found["error"]) == (True, 0)
    assert found["heap"] < 6000


def test_tls_with_the_pinned_ca_and_plain_only_in_development(device: Device, tmp_path: Path) -> None:
    ours, other = trustme.CA(), trustme.CA()
    ca = tmp_path / "ca.der"
    ours_der = ssl.PEM_cert_to_DER_cert(ours.cert_pem.bytes().decode())
    ca.write_bytes(ours_der)
    contexts = []
    for issuer in (ours, other):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        issuer.issue_cert("localhost").configure_cert(context)
        contexts.append(context)
    answer = CONNACK + SUBACK + WORD
    with (
        RawBroker(answer, lambda b, c: packet(c), contexts[0]) as good,
        RawBroker(answer, context=contexts[1]) as bad,
        RawBroker(answer) as plain,
    ):
        found = visit(device, good, bad, plain, ca=str(ca), dev=0)
    assert found[0]["woken"]
    assert b"securemode=2," in good.packets[0][1]
    assert [end["error"] for end in found[1:]] == [TLS, PLAIN]
    assert not plain.packets


# ---- the whole agent --------------------------------------------------------------------------------


def settings(service: Service, broker: RawBroker | str, **more: Any) -> dict[str, Any]:
    service.secrets[DN] = DS
    url = broker if isinstance(broker, str) else broker.url
    return {"ds": DS, "mqtt": url, "poll": 3600, **more}


def connected(broker: RawBroker, times: int = 1) -> bool:
    return sum(head == 0x82 for head, _ in broker.packets) >= times


@pytest.mark.slow
async def test_a_message_starts_an_update_at_once(tmp_path: Path) -> None:
    """What runs, and what fails, is told in AliOS's words."""
    steps: list[float] = []

    def release(package: bytes, seq: int) -> None:
        steps.append(time.monotonic())
        service.release(package, seq=seq)
        for connection in broker._open[-1:]:
            connection.sendall(WORD)

    def until(s: Station) -> bool:
        if broker.said("inform") and not steps:
            release(full(image("1.1.0")), 7)
        if reported("confirmed")(s) and len(broker.said("inform")) > 1 and len(steps) == 1:
            release(full(image("1.2.0"), seq=8, product="another"), 8)
        return bool(broker.said("progress")) and reported("failed", 201)(s)

    with Service(poll_interval=3600) as service, RawBroker(then=listen) as broker:
        board = Station(tmp_path, service, image("1.0.0"), settings(service, broker))
        await board.run(until, seconds=120)
    assert service.polls[1]["at"] - steps[0] < 5
    said = [json.loads(body) for body in broker.said("inform")]
    assert [each["params"]["version"] for each in said] == ["1.0.0", "1.1.0"]
    assert said[0] == {"id": "1", "params": {"version": "1.0.0", "module": "default"}}
    failed = json.loads(broker.said("progress")[-1])
    assert failed["params"] == {"step": "-3", "desc": "failed 201", "module": "default"}


@pytest.mark.slow
async def test_a_flood_of_messages_is_one_poll_in_ten_seconds(tmp_path: Path) -> None:
    sent = []

    def until(_: Station) -> bool:
        if broker.said("inform") and len(sent) < 30:
            sent.append(time.monotonic())
            for connection in broker._open:
                connection.sendall(WORD)
        return len(service.polls) >= 3

    with Service(poll_interval=3600) as service, RawBroker(then=listen) as broker:
        board = Station(tmp_path, service, image("1.0.0"), settings(service, broker))
        await board.run(until, seconds=120)
    _, second, third = (poll["at"] for poll in service.polls[:3])
    assert second - sent[0] < 5
    assert 7 < third - second < 25
    assert len(service.polls) == 3


@pytest.mark.slow
async def test_a_broker_that_is_away_changes_nothing(tmp_path: Path) -> None:
    """It is killed in the middle of an update, which goes on; then nobody is there for the next one."""

    def until(s: Station) -> bool:
        if connected(broker) and not service.offer:
            service.release(full(image("1.1.0", fill=300_000)))
            for connection in broker._open:
                connection.sendall(WORD)
        if "downloading" in service.states() and broker.port:
            broker.__exit__()
            broker.port = 0
        return reported("confirmed")(s)

    with Service(poll_interval=3600) as service:
        broker = RawBroker(then=listen).__enter__()
        board = Station(tmp_path, service, image("1.0.0"), settings(service, broker))
        await board.run(until, seconds=120)
    assert not broker.port
    assert board.runs() == "ota_1"
    assert not any(report["code"] for report in service.reports)


@pytest.mark.slow
async def test_back_off_with_jitter_and_polls_meanwhile(tmp_path: Path) -> None:
    with Service(poll_interval=1) as service, RawBroker(b"\x20\x02\x00\x05") as broker:
        board = Station(tmp_path, service, image("1.0.0"), settings(service, broker, poll=1))
        await board.run(lambda _: len(broker.at) >= 3, seconds=120)
    first, second = (b - a for a, b in pairwise(broker.at[:3]))
    assert 2.4 < first < 12
    assert 4.9 < second < 22
    assert len(service.polls) > 4
    assert any("LOGIN_REFUSED: broker: 5" in line for line in board.console())


@pytest.mark.slow
async def test_an_image_without_the_slice_polls(tmp_path: Path) -> None:
    without = {"otaagent/mqtt.mpy": b""}
    with Service() as service:
        board = Station(
            tmp_path, service, image("1.0.0", without), settings(service, "mqtt://127.0.0.1:9", poll=1)
        )
        await board.run(lambda s: len(s.service.polls) >= 2)
    assert any("mqtt:" in line for line in board.console())
