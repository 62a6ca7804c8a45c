"""Tokens and roles: every endpoint, taken from the application itself. Tenants: test_tenants."""

from collections.abc import Iterator
from typing import Any

import pytest
from otacloud import alarms, auth, docs
from otacloud.schemas import Role

from tests.cloud.kit import Service, image, joined

BODIES: dict[str, Any] = {
    "POST /api/v1/products": {"pk": "other"},
    "PATCH /api/v1/products/{pk}": {"name": "taken"},
    "POST /api/v1/products/{pk}/devices": {"dn": "new"},
    "PATCH /api/v1/products/{pk}/devices/{dn}": {"tags": ["eu"]},
    "PATCH /api/v1/products/{pk}/releases/{version}": {"channel": "beta"},
    "POST /api/v1/products/{pk}/groups": {"name": "beta"},
    "PATCH /api/v1/products/{pk}/groups/{name}": {"poll_interval": 10},
    "POST /api/v1/products/{pk}/rollouts": {"version": "1.0.0"},
    "POST /api/v1/users": {"name": "eve", "role": "viewer", "password": "long enough a password"},
    "PATCH /api/v1/users/{name}": {"role": "viewer"},
    "POST /api/v1/tokens": {"name": "ci", "role": "viewer"},
    "POST /api/v1/channels": {"kind": "email", "target": "ops@example.com", "kinds": ["job.failed"]},
}
NAMES = {
    **{"pk": "thermostat", "dn": "kitchen", "version": "1.0.0", "rollout_id": "1"},
    **{"name": "ada", "token_id": "2", "channel_id": "1", "alarm_id": "1"},
}
PASSWORD = "correct horse battery"
NOT_FOR_VIEWERS = ("/secret", "/users", "/tokens", "/channels", "/audit", "/audit/check")  # though only looks


def endpoints() -> Iterator[tuple[str, str]]:
    """(method, path) of each call of the management API."""
    for path, calls in docs.schema()["paths"].items():
        if path.startswith("/api/"):
            yield from ((method.upper(), path) for method in calls)


ALL = sorted(endpoints())
SCOPE_OF = {
    (method.upper(), path): f"{called['tags'][-1]}:{'read' if method == 'get' else 'write'}"
    for path, calls in docs.schema()["paths"].items()
    for method, called in calls.items()
}
AREAS = ["alarms", "audit", "devices", "groups", "products", "releases", "rollouts", "secrets"]
AREAS += ["tokens", "users"]
EVERY_SCOPE = [f"{area}:{verb}" for area in AREAS for verb in ("read", "write")]


async def call(service: Service, method: str, path: str, token: str | None) -> int:
    options: dict[str, Any] = {"json": BODIES.get(f"{method} {path}")}
    if path.endswith("/releases") and method == "POST":
        options = {"content": image(), "params": {"version": "6.6.6"}}
    if path.endswith("/devices/import"):
        options = {"content": "dn\nimported"}
    if path.endswith("/reissue") and "releases" in path:
        options = {"params": {"as": "1.0.1"}}
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = path.format(**NAMES)
    return (await service.http.request(method, url, headers=headers, **options)).status_code


@pytest.fixture
async def full(service: Service) -> Service:
    """A tenant with one of everything."""
    product = await service.product()
    await joined(service, product, "kitchen")
    await service.release("1.0.0", image())
    await service.built("1.0.0")
    await service.call("POST", "/products/thermostat/rollouts", 201, json={"version": "1.0.0"})
    await service.call("POST", "/tokens", 201, json={"name": "spare", "role": "viewer"})
    await service.call("POST", "/products/thermostat/groups", 201, json={"name": "ada"})
    body = {"name": "ada", "role": "manager", "password": PASSWORD}
    await service.call("POST", "/users", 201, json=body)
    await service.call("POST", "/channels", 201, json=BODIES["POST /api/v1/channels"])
    async with service.cloud.db.write() as session:
        await alarms.sound(session, 1, 1, "job.failed", "thermostat/1.0.0", "not made", 0)
    return service


async def token_of(service: Service, role: Role) -> str:
    token = auth.new_token()
    async with service.cloud.db.write() as session:
        await auth.add_token(session, 1, role, role, token, 0)
    return token


def test_there_are_endpoints() -> None:
    assert len(ALL) > 20


async def test_no_endpoint_without_a_token(full: Service) -> None:
    for method, path in ALL:
        for token in (None, "drb_wrong", full.token + "x"):
            assert await call(full, method, path, token) == 401, (method, path)


async def test_a_viewer_changes_nothing_and_sees_no_secret(full: Service) -> None:
    token = await token_of(full, "viewer")
    for method, path in ALL:
        status = await call(full, method, path, token)
        expected = 403 if method != "GET" or path.endswith(NOT_FOR_VIEWERS) else 200
        assert status == expected, (method, path)


async def test_a_token_for_one_product_sees_no_other(full: Service) -> None:
    await full.product("camera")
    made = await full.call("POST", "/tokens", 201, json={"name": "ci", "role": "owner", "product": "camera"})
    for method, path in ALL:
        if "{pk}" in path:
            assert await call(full, method, path, made["token"]) == 404, (method, path)
        elif path.startswith(("/api/v1/users", "/api/v1/tokens", "/api/v1/audit", "/api/v1/channels")):
            # Else an owner's token for one product would make itself one for all.
            assert await call(full, method, path, made["token"]) == 403, (method, path)
    assert await call(full, "POST", "/api/v1/products", made["token"]) == 403
    listed = await full.http.get("/api/v1/products", headers={"Authorization": f"Bearer {made['token']}"})
    assert [p["pk"] for p in listed.json()] == ["camera"]


def test_each_call_has_a_scope_that_tokens_can_have() -> None:
    assert [p for p in ALL if p[1] != "/api/v1/me" and SCOPE_OF[p] not in EVERY_SCOPE] == []


async def test_a_token_with_scopes_may_nothing_else(full: Service) -> None:
    held = {"name": "ci", "role": "owner", "scopes": ["releases:write", "rollouts:read"]}
    made = await full.call("POST", "/tokens", 201, json=held)
    assert made["scopes"] == ["releases:write", "rollouts:read"]
    within = {"releases:read", "releases:write", "rollouts:read"}
    for method, path in ALL:
        status = await call(full, method, path, made["token"])
        free = path == "/api/v1/me" or SCOPE_OF[method, path] in within
        assert (status != 403) == free, (method, path, status)


async def test_a_token_makes_none_that_may_more(full: Service) -> None:
    held = {"name": "maker", "role": "owner", "scopes": ["tokens:write", "devices:read"]}
    token = (await full.call("POST", "/tokens", 201, json=held))["token"]
    headers = {"Authorization": f"Bearer {token}"}

    async def make(*scopes: str) -> int:
        body = {"name": "made", "role": "viewer", "scopes": scopes}
        return (await full.http.post("/api/v1/tokens", json=body, headers=headers)).status_code

    assert await make("devices:read") == 201
    assert [await make(), await make("devices:write"), await make("audit:read")] == [403, 403, 403]
    assert await make("everything") == 400


async def test_a_token_with_scopes_does_not_sign_in(full: Service) -> None:
    held = {"name": "ci", "role": "owner", "scopes": ["releases:write"]}
    token = (await full.call("POST", "/tokens", 201, json=held))["token"]
    answer = await full.http.post("/sign-in", data={"secret": token})
    assert "set-cookie" not in answer.headers
    assert answer.status_code != 303


async def test_a_report_about_another_devices_rollout_moves_nothing(full: Service) -> None:
    board = await joined(full, await full.product("camera"), "cellar")
    await board.report({"id": 1, "state": "confirmed", "rollout": 1, "seq": 1, "version": "1.0.0"})
    assert (await full.call("GET", "/products/thermostat/rollouts/1"))["counts"]["confirmed"] == 0


async def test_everything_that_changes_something_is_in_the_audit_log(full: Service) -> None:
    for method, path in ALL:
        if method != "GET" or path.endswith("/secret"):
            before = (await full.call("GET", "/audit/check"))["entries"]
            status = await call(full, method, path, full.token)
            after = await full.call("GET", "/audit/check")
            assert after["entries"] - before == (status < 300), (method, path, status)
            assert after["broken_at"] is None


async def test_an_operator_makes_no_release(full: Service) -> None:
    token = await token_of(full, "operator")
    assert await call(full, "POST", "/api/v1/products/{pk}/releases", token) == 403
    assert await call(full, "POST", "/api/v1/products/{pk}/rollouts/{rollout_id}/pause", token) == 200


async def test_a_revoked_token_is_none(full: Service) -> None:
    from otacloud.models import ApiToken

    async with full.cloud.db.write() as session:
        (await session.get_one(ApiToken, 1)).revoked_at = 1
    assert await call(full, "GET", "/api/v1/products", full.token) == 401


async def test_only_the_hash_is_kept(full: Service) -> None:
    raw = (full.cloud.settings.data / "cloud.sqlite").read_bytes()
    raw += (full.cloud.settings.data / "cloud.sqlite-wal").read_bytes()
    assert full.token.encode() not in raw
    assert auth.digest(full.token) in raw
