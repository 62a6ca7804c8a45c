"""Which buttons there are for whom, and that a hidden button is refused too."""

import re
from collections.abc import Iterator

import pytest
from otacloud.console import actions, routes
from otacloud.schemas import Role

from tests.cloud.kit import Service, image, joined

AT = "/products/thermostat"
PATHS = ("", "/devices", "/devices/kitchen", "/releases", "/releases/1.1.0", "/rollouts", "/rollouts/1")
PATHS += ("/rollouts/new", "/approvals", "/groups", "/alarms", "/settings", "/guide")


@pytest.fixture
async def stage(service: Service) -> Service:
    board = await joined(service, await service.product(), "kitchen")
    await board.poll()
    await service.release("1.1.0", image())
    await service.built("1.1.0")
    await service.call("POST", f"{AT}/rollouts", 201, json={"version": "1.1.0"})
    await service.call("POST", f"{AT}/groups", 201, json={"name": "beta"})
    return service


async def sign_in(service: Service, role: Role) -> None:
    given = {"name": role, "role": role}
    token = (await service.call("POST", "/tokens", 201, json=given))["token"]
    await service.http.post("/sign-in", data={"secret": token})


async def posts(service: Service) -> set[str]:
    """Where the forms of all pages go."""
    found: set[str] = set()
    for path in PATHS:
        page = (await service.http.get(AT + path)).text
        found |= set(re.findall(r'<form[^>]*method="post" action="([^"]+)"', page))
    return found - {"/sign-out"}


async def test_a_viewer_sees_no_button(stage: Service) -> None:
    await sign_in(stage, "viewer")
    assert await posts(stage) == set()


async def test_each_role_sees_what_it_may(stage: Service) -> None:
    await sign_in(stage, "operator")
    found = await posts(stage)
    assert f"{AT}/rollouts/1/pause" in found
    assert not found & {f"{AT}/settings", f"{AT}/releases", f"{AT}/secret", f"{AT}/revert"}
    await sign_in(stage, "manager")
    found = await posts(stage)
    assert {f"{AT}/settings", f"{AT}/releases", f"{AT}/revert"} <= found
    assert f"{AT}/secret" not in found
    assert (await stage.http.get("/team")).status_code == 403
    await sign_in(stage, "owner")
    assert f"{AT}/secret" in await posts(stage)


def _posts() -> Iterator[str]:
    for module in routes.PAGES:
        for route in module.router.routes:
            if "POST" in getattr(route, "methods", ()):
                yield getattr(route, "path", "")


# Paths where nobody is signed in yet, or nothing is done that needs a role.
FREE = {"/sign-in", "/sign-out"}


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(set(_posts()) - FREE))
async def test_what_a_viewer_does_not_see_is_refused_too(stage: Service, path: str) -> None:
    await sign_in(stage, "viewer")
    names = {"pk": "thermostat", "dn": "kitchen", "version": "1.1.0", "rollout_id": "1", "move": "pause"}
    names |= {"name": "beta", "alarm_id": "1", "channel_id": "1", "token_id": "1"}
    form = {"name": "x", "dn": "x", "version": "1.1.0", "role": "viewer", "password": "long enough it is"}
    form |= {"kind": "email", "target": "a@b", "kinds": "job.failed", "registration": "open"}
    files = {"list": ("l.csv", b"dn\nx\n"), "image": ("i.bin", image())}
    sent = {"files": files} if path.endswith(("/releases", "/import")) else {}
    answer = await stage.http.post(path.format(**names), data=form, **sent)  # type: ignore[arg-type]
    assert answer.status_code == 403, answer.text
    assert "NOT_ALLOWED" in answer.text


@pytest.mark.parametrize("name", sorted(actions.NAMED))
def test_a_named_action_asks_for_the_role_of_its_endpoint(name: str) -> None:
    assert actions.needed(actions.NAMED[name]) in ("viewer", "operator", "manager", "owner")
