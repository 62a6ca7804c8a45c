"""The log only grows, and shows it where somebody reaches behind the service."""

import json
import sqlite3

import pytest

from tests.cloud.kit import Service


async def filled(service: Service) -> sqlite3.Connection:
    for number in range(5):
        await service.product(f"p{number}")
    return sqlite3.connect(service.cloud.settings.data / "cloud.sqlite")


async def test_says_who_did_what(service: Service) -> None:
    (await filled(service)).close()
    [last, *_] = (await service.call("GET", "/audit", params={"limit": 2}))["entries"]
    assert (last["number"], last["who"], last["action"], last["object"]) == (
        5,
        "token admin",
        "product.create",
        "p4",
    )
    older = (await service.call("GET", "/audit", params={"before": 3}))["entries"]
    assert [entry["number"] for entry in older] == [2, 1]


async def test_database_refuses_to_change_it(service: Service) -> None:
    database = await filled(service)
    for statement in ("UPDATE audit_entries SET who = 'nobody'", "DELETE FROM audit_entries"):
        with pytest.raises(sqlite3.IntegrityError, match="only grows"):
            database.execute(statement)
    database.close()


@pytest.mark.parametrize(
    ("tamper", "broken_at"),
    [
        ("UPDATE audit_entries SET who = 'nobody' WHERE number = 3", 3),
        ("UPDATE audit_entries SET created_at = 0 WHERE number = 1", 1),
        ("DELETE FROM audit_entries WHERE number = 4", 4),
        ("UPDATE audit_entries SET number = 9 WHERE number = 5", 5),
    ],
)
async def test_tampering_is_found(service: Service, tamper: str, broken_at: int) -> None:
    database = await filled(service)
    for act in ("update", "delete"):
        database.execute(f"DROP TRIGGER audit_no_{act}")
    database.execute(tamper)
    database.commit()
    database.close()
    assert (await service.call("GET", "/audit/check"))["broken_at"] == broken_at


async def test_no_secret_is_in_it(service: Service) -> None:
    product = await service.product()
    device = await service.call("POST", "/products/thermostat/devices", 201, json={"dn": "hall"})
    body = {"name": "ada", "role": "owner", "password": "correct horse battery"}
    await service.call("POST", "/users", 201, json=body)
    await service.call("PATCH", "/users/ada", json={"password": "another long password"})
    token = await service.call("POST", "/tokens", 201, json={"name": "ci", "role": "viewer"})
    log = json.dumps(await service.call("GET", "/audit"))
    for secret in (product["ps"], device["ds"], body["password"], "another long password", token["token"]):
        assert secret not in log
