"""Groups: by hand, by rule, by list; and what they are for."""

from typing import Any

import pytest
from otacloud import membership

from tests.cloud.kit import Service, image, joined

PK = "/products/thermostat"


@pytest.fixture
async def product(service: Service) -> dict[str, Any]:
    return await service.product()


async def sizes(service: Service) -> dict[str, int]:
    return {g["name"]: g["devices"] for g in (await service.call("GET", PK + "/groups"))["groups"]}


async def test_a_rule_follows_what_devices_say(service: Service, product: dict[str, Any]) -> None:
    board = await joined(service, product, "kitchen")
    await board.poll(region="eu")
    body = {"name": "eu", "rule": "inventory.region = eu"}
    assert (await service.call("POST", PK + "/groups", 201, json=body))["devices"] == 1
    await board.poll(region="us")
    await service.cloud.presence.flush()
    assert await sizes(service) == {"eu": 0}
    late = await joined(service, product, "late")
    await late.poll(region="eu")
    assert await sizes(service) == {"eu": 1}


async def test_a_device_is_in_one_static_group(service: Service, product: dict[str, Any]) -> None:
    for name in ("lab", "field"):
        await service.call("POST", PK + "/groups", 201, json={"name": name})
    made = {"dn": "kitchen", "group": "lab", "tags": ["b", "a", "a"]}
    await service.call("POST", PK + "/devices", 201, json=made)
    assert await sizes(service) == {"lab": 1, "field": 0}
    moved = await service.call("PATCH", PK + "/devices/kitchen", json={"group": "field"})
    assert (moved["group"], moved["tags"]) == ("field", ["a", "b"])
    assert await sizes(service) == {"lab": 0, "field": 1}
    await service.call("PATCH", PK + "/devices/kitchen", json={"group": None})
    assert await sizes(service) == {"lab": 0, "field": 0}


async def test_tags_move_a_device_into_a_dynamic_group(service: Service, product: dict[str, Any]) -> None:
    await service.call("POST", PK + "/groups", 201, json={"name": "beta", "rule": "tags has beta"})
    await service.call("POST", PK + "/devices", 201, json={"dn": "kitchen"})
    await service.call("PATCH", PK + "/devices/kitchen", json={"tags": ["beta"]})
    assert await sizes(service) == {"beta": 1}


async def test_poll_interval_is_the_shortest_of_the_groups(service: Service, product: dict[str, Any]) -> None:
    board = await joined(service, product, "kitchen")
    await board.poll()
    for name, seconds in (("slow", 600), ("fast", 10)):
        body = {"name": name, "rule": "dn = kitchen", "poll_interval": seconds}
        await service.call("POST", PK + "/groups", 201, json=body)
    assert (await board.poll())["poll_interval"] == 10
    await service.call("PATCH", PK + "/groups/fast", json={"rule": "dn = hall", "poll_interval": 10})
    assert (await board.poll())["poll_interval"] == 600


async def test_a_cut_filling_goes_on(
    service: Service, product: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        await service.call("POST", PK + "/devices", 201, json={"dn": f"d{number}"})
    monkeypatch.setattr(membership, "CHUNK", 2)
    piece, calls = membership._fill_piece, 0

    async def cut(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return await piece(*args)

    monkeypatch.setattr(membership, "_fill_piece", cut)
    with pytest.raises(KeyboardInterrupt):
        await service.call("POST", PK + "/groups", 201, json={"name": "all", "rule": "dn != x"})
    assert await sizes(service) == {"all": 2}
    await membership.resume(service.cloud.db, service.cloud.hub, service.cloud.now)
    assert await sizes(service) == {"all": 5}


@pytest.mark.parametrize("rule", ["colour = red", "dn"])
async def test_wrong_rule(service: Service, product: dict[str, Any], rule: str) -> None:
    refused = await service.call("POST", PK + "/groups", 400, json={"name": "g", "rule": rule})
    assert "rule" in refused["message"]


async def test_group_with_a_rollout_stays(service: Service, product: dict[str, Any]) -> None:
    await service.call("POST", PK + "/groups", 201, json={"name": "beta"})
    await service.release("1.0.0", image())
    rollout = await service.call("POST", PK + "/rollouts", 201, json={"version": "1.0.0", "group": "beta"})
    assert (await service.call("DELETE", PK + "/groups/beta", 409))["error"] == "STATE_CONFLICT"
    await service.call("POST", f"{PK}/rollouts/{rollout['id']}/stop")
    await service.call("DELETE", PK + "/groups/beta", 204)


async def test_import(service: Service, product: dict[str, Any]) -> None:
    await service.call("POST", PK + "/groups", 201, json={"name": "lab"})
    await service.call("POST", PK + "/devices", 201, json={"dn": "known"})
    text = f"dn, group, tags, ds\nhall,lab,eu beta,\nattic,,,{'ab' * 32}\nknown,,,\n"
    made = await service.call("POST", PK + "/devices/import", content="\ufeff" + text)
    assert made == {"made": 2, "known": ["known"]}
    hall = await service.call("GET", PK + "/devices/hall")
    assert (hall["group"], hall["tags"], hall["access"]) == ("lab", ["beta", "eu"], "approved")


async def test_named_beforehand_registers_where_registration_is_closed(
    service: Service, product: dict[str, Any]
) -> None:
    await service.call("PATCH", PK, json={"registration": "closed"})
    await service.call("POST", PK + "/devices/import", content="dn\nhall\n")
    await joined(service, product, "hall")
    with pytest.raises(AssertionError):
        await joined(service, product, "stranger")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name\nx", "head line"),
        ("dn\nhas space", "line 2: dn"),
        ("dn,ds\na,12", "line 2: ds"),
        ("dn\na\na", "line 3: a is there twice"),
        ("dn,tags\na,b!", "line 2: tags"),
    ],
)
async def test_wrong_list(service: Service, product: dict[str, Any], text: str, says: str) -> None:
    refused = await service.call("POST", PK + "/devices/import", 400, content=text)
    assert says in refused["message"]
    assert (await service.call("GET", PK + "/devices"))["total"] == 0
