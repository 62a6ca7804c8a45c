"""The device API against PROTOCOL.md, with a board written from that page."""

import json
import os
from typing import Any

import pytest
from otaspec import mac

from tests.cloud.kit import Board, Clock, Service, joined


@pytest.fixture
async def product(service: Service) -> dict[str, Any]:
    return await service.product()


async def test_register_log_in_poll(service: Service, product: dict[str, Any]) -> None:
    board = await joined(service, product, "kitchen")
    answer = await board.poll()
    assert answer["update"] is None
    assert answer["poll_interval"] == service.cloud.settings.poll_interval
    shown = await service.call("GET", "/products/thermostat/devices/kitchen")
    assert (shown["version"], shown["slot"], shown["codecs"]) == ("1.0.0", "ota_0", [0, 1, 2])
    assert shown["last_seen_at"] == service.cloud.now()


async def test_inventory_is_what_the_protocol_does_not_name(
    service: Service, product: dict[str, Any]
) -> None:
    board = await joined(service, product, "kitchen")
    await board.poll(room="kitchen", uptime=12)
    shown = await service.call("GET", "/products/thermostat/devices/kitchen")
    assert shown["inventory"] == {"room": "kitchen", "uptime": 12}


async def test_registers_again_until_the_first_login(service: Service, product: dict[str, Any]) -> None:
    board = Board(service.http, "thermostat", "kitchen")
    ps = bytes.fromhex(product["ps"])
    assert (await board.register(ps)).status_code == 200
    lost = board.ds
    assert (await board.register(ps)).status_code == 200
    assert board.ds != lost
    board.ds, kept = lost, board.ds
    assert (await board.login()).status_code == 401
    board.ds = kept
    assert (await board.login()).status_code == 200
    again = await board.register(ps)
    assert (again.status_code, again.json()["error"]) == (409, "ALREADY_REGISTERED")


async def test_registration_switch(service: Service, product: dict[str, Any]) -> None:
    ps = bytes.fromhex(product["ps"])
    board = Board(service.http, "thermostat", "kitchen")
    await service.call("PATCH", "/products/thermostat", json={"registration": "closed"})
    assert (await board.register(ps)).status_code == 401
    await service.call("PATCH", "/products/thermostat", json={"registration": "approval"})
    waiting = await board.register(ps)
    assert (waiting.status_code, waiting.json()["error"]) == (202, "APPROVAL_PENDING")
    pending = await service.call("GET", "/products/thermostat/devices", params={"access": "pending"})
    assert [d["dn"] for d in pending["devices"]] == ["kitchen"]
    await service.call("POST", "/products/thermostat/devices/kitchen/approve")
    assert (await board.register(ps)).status_code == 200
    assert (await board.login()).status_code == 200


async def test_an_operators_device_cannot_be_taken_with_the_product_secret(
    service: Service, product: dict[str, Any]
) -> None:
    made = await service.call("POST", "/products/thermostat/devices", 201, json={"dn": "hall"})
    board = Board(service.http, "thermostat", "hall")
    assert (await board.register(bytes.fromhex(product["ps"]))).status_code == 409
    board.ds = bytes.fromhex(made["ds"])
    assert (await board.login()).status_code == 200


async def test_one_401_for_every_reason(service: Service, product: dict[str, Any]) -> None:
    known = await joined(service, product, "kitchen")
    wrong = Board(service.http, "thermostat", "kitchen", ds=os.urandom(32))
    unknown = Board(service.http, "thermostat", "nobody", ds=known.ds)
    elsewhere = Board(service.http, "no-product", "kitchen", ds=known.ds)
    answers = [await board.login() for board in (wrong, unknown, elsewhere)]
    assert {a.status_code for a in answers} == {401}
    assert len({a.content for a in answers}) == 1
    assert answers[0].json()["error"] == "LOGIN_REFUSED"


async def test_nonce_lives_60_seconds_and_for_its_name_only(
    service: Service, product: dict[str, Any], clock: Clock
) -> None:
    board = await joined(service, product, "kitchen")

    async def login_with(nonce_dn: str, seconds: int) -> int:
        challenge = {"pk": "thermostat", "dn": nonce_dn}
        nonce = (await service.http.post("/v1/challenge", json=challenge)).json()["nonce"]
        assert len(nonce) <= 128
        clock.time += seconds
        mine = os.urandom(16)
        proof = mac.login(board.ds, "thermostat", "kitchen", nonce, mine)
        names = {"pk": "thermostat", "dn": "kitchen", "nonce": nonce}
        body = {**names, "device_nonce": mine.hex(), "mac": proof.hex()}
        return (await service.http.post("/v1/login", json=body)).status_code

    assert await login_with("kitchen", 60) == 200
    assert await login_with("kitchen", 61) == 401
    assert await login_with("hall", 0) == 401


async def test_token_ends(service: Service, product: dict[str, Any], clock: Clock) -> None:
    board = await joined(service, product, "kitchen")
    clock.time += service.cloud.settings.device_token_life - 1
    await board.poll()
    clock.time += 1
    assert (await board.try_poll()).status_code == 401
    await board.login()
    await board.poll()


@pytest.mark.parametrize("act", ["revoke", "reissue"])
async def test_operator_locks_out_at_once(service: Service, product: dict[str, Any], act: str) -> None:
    board = await joined(service, product, "kitchen")
    await service.call("POST", f"/products/thermostat/devices/kitchen/{act}")
    assert (await board.try_poll()).status_code == 401
    assert (await board.login()).status_code == 401


async def test_tokens_of_others_do_not_pass(service: Service, product: dict[str, Any]) -> None:
    board = await joined(service, product, "kitchen")
    for token in ("", "x", board.token[:-2] + "AA", service.token):
        board.token = token
        assert (await board.try_poll()).status_code == 401


@pytest.mark.parametrize(
    "change",
    [
        {"nonce": "short"},
        {"image_sha256": "z" * 64},
        {"chip": -1},
        {"codecs": list(range(33))},
        {"board": ""},
    ],
)
async def test_bad_poll_says_what_is_wrong(
    service: Service, product: dict[str, Any], change: dict[str, Any]
) -> None:
    board = await joined(service, product, "kitchen")
    answer = await board.try_poll(**change)
    assert answer.status_code == 400
    assert answer.json()["error"] == "REQUEST_INVALID"
    assert next(iter(change)) in answer.json()["message"]


async def test_bodies_are_bounded(service: Service, product: dict[str, Any]) -> None:
    board = await joined(service, product, "kitchen")
    answer = await board.try_poll(blob="x" * 17_000)
    assert (answer.status_code, answer.json()["error"]) == (413, "REQUEST_TOO_LARGE")

    async def endless() -> Any:
        for _ in range(100):
            yield b"x" * 1024

    answer = await service.http.post("/v1/log", content=endless(), headers=board.bearer)
    assert (answer.status_code, answer.json()["error"]) == (413, "REQUEST_TOO_LARGE")


async def test_log_keeps_the_last_five(service: Service, product: dict[str, Any]) -> None:
    board = await joined(service, product, "kitchen")
    for number in range(7):
        answer = await service.http.post("/v1/log", content=f"log {number}\0", headers=board.bearer)
        assert answer.status_code == 204
    shown = await service.call("GET", "/products/thermostat/devices/kitchen")
    assert shown["log"] == "log 6"


async def test_a_timeline_does_not_grow_without_end(
    service: Service, product: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otacloud.reports.KEPT", 20)
    board = await joined(service, product, "kitchen")
    for first in range(1, 65, 16):
        ids = range(first, first + 16)
        said = [{"id": n, "state": ("failed", "reverted")[n % 2], "code": 501} for n in ids]
        assert await board.report(*said) == list(ids)
    shown = await service.call("GET", "/products/thermostat/devices/kitchen")
    assert [report["id"] for report in shown["reports"]] == list(range(64, 44, -1))


async def test_what_no_database_keeps_is_refused_and_holds_nobody_up(
    service: Service, product: dict[str, Any]
) -> None:
    board, neighbour = [await joined(service, product, dn) for dn in ("kitchen", "cellar")]
    await neighbour.poll(room="cellar")
    body = json.dumps({"nonce": "0" * 32, **board.says})
    for odd in ('"room": NaN', '"room": 1e999', '"version": "1\\u0000"'):
        sent = body[:-1] + f", {odd}}}"
        answer = await service.http.post("/v1/poll", content=sent, headers=board.bearer)
        assert (answer.status_code, answer.json()["error"]) == (400, "REQUEST_INVALID"), odd
    await service.cloud.presence.flush()
    shown = await service.call("GET", "/products/thermostat/devices/cellar")
    assert shown["inventory"] == {"room": "cellar"}


async def test_a_poll_that_says_nothing_new_writes_nothing(
    service: Service, product: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    board = await joined(service, product, "kitchen")
    await board.poll()
    with monkeypatch.context() as patch:
        patch.setattr(service.cloud.db, "write", lambda: pytest.fail("a write"))
        await board.poll()
