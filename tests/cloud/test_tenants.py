"""What is another tenant's is not there: one test for each call of the API and each page of the console.

A stranger, the owner of a tenant of his own, calls with the ids of another one. The answer must be that to an
id which does not exist, and nothing may have changed. The owner of the ids makes the same call at the end, so
that none of these tests passes because of a call that finds nothing anyway.
"""

import asyncio
import re
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from otacloud import alarms, auth
from otacloud.console import routes

from tests.cloud.engines import QuickEngine
from tests.cloud.kit import Board, Clock, Service, image, joined, started
from tests.cloud.test_openapi import operations

Sent = dict[str, Any]

THEIRS = {
    **{"pk": "thermostat", "dn": "kitchen", "version": "1.0.0", "name": "ada", "rollout_id": "1"},
    **{"token_id": "2", "channel_id": "1", "alarm_id": "1", "move": "pause"},
}
NOBODYS = {
    **{"pk": "nothing", "dn": "nobody", "version": "9.9.9", "name": "eve", "rollout_id": "81"},
    **{"token_id": "82", "channel_id": "83", "alarm_id": "84", "move": "pause"},
}
BOTH = "2.0.0"  # a release that each of them has
CHANNEL = {"kind": "email", "target": "ops@example.com", "kinds": ["job.failed"]}

# Calls with ids in their path, and what is sent besides.
IN_PATH: dict[str, Sent] = {
    "acknowledge_alarm": {},
    "add_key_set": {"content": b"no key set"},
    "approve_device": {},
    "approve_rollout": {},
    "change_device": {"json": {"tags": ["eu"]}},
    "change_group": {"json": {"poll_interval": 10}},
    "change_product": {"json": {"name": "taken"}},
    "change_release": {"json": {"channel": "beta"}},
    "change_user": {"json": {"role": "viewer"}},
    "create_device": {"json": {"dn": "new"}},
    "create_group": {"json": {"name": "new"}},
    "create_rollout": {"json": {"version": BOTH}},
    "delete_group": {},
    "disable_channel": {},
    "download_public_key": {},
    "fit_release": {},
    "import_devices": {"content": "dn\nimported"},
    "list_devices": {},
    "list_groups": {},
    "list_key_sets": {},
    "list_releases": {},
    "list_rollouts": {},
    "list_targets": {},
    "pause_rollout": {},
    "reissue_device": {},
    "reissue_release": {"params": {"as": "1.0.1"}},
    "resume_rollout": {},
    "retry_release": {},
    "retry_rollout": {},
    "revoke_device": {},
    "revoke_token": {},
    "show_device": {},
    "show_product": {},
    "show_product_secret": {},
    "show_release": {},
    "show_rollout": {},
    "start_rollout": {},
    "stop_rollout": {},
    "upload_release": {"content": image(), "params": {"version": "6.6.6"}},
}

# Calls that name something in what is sent; the path is the caller's own.
IN_BODY: list[tuple[str, str, Sent]] = [
    ("create_token", "product", {"json": {"name": "x", "role": "viewer", "product": "{pk}"}}),
    ("create_device", "group", {"json": {"dn": "new", "group": "{name}"}}),
    ("change_device", "group", {"json": {"group": "{name}"}}),
    ("import_devices", "group", {"content": "dn,group\nnew,{name}"}),
    ("create_rollout", "version", {"json": {"version": "{version}"}}),
    ("create_rollout", "group", {"json": {"version": BOTH, "group": "{name}"}}),
    ("create_rollout", "devices", {"json": {"version": BOTH, "devices": ["{dn}"]}}),
]

# Calls without an id, and what only the owner of all that finds in their answer.
OF_ALL = {
    "check_audit": "{head}",
    "list_alarms": "thermostat/1.0.0",
    "list_audit": "thermostat",
    "list_channels": "ops@example.com",
    "list_products": "thermostat",
    "list_tokens": "spare",
    "list_users": "ada",
    "show_me": "default",
}

# Calls of boards that prove who they are in what they send.
HANDSHAKES = ("login", "register")

NO_TENANT = {
    "challenge": "a nonce for any names, which nothing is looked up for",
    "create_channel": "names nothing that is there",
    "create_product": "its key is one among all tenants': boards name no tenant",
    "create_user": "his name is one among all tenants': who signs in names no tenant",
    "get_key_set": "public: signed, and no secret",
    "get_package": "public: signed, and no secret",
    "log": "of the device that the token is for",
    "poll": "of the device that the token is for",
    "report": "test_a_report_about_another_tenants_rollout_moves_nothing",
    "show_health": "the service's",
    "show_metrics": "the service's; names no device",
}

FORM = {"data": {"name": "new", "dn": "new", "version": BOTH, "role": "viewer"}}
# Pages and forms with ids in their path, and what is sent.
PAGES: dict[str, Sent] = {
    "GET /products/{pk}": {},
    "GET /products/{pk}/alarms": {},
    "GET /products/{pk}/approvals": {},
    "GET /products/{pk}/devices": {},
    "GET /products/{pk}/devices/{dn}": {},
    "GET /products/{pk}/groups": {},
    "GET /products/{pk}/guide": {},
    "GET /products/{pk}/releases": {},
    "GET /products/{pk}/releases/{version}": {},
    "GET /products/{pk}/rollouts": {},
    "GET /products/{pk}/rollouts/new": {},
    "GET /products/{pk}/rollouts/{rollout_id}": {},
    "GET /products/{pk}/settings": {},
    "POST /products/{pk}/alarms/{alarm_id}/acknowledge": {},
    "POST /products/{pk}/channels": {"data": {"kind": "email", "target": "a@b", "kinds": "job.failed"}},
    "POST /products/{pk}/channels/{channel_id}/disable": {},
    "POST /products/{pk}/devices": FORM,
    "POST /products/{pk}/devices/import": {"files": {"list": ("l.csv", b"dn\nnew\n")}},
    "POST /products/{pk}/devices/{dn}/approve": {},
    "POST /products/{pk}/devices/{dn}/change": {},
    "POST /products/{pk}/devices/{dn}/reissue": {},
    "POST /products/{pk}/devices/{dn}/revoke": {},
    "POST /products/{pk}/groups": FORM,
    "POST /products/{pk}/groups/{name}/delete": {},
    "POST /products/{pk}/guide/board": {},
    "POST /products/{pk}/guide/sample": {},
    "POST /products/{pk}/releases": {"data": {"version": "6.6.6"}, "files": {"image": ("i.bin", image())}},
    "POST /products/{pk}/releases/{version}/retry": {},
    "POST /products/{pk}/revert": FORM,
    "POST /products/{pk}/rollouts": FORM,
    "POST /products/{pk}/rollouts/{rollout_id}/{move}": {},
    "POST /products/{pk}/secret": {},
    "POST /products/{pk}/settings": {"data": {"name": "taken"}},
    "POST /team/tokens/{token_id}/revoke": {},
    "POST /team/users/{name}": {"data": {"role": "viewer"}},
}


def pages() -> Iterator[str]:
    for module in routes.PAGES:
        for route in module.router.routes:
            path = getattr(route, "path", "")
            if "{" in path:
                yield from (f"{method} {path}" for method in getattr(route, "methods", ()))


def test_no_call_is_left_out() -> None:
    """A new one is added to one of the tables above; what has an id in its path must answer for it."""
    known = operations()
    assert {*IN_PATH, *(name for name, _, _ in IN_BODY), *OF_ALL, *HANDSHAKES, *NO_TENANT} == set(known)
    public = {name for name, why in NO_TENANT.items() if why.startswith("public")}
    assert {name for name, call in known.items() if "{" in call} == {*IN_PATH, *public}


def test_no_page_is_left_out() -> None:
    assert sorted(PAGES) == sorted(pages())


# two tenants


@dataclass
class Person:
    """The owner of a tenant, by token and signed in, with a product and a device."""

    token: str
    cookie: str
    pk: str
    dn: str
    ps: bytes
    ds: bytes


@dataclass
class Stage:
    """Where the service's data is while it does not run."""

    folder: Path
    owner: Person
    stranger: Person
    head: str  # of the owner's audit log


async def settled(service: Service, pk: str, dn: str) -> Person:
    """Whom the service's token is for, once he has a product, a device and a release."""
    product = await service.product(pk)
    board = await joined(service, product, dn)
    await service.release(BOTH, image(pk.encode()), pk=pk)
    await service.built(BOTH, pk=pk)
    answer = await service.http.post("/sign-in", data={"secret": service.token})
    cookie = answer.headers["set-cookie"].split(";")[0]
    service.http.cookies.clear()
    return Person(service.token, cookie, pk, dn, bytes.fromhex(product["ps"]), board.ds)


async def set_up(folder: Path) -> Stage:
    """One of everything for the owner; for the stranger what he needs for the same calls."""
    async with started(folder, Clock(), QuickEngine()) as service:
        owner = await settled(service, THEIRS["pk"], THEIRS["dn"])
        await service.release("1.0.0", image())
        await service.built("1.0.0")
        await service.call("POST", "/products/thermostat/rollouts", 201, json={"version": "1.0.0"})
        await service.call("POST", "/products/thermostat/groups", 201, json={"name": "ada"})
        await service.call("POST", "/tokens", 201, json={"name": "spare", "role": "viewer"})
        ada = {"name": "ada", "role": "manager", "password": "correct horse battery"}
        await service.call("POST", "/users", 201, json=ada)
        await service.call("POST", "/channels", 201, json=CHANNEL)
        async with service.cloud.db.write() as session:
            await alarms.sound(session, 1, 1, "job.failed", "thermostat/1.0.0", "not made", 0)
        head = (await service.call("GET", "/audit/check"))["head"]
        token = await auth.owner_token(service.cloud, "strangers", create=True)
        stranger = await settled(Service(service.cloud, service.http, token), "camera", "hall")
    return Stage(folder, owner, stranger, head)


@pytest.fixture(scope="module")
def stage(empty: Path, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return asyncio.run(set_up(shutil.copytree(empty, tmp_path_factory.mktemp("stage") / "data")))


@pytest.fixture
async def service(stage: Stage, tmp_path: Path) -> AsyncIterator[Service]:
    """On a copy of the stage: what the owner's call does in one test is not there in the next."""
    data = shutil.copytree(stage.folder, tmp_path / "data")
    async with started(data, Clock(), QuickEngine(), again=True) as running:
        yield running


async def ask(service: Service, who: Person, call: str, ids: dict[str, str], sent: Sent) -> httpx.Response:
    method, path = call.split(" ")
    headers = {"Authorization": f"Bearer {who.token}", "Cookie": who.cookie}
    return await service.http.request(method, path.format(**ids), headers=headers, **sent)


_IDS = re.compile("|".join(rf"\b{re.escape(name)}\b" for name in (*THEIRS.values(), *NOBODYS.values())))


def said(answer: httpx.Response) -> tuple[int, list[str], str]:
    """All of an answer but the id that was asked for."""
    return answer.status_code, sorted(answer.headers), _IDS.sub("ID", answer.text)


def kept(service: Service) -> list[str]:
    """Everything in the database."""
    with closing(sqlite3.connect(service.cloud.settings.data / "cloud.sqlite")) as db:
        return list(db.iterdump())


def is_there(answer: httpx.Response) -> bool:
    """The owner's own call got past the ids, whatever else it may lack."""
    return answer.status_code < 500 and answer.status_code not in (401, 404)


async def test_there_are_two_tenants(service: Service, stage: Stage) -> None:
    """The stranger is somebody, may do everything, and has his own things."""
    for who in (stage.owner, stage.stranger):
        for call in (f"GET /api/v1/products/{who.pk}/devices/{who.dn}", f"GET /products/{who.pk}/settings"):
            assert (await ask(service, who, call, {}, {})).status_code == 200


async def refused(service: Service, stage: Stage, call: str, sent: Sent) -> None:
    """What all of these tests are about, for a call with ids in its path."""
    before = kept(service)
    # Also beneath a product of his own: the product is right then, and only what is in it is not.
    for own in ({}, {"pk": stage.stranger.pk}) if call.count("{") > 1 else ({},):
        answer = await ask(service, stage.stranger, call, THEIRS | own, sent)
        assert answer.status_code == 404, (own, answer.text)
        assert said(answer) == said(await ask(service, stage.stranger, call, NOBODYS | own, sent))
    assert kept(service) == before
    answer = await ask(service, stage.owner, call, THEIRS, sent)
    assert is_there(answer), answer.text


@pytest.mark.parametrize("name", IN_PATH)
async def test_another_tenants_id(service: Service, stage: Stage, name: str) -> None:
    await refused(service, stage, operations()[name], IN_PATH[name])


@pytest.mark.parametrize("call", PAGES)
async def test_another_tenants_id_in_the_console(service: Service, stage: Stage, call: str) -> None:
    await refused(service, stage, call, PAGES[call])


def filled(sent: Any, ids: dict[str, str]) -> Any:
    """With the ids in the places that have their names."""
    if isinstance(sent, dict):
        return {name: filled(value, ids) for name, value in sent.items()}
    if isinstance(sent, list):
        return [filled(value, ids) for value in sent]
    return sent.format(**ids)


@pytest.mark.parametrize(("name", "what", "sent"), IN_BODY, ids=[f"{n}-{what}" for n, what, _ in IN_BODY])
async def test_another_tenants_id_in_what_is_sent(
    service: Service, stage: Stage, name: str, what: str, sent: Sent
) -> None:
    async def send(who: Person, ids: dict[str, str]) -> httpx.Response:
        own = {"pk": who.pk, "dn": who.dn}
        return await ask(service, who, operations()[name], own, filled(sent, ids))

    before = kept(service)
    answer = await send(stage.stranger, THEIRS)
    assert answer.status_code == 404, (what, answer.text)
    assert said(answer) == said(await send(stage.stranger, NOBODYS))
    assert kept(service) == before
    assert is_there(await send(stage.owner, THEIRS))


@pytest.mark.parametrize("name", OF_ALL)
async def test_another_tenants_things_are_in_no_list(service: Service, stage: Stage, name: str) -> None:
    mark = OF_ALL[name].format(head=stage.head)
    answer = await ask(service, stage.stranger, operations()[name], {}, {})
    assert answer.status_code == 200
    assert mark not in answer.text
    assert mark in (await ask(service, stage.owner, operations()[name], {}, {})).text


@pytest.mark.parametrize("name", HANDSHAKES)
async def test_another_tenants_names_with_secrets_of_ones_own(
    service: Service, stage: Stage, name: str
) -> None:
    async def shake(who: Person, ids: dict[str, str]) -> httpx.Response:
        board = Board(service.http, ids["pk"], ids["dn"])
        answer = await board.handshake(name, who.ps if name == "register" else who.ds)
        assert isinstance(answer, httpx.Response)
        return answer

    before = kept(service)
    answer = await shake(stage.stranger, THEIRS)
    assert answer.status_code == 401
    assert said(answer) == said(await shake(stage.stranger, NOBODYS))
    assert kept(service) == before
    assert is_there(await shake(stage.owner, THEIRS))


async def test_a_report_about_another_tenants_rollout_moves_nothing(service: Service, stage: Stage) -> None:
    async def confirm(who: Person, rollout: str) -> tuple[list[int], int]:
        """Reports that are taken, and how many boards have confirmed the owner's rollout then."""
        board = Board(service.http, who.pk, who.dn, who.ds)
        await board.login()
        await board.poll()
        about = {"rollout": int(rollout), "seq": 2, "version": "1.0.0"}
        taken = await board.report({"id": 1, "state": "confirmed", **about})
        shown = await ask(service, stage.owner, operations()["show_rollout"], THEIRS, {})
        return taken, shown.json()["counts"]["confirmed"]

    for ids in (THEIRS, NOBODYS):
        assert await confirm(stage.stranger, ids["rollout_id"]) == ([1], 0)
    assert await confirm(stage.owner, THEIRS["rollout_id"]) == ([1], 1)
