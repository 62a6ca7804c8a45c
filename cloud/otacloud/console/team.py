"""People, tokens, and the log of who did what: for owners."""

from typing import Annotated

from fastapi import APIRouter, Form, Query
from fastapi.responses import Response
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud import audit, tokens, users
from otacloud.auth import ROLES
from otacloud.console import actions
from otacloud.console.live import Part, View
from otacloud.console.shell import Here, PageRoute, to
from otacloud.schemas import SCOPES, Name, Role, Scope, TokenIn, UserChange, UserIn

router = APIRouter(include_in_schema=False, route_class=PageRoute)

SHOWN = 50
CHECKED_AT_ONCE = 5_000  # entries of the log; a longer one is checked when somebody asks


@router.get("/team")
async def team_page(here: Here) -> Response:
    here.needs("user.create")

    async def load(session: AsyncSession) -> View:
        values = {
            "users": (await users.list_users(here.cloud, here.viewer)).users,
            "tokens": (await tokens.list_tokens(here.cloud, here.viewer)).tokens,
            "roles": ROLES,
            "scopes": SCOPES,
        }
        return await here.view(session, "team", "team.html", values)

    return await here.show(load)


@router.post("/team/users")
async def create_user(
    here: Here,
    name: Annotated[str, Form(max_length=64)],
    role: Annotated[Role, Form()],
    password: Annotated[str, Form(max_length=128)],
) -> Response:
    given = actions.filled(UserIn, {"name": name.strip(), "role": role, "password": password})
    await actions.act(users.create_user, here.cloud, here.viewer, given)
    return to("team")


@router.post("/team/users/{name}")
async def change_user(
    here: Here,
    name: Name,
    role: Annotated[Role | None, Form()] = None,
    password: Annotated[str, Form(max_length=128)] = "",
    disabled: Annotated[bool | None, Form()] = None,
) -> Response:
    fields = {"role": role, "password": password or None, "disabled": disabled}
    given = actions.filled(UserChange, {k: v for k, v in fields.items() if v is not None})
    await actions.act(users.change_user, here.cloud, here.viewer, name, given)
    return to("team")


@router.post("/team/tokens")
async def create_token(
    here: Here,
    name: Annotated[str, Form(max_length=64)],
    role: Annotated[Role, Form()],
    product: Annotated[str, Form(max_length=64)] = "",
    scopes: Annotated[list[Scope], Form()] = [],  # noqa: B006 - never changed
) -> Response:
    fields = {"name": name.strip(), "role": role, "product": product or None, "scopes": scopes}
    given = actions.filled(TokenIn, fields)
    made = await actions.act(tokens.create_token, here.cloud, here.viewer, given)
    only = f", for {', '.join(made.scopes)} only" if made.scopes else ""
    return await here.once(
        title=f"The token {made.name}",
        words=f"For a program, with the role {made.role}{only}. "
        "It goes into the header Authorization: Bearer ...",
        secret=made.token,
        back="/team",
    )


@router.post("/team/tokens/{token_id}/revoke")
async def revoke_token(here: Here, token_id: int) -> Response:
    await actions.act(tokens.revoke_token, here.cloud, here.viewer, token_id)
    return to("team")


@router.get("/audit")
async def audit_page(
    here: Here, before: Annotated[int | None, Query(ge=1)] = None, check: bool = False
) -> Response:
    here.needs("audit.list")

    async def load(session: AsyncSession) -> View:
        entries = await audit.entries(session, here.viewer.tenant_id, before, SHOWN)
        newest = (await audit.entries(session, here.viewer.tenant_id, None, 1))[:1]
        short = not newest or newest[0].number <= CHECKED_AT_ONCE
        chain = await audit.check_audit(here.cloud, here.viewer) if check or short else None
        values = {"entries": entries, "chain": chain, "before": before, "more": len(entries) == SHOWN}
        parts = {"audit": Part("_audit.html")} if before is None else {}
        return await here.view(session, "audit", "audit.html", values, parts, wants=lambda _: False)

    return await here.show(load)
