"""Alarms reach real receivers, again and again until they arrive."""

import hashlib
import hmac
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope
from otacloud import deliveries
from pydantic import SecretStr

from tests.cloud.engines import QuickEngine
from tests.cloud.kit import Clock, Service, image
from tests.cloud.test_outgoing import Receiver, receiver
from tests.cloud.test_rollouts import SELF_TEST_FAILED, Fleet

__all__ = ["receiver"]
ALL = ["device.reverted", "device.silent", "rollout.stopped", "job.failed"]


@pytest.fixture(autouse=True)
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests deliver themselves."""
    monkeypatch.setattr(deliveries, "INTERVAL", 3600)


@pytest.fixture
async def fleet(service: Service, clock: Clock) -> Fleet:
    service.cloud.settings.outgoing_hosts = ["localhost"]
    return await Fleet(service, await service.product(), clock).set_up(2)


async def webhook(service: Service, port: int, kinds: list[str] = ALL) -> Any:
    body = {"kind": "webhook", "target": f"http://localhost:{port}/hook", "kinds": kinds}
    return await service.call("POST", "/channels", 201, json=body)


async def alarms(service: Service) -> list[Any]:
    return (await service.call("GET", "/alarms"))["alarms"]


async def test_a_revert_that_stops_a_rollout(fleet: Fleet, receiver: Receiver) -> None:
    service = fleet.service
    channel = await webhook(service, receiver.port)
    await fleet.roll_out()
    await fleet.fail(fleet.boards[0], SELF_TEST_FAILED)
    assert await service.cloud.deliverer.deliver() == 2
    kinds = []
    for raw in receiver.got:
        head, body = raw.split(b"\r\n\r\n", 1)
        told = json.loads(body)
        kinds.append(told["kind"])
        signature = next(
            line.split(b": ")[1] for line in head.split(b"\r\n") if line.startswith(b"Driblet-Signature")
        )
        at, mac = (part.split(b"=")[1] for part in signature.split(b","))
        expected = hmac.new(bytes.fromhex(channel["secret"]), at + b"." + body, hashlib.sha256).hexdigest()
        assert mac.decode() == expected
    assert sorted(kinds) == ["device.reverted", "rollout.stopped"]
    shown = await alarms(service)
    assert {a["deliveries"][0]["state"] for a in shown} == {"done"}
    assert "SELF_TEST_FAILED" in shown[0]["text"]


async def test_a_receiver_that_is_away_gets_it_later(fleet: Fleet, receiver: Receiver, clock: Clock) -> None:
    service = fleet.service
    await webhook(service, receiver.port, ["device.reverted"])
    receiver.answer = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    await fleet.roll_out()
    await fleet.fail(fleet.boards[0], SELF_TEST_FAILED)
    assert await service.cloud.deliverer.deliver() == 1
    assert await service.cloud.deliverer.deliver() == 0  # not due yet
    [delivery] = (await alarms(service))[1]["deliveries"]
    assert (delivery["state"], delivery["attempts"]) == ("queued", 1)
    assert "503" in delivery["problem"]
    receiver.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    clock.time += deliveries.WAITS[0]
    assert await service.cloud.deliverer.deliver() == 1
    [delivery] = (await alarms(service))[1]["deliveries"]
    assert (delivery["state"], delivery["attempts"]) == ("done", 2)
    assert json.loads(receiver.got[0].split(b"\r\n\r\n")[1])["id"] == (await alarms(service))[1]["id"]


async def test_given_up_in_the_end(fleet: Fleet, clock: Clock) -> None:
    service = fleet.service
    await webhook(service, 9, ["device.reverted"])  # nobody listens there
    await fleet.roll_out()
    await fleet.fail(fleet.boards[0], SELF_TEST_FAILED)
    for seconds in (0, *deliveries.WAITS):
        clock.time += seconds
        assert await service.cloud.deliverer.deliver() == 1
    [delivery] = (await alarms(service))[1]["deliveries"]
    assert delivery["state"] == "failed"


class Mailbox:
    """What aiosmtpd, a real SMTP server, hands over."""

    def __init__(self) -> None:
        self.mail = b""

    async def handle_DATA(self, _server: object, _session: object, envelope: Envelope) -> str:
        self.mail = envelope.original_content or b""
        return "250 OK"


@pytest.fixture
def mailbox(service: Service) -> Iterator[Mailbox]:
    made = Mailbox()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    controller = Controller(made, hostname="127.0.0.1", port=port)
    controller.start()
    service.cloud.settings.smtp_url = SecretStr(f"smtp://127.0.0.1:{port}")
    yield made
    controller.stop()


async def test_mail(fleet: Fleet, mailbox: Mailbox) -> None:
    service = fleet.service
    body = {"kind": "email", "target": "ops@example.com", "kinds": ["rollout.stopped"]}
    assert (await service.call("POST", "/channels", 201, json=body))["secret"] is None
    await fleet.roll_out()
    await fleet.fail(fleet.boards[0], SELF_TEST_FAILED)
    await service.cloud.deliverer.deliver()
    assert b"To: ops@example.com" in mailbox.mail
    assert b"stopped by itself" in mailbox.mail


async def test_silent_devices_are_one_alarm_once(fleet: Fleet, clock: Clock) -> None:
    service = fleet.service
    await service.call("PATCH", "/products/thermostat", json={"silent_after": 600})
    await service.cloud.presence.flush()
    last = clock.time
    clock.time += 599
    await service.cloud.deliverer.look_for_silence(last)
    assert await alarms(service) == []
    clock.time += 61
    await service.cloud.deliverer.look_for_silence(last + 599)
    [alarm] = await alarms(service)
    assert alarm["data"] == {"devices": ["board-0", "board-1"], "count": 2}
    await service.cloud.deliverer.look_for_silence(clock.time)
    assert len(await alarms(service)) == 1


async def test_a_failed_job(service: Service, engine: QuickEngine) -> None:
    await service.product()
    engine.problem = ZeroDivisionError("by zero")
    await service.release("1.0.0", image())
    await service.built("1.0.0")
    [alarm] = await alarms(service)
    assert (alarm["kind"], alarm["object"]) == ("job.failed", "thermostat/1.0.0")
    await service.call("POST", f"/alarms/{alarm['id']}/acknowledge", 204)
    assert (await alarms(service))[0]["acknowledged_by"] == "token admin"
    assert (await service.call("GET", "/alarms", params={"open_only": True}))["alarms"] == []


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "webhook", "target": "http://10.0.0.1/", "kinds": ALL},
        {"kind": "email", "target": "a@b.c, d@e.f", "kinds": ALL},
        {"kind": "email", "target": "nobody", "kinds": ALL},
        {"kind": "webhook", "target": "https://example.com/", "kinds": []},
        {"kind": "pigeon", "target": "https://example.com/", "kinds": ALL},
    ],
)
async def test_what_is_no_channel(service: Service, body: dict[str, Any]) -> None:
    await service.call("POST", "/channels", 400, json=body)


async def test_a_disabled_channel_gets_nothing(fleet: Fleet, receiver: Receiver) -> None:
    channel = await webhook(fleet.service, receiver.port)
    await fleet.service.call("DELETE", f"/channels/{channel['id']}", 204)
    await fleet.roll_out()
    await fleet.fail(fleet.boards[0], SELF_TEST_FAILED)
    assert await fleet.service.cloud.deliverer.deliver() == 0
