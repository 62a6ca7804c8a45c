"""The pages as a browser without JavaScript gets them."""

import re
from typing import Any

import pytest
from otacloud.schemas import SCOPES
from otaspec import bundle

from tests.cloud.kit import Board, Service, image, joined

AT = "/products/thermostat"
PAGES = (
    *(
        AT + path
        for path in ("", "/devices", "/devices/kitchen", "/releases", "/releases/1.1.0", "/rollouts")
    ),
    *(
        AT + path
        for path in ("/rollouts/1", "/rollouts/new", "/approvals", "/groups", "/alarms", "/settings")
    ),
    *(AT + "/guide", "/new-product", "/team", "/audit"),
)


@pytest.fixture
async def board(service: Service) -> Board:
    board = await joined(service, await service.product(name="Thermo <stat>"), "kitchen")
    await board.poll()
    await sign_in(service, service.token)
    return board


async def sign_in(service: Service, secret: str, name: str = "") -> None:
    answer = await service.http.post("/sign-in", data={"secret": secret, "name": name})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


async def roll_out(service: Service, **fields: Any) -> None:
    await service.release("1.1.0", image())
    await service.built("1.1.0")
    await service.call("POST", f"{AT}/rollouts", 201, json={"version": "1.1.0", **fields})


async def show(service: Service, path: str, status: int = 200) -> str:
    answer = await service.http.get(path)
    assert answer.status_code == status, answer.text
    return answer.text


async def test_only_for_those_who_signed_in(service: Service) -> None:
    for path in ("/", *PAGES):
        answer = await service.http.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    wrong = await service.http.post("/sign-in", data={"secret": "drb_wrong"})
    assert wrong.status_code == 401
    assert "set-cookie" not in wrong.headers


async def test_cookie_ends_with_its_token_and_its_time(service: Service, board: Board, clock: Any) -> None:
    await show(service, AT)
    clock.time += 12 * 3600
    assert (await service.http.get(AT)).status_code == 303


async def test_every_page_is_whole_escaped_and_runs_nothing_of_others(service: Service, board: Board) -> None:
    await roll_out(service)
    for path in PAGES:
        answer = await service.http.get(path)
        assert answer.status_code == 200, path
        page = answer.text
        assert page.rstrip().endswith("</html>"), path
        assert page.count("<h1") == 1, path
        assert "Thermo <stat>" not in page, path
        assert lets_in(answer.headers["content-security-policy"]) == {"'none'", "'self'"}, path
        assert not re.search(r' style=| onclick=|(?:src|href)="(?:https?:)?//', page), path
        identities = re.findall(r' id="([^"]+)"', page)
        assert len(identities) == len(set(identities)), path


def lets_in(policy: str) -> set[str]:
    """The sources that a content security policy names; the default must be none."""
    rules = dict(rule.split(maxsplit=1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    return {source for sources in rules.values() for source in sources.split()}


async def test_what_a_page_loads_is_packed_and_kept(service: Service, board: Board) -> None:
    page = await service.http.get(f"{AT}/devices", headers={"Accept-Encoding": "gzip"})
    plain = await service.http.get(f"{AT}/devices", headers={"Accept-Encoding": "identity"})
    assert (page.headers["content-encoding"], page.text) == ("gzip", plain.text)
    files = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)
    assert len(files) == 3
    for file in files:
        packed = await service.http.get(file, headers={"Accept-Encoding": "gzip"})
        assert packed.headers["content-encoding"] == "gzip"
        assert "immutable" in packed.headers["cache-control"]
        plain = await service.http.get(file, headers={"Accept-Encoding": "identity"})
        assert plain.content == packed.content
        again = await service.http.get(file, headers={"If-None-Match": packed.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    other = await service.http.get("/static/style.css?v=of-yesterday")
    assert other.headers["cache-control"] == "no-cache"
    for path in ("/static/none.css", "/static/../pages.py", "/static/%2e%2e%2fpages.py"):
        assert (await service.http.get(path)).status_code == 404


async def test_of_another_tenants_product_there_is_no_page(service: Service, board: Board) -> None:
    for path in ("", "/devices", "/rollouts/1", "/guide"):
        assert "NOT_FOUND" in await show(service, "/products/somebody-elses" + path, 404)


async def test_before_there_is_a_product_the_first_page_makes_one(service: Service) -> None:
    await sign_in(service, service.token)
    assert "first product" in (await service.http.get("/", follow_redirects=True)).text
    made = await service.http.post("/products", data={"name": "Smart Lamp!"})
    assert made.headers["location"] == "/products/smart-lamp/guide"
    assert "Use the sample release" in await show(service, "/products/smart-lamp/guide")


async def test_an_error_comes_with_cause_evidence_and_remedy(service: Service, board: Board) -> None:
    update = {"rollout": 1, "seq": 2, "version": "1.1.0"}
    await board.report(board.new_report(update, "reverted", code=501, step=-1, detail="<sensor>"))
    assert "SELF_<wbr>TEST_<wbr>FAILED" in await show(service, f"{AT}/devices")
    page = await show(service, f"{AT}/devices/kitchen")
    for part in ("SELF_TEST_FAILED", "501", "&lt;sensor&gt;", "Cause", "Evidence", "What to do"):
        assert part in page
    assert "1 device failed or went back" in await show(service, AT)


async def test_what_a_board_says_of_itself_is_shown_in_words(service: Service, board: Board) -> None:
    await board.poll(version="1.0.1", stale=[], frozen=True)  # (a new version is written at once)
    shown = await show(service, f"{AT}/devices/kitchen")
    assert '<dt>frozen</dt><dd title="True">yes</dd>' in shown
    assert "stale" not in shown
    await board.poll(version="1.0.2", stale=["app.py", "lib/x.py"])
    shown = await show(service, f"{AT}/devices/kitchen")
    assert '<dt>stale</dt><dd title="app.py, lib/x.py">app.py, lib/x.py</dd>' in shown


async def test_who_needs_a_newer_agent_is_shown_with_the_way_out(service: Service, board: Board) -> None:
    files = bundle.build({"app.py": b"new"})
    await service.release("2.0.0", files + image(), bundle_size=len(files))
    await service.built("2.0.0")
    await service.call("POST", f"{AT}/rollouts", 201, json={"version": "2.0.0"})
    assert (await board.poll(seq=0))["update"] is None
    for path in ("/rollouts/1", "/devices/kitchen"):
        page = await show(service, AT + path)
        for part in ("newer agent", "NEEDS_NEWER_AGENT", "What to do"):
            assert part in page, path


async def test_nothing_is_taken_from_another_site(service: Service, board: Board) -> None:
    for headers in ({"Origin": "http://evil"}, {"Sec-Fetch-Site": "cross-site"}):
        for path in ("/sign-out", "/products", f"{AT}/settings", f"{AT}/releases"):
            answer = await service.http.post(path, headers=headers, data={"name": "x"})
            assert answer.status_code == 403, path


async def test_buttons_move_a_rollout(service: Service, board: Board) -> None:
    await roll_out(service)
    for move, state in (("pause", "paused"), ("resume", "running"), ("stop", "stopped")):
        answer = await service.http.post(f"{AT}/rollouts/1/{move}")
        assert answer.status_code == 303
        assert f'<span class="badge {state}">' in await show(service, f"{AT}/rollouts/1")
    assert "STATE_CONFLICT" in (await service.http.post(f"{AT}/rollouts/1/pause")).text


async def test_a_rollout_of_a_form(service: Service, board: Board) -> None:
    await service.release("1.1.0", image())
    form = {
        "version": "1.1.0",
        "plan": "own",
        "phases": "1%:60 20",
        "window_from": "22:00",
        "window_to": "04:30",
    }
    made = await service.http.post(f"{AT}/rollouts", data={**form, "stop_after_failures": "2", "draft": "1"})
    assert made.headers["location"] == f"{AT}/rollouts/1"
    shown = await service.call("GET", f"{AT}/rollouts/1")
    assert (shown["state"], shown["stop_after_failures"], shown["window"]) == ("draft", 2, [1320, 270])
    assert [(p["percent"], p["count"], p["soak"]) for p in shown["phases"]] == [(1, 0, 60), (0, 20, 0)]
    wrong = await service.http.post(f"{AT}/rollouts", data={**form, "phases": "many"})
    assert wrong.status_code == 400
    assert "many is not like 5%:3600" in wrong.text


async def test_an_image_is_uploaded_by_a_form(service: Service, board: Board) -> None:
    form = {"version": "2.0.0", "notes": "new <b>"}
    made = await service.http.post(f"{AT}/releases", data=form, files={"image": ("x.bin", image())})
    assert made.headers["location"] == f"{AT}/releases/2.0.0"
    await service.built("2.0.0")
    page = await show(service, f"{AT}/releases/2.0.0")
    assert "new &lt;b&gt;" in page
    assert "LINUX_HOST" in page
    broken = await service.http.post(
        f"{AT}/releases", data={"version": "3"}, files={"image": ("x.bin", b"no image")}
    )
    assert broken.status_code == 400
    assert "What to do" in broken.text


async def test_the_way_back_is_the_old_image_with_a_new_number(service: Service, board: Board) -> None:
    await roll_out(service)
    await service.release("1.2.0", image(b"two"))
    made = await service.http.post(f"{AT}/revert", data={"version": "1.1.0", "careful": "1"})
    assert made.headers["location"] == f"{AT}/rollouts/2"
    shown = await service.call("GET", f"{AT}/rollouts/2")
    assert (shown["version"], shown["seq"], shown["phases"][0]["count"]) == ("1.1.0-again3", 3, 1)


async def test_approval_by_somebody_else(service: Service, board: Board) -> None:
    await service.http.post(f"{AT}/settings", data={"name": "T", "registration": "open", "approvals": "1"})
    await roll_out(service)
    for path in (f"{AT}/approvals", f"{AT}/rollouts/1"):
        page = await show(service, path)
        assert "somebody else must agree" in page
        assert "/approve" not in page
    people = {"name": "ada", "role": "manager", "password": "correct horse"}
    await service.http.post("/team/users", data=people)
    await sign_in(service, "correct horse", "ada")
    assert f"{AT}/rollouts/1/approve" in await show(service, f"{AT}/approvals")
    await service.http.post(f"{AT}/rollouts/1/approve", data={"back": "approvals"})
    assert "No rollout waits" in await show(service, f"{AT}/approvals")
    assert (await service.call("GET", f"{AT}/rollouts/1"))["approved_by"] == ["user ada"]


async def test_a_secret_is_shown_once(service: Service, board: Board) -> None:
    made = await service.http.post("/team/tokens", data={"name": "ci", "role": "viewer"})
    token = re.search(r"drb_[\w-]+", made.text)
    assert token
    assert made.headers["cache-control"] == "no-store"
    assert token[0] not in await show(service, "/team")
    await service.http.post("/team/tokens/2/revoke")
    answer = await service.http.get("/api/v1/me", headers={"Authorization": f"Bearer {token[0]}"})
    assert answer.status_code == 401


async def test_a_token_of_a_form_may_be_held_to_scopes(service: Service, board: Board) -> None:
    page = await show(service, "/team")
    boxes = re.findall(
        r'<label class="check"><input type="checkbox" name="scopes" value="(.+?)"> \1</label>', page
    )
    assert boxes == list(SCOPES)
    form = {"name": "ci", "role": "manager", "scopes": ["rollouts:read", "releases:write"]}
    made = (await service.http.post("/team/tokens", data=form)).text
    assert "for releases:write, rollouts:read only" in made
    assert "releases:write, rollouts:read" in await show(service, "/team")
    token = re.search(r"drb_[\w-]+", made)
    assert token
    headers = {"Authorization": f"Bearer {token[0]}"}
    for path, status in (("/releases", 200), ("/rollouts", 200), ("/devices", 403)):
        answer = await service.http.get(f"/api/v1{AT}{path}", headers=headers)
        assert answer.status_code == status, path
    wrong = await service.http.post("/team/tokens", data={**form, "scopes": "everything"})
    assert wrong.status_code == 400


async def test_the_audit_page_says_when_the_chain_is_broken(service: Service, board: Board) -> None:
    assert "The chain is whole" in await show(service, "/audit")
    from sqlalchemy import text

    async with service.cloud.db.write() as session:
        await session.execute(text("DROP TRIGGER IF EXISTS audit_entries_no_update"))
        names = await session.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))
        for name in list(names):
            await session.execute(text(f"DROP TRIGGER {name}"))
        await session.execute(text("UPDATE audit_entries SET who = 'nobody' WHERE number = 1"))
    assert "Entry 1 was changed" in await show(service, "/audit")


async def test_the_guide_gives_a_command_with_the_boards_own_secret(service: Service, board: Board) -> None:
    page = (await service.http.post(f"{AT}/guide/board")).text
    command = re.search(r"driblet sim thermostat board-2 ([0-9a-f]{64}) --server http://cloud --key", page)
    assert command
    assert f'hx-sse:connect="{AT}/guide?' in page
    assert command[1] not in await show(service, f"{AT}/guide")
