"""People sign in, change, are locked out."""

import pytest

from tests.cloud.kit import Service

PASSWORD = "correct horse battery"


@pytest.fixture
async def ada(service: Service) -> Service:
    await service.product()
    await service.call("POST", "/users", 201, json={"name": "ada", "role": "operator", "password": PASSWORD})
    return service


async def sign_in(service: Service, name: str, secret: str) -> int:
    service.http.cookies.clear()
    return (await service.http.post("/sign-in", data={"name": name, "secret": secret})).status_code


async def seen(service: Service) -> int:
    return (await service.http.get("/products/thermostat")).status_code


async def test_signs_in_with_the_password_only(ada: Service) -> None:
    for name, secret in (("ada", "wrong"), ("bob", PASSWORD), ("ada", ada.token)):
        assert await sign_in(ada, name, secret) == 401
        assert await seen(ada) == 303
    assert await sign_in(ada, "ada", PASSWORD) == 303
    assert await seen(ada) == 200


@pytest.mark.parametrize("change", [{"disabled": True}, {"password": "a new long password"}])
async def test_a_change_ends_open_sessions(ada: Service, change: dict[str, object]) -> None:
    await sign_in(ada, "ada", PASSWORD)
    await ada.call("PATCH", "/users/ada", json=change)
    assert await seen(ada) == 303
    assert await sign_in(ada, "ada", PASSWORD) == 401


async def test_a_new_role_holds_at_once(ada: Service) -> None:
    await ada.release("1.0.0", b"", status=400)
    await sign_in(ada, "ada", PASSWORD)
    await ada.call("PATCH", "/users/ada", json={"role": "viewer"})
    answer = await ada.http.post("/products/thermostat/rollouts/1/pause")
    assert answer.status_code == 403


@pytest.mark.parametrize("body", [{"password": "short"}, {"role": "king"}, {"name": "no spaces"}])
async def test_what_is_no_user(ada: Service, body: dict[str, str]) -> None:
    full = {"name": "bob", "role": "viewer", "password": PASSWORD} | body
    refused = await ada.call("POST", "/users", 400, json=full)
    assert next(iter(body)) in refused["message"]


async def test_me(ada: Service) -> None:
    assert await ada.call("GET", "/me") == {
        "name": "admin",
        "kind": "token",
        "role": "owner",
        "tenant": "default",
    }
