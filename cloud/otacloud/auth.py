"""Who calls the management API: tokens, and the tenant and role they stand for."""

import hashlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from otaspec.errors import OtaError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud.errors import refuse
from otacloud.models import ApiToken, Tenant
from otacloud.services import Cloud, Services

PREFIX = "drb_"
ROLES = ("viewer", "operator", "manager", "owner")  # each may do what those before it may


@dataclass(frozen=True)
class Caller:
    """The tenant comes from the credential, never from the request."""

    tenant_id: int
    token_id: int
    name: str
    role: str


def new_token() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


async def caller_of(cloud: Services, token: str) -> Caller:
    """TOKEN_INVALID for anything but a token that is in force."""
    async with cloud.db.read() as session:
        row = await session.scalar(select(ApiToken).where(ApiToken.digest == digest(token)))
    if row is None or row.revoked_at is not None:
        raise refuse("TOKEN_INVALID")
    return Caller(row.tenant_id, row.id, row.name, row.role)


def bearer(request: Request, problem: OtaError) -> str:
    """The bearer token of the request (RFC 6750 section 2.1); `problem` where there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise problem
    return token.strip()


async def _caller(request: Request, cloud: Cloud) -> Caller:
    return await caller_of(cloud, bearer(request, refuse("TOKEN_INVALID")))


def _at_least(role: str) -> Callable[[Caller], Awaitable[Caller]]:
    needed = ROLES.index(role)

    async def check(caller: Annotated[Caller, Depends(_caller)]) -> Caller:
        if ROLES.index(caller.role) < needed:
            raise refuse("NOT_ALLOWED", f"this needs the role {role}")
        return caller

    return check


# The annotation of an endpoint's caller says which role it needs, at least.
Viewer = Annotated[Caller, Depends(_at_least("viewer"))]
Operator = Annotated[Caller, Depends(_at_least("operator"))]
Manager = Annotated[Caller, Depends(_at_least("manager"))]
Owner = Annotated[Caller, Depends(_at_least("owner"))]


async def bootstrap(cloud: Services) -> str | None:
    """Makes the first tenant and its owner's token; the token is told once, here."""
    given = cloud.settings.admin_token
    async with cloud.db.write() as session:
        tenant = await session.scalar(select(Tenant).order_by(Tenant.id).limit(1))
        if tenant is None:
            tenant = Tenant(name="default", created_at=cloud.now())
            session.add(tenant)
            await session.flush()
        elif given is None:
            return None
        token = given.get_secret_value() if given else new_token()
        await add_token(session, tenant.id, "admin", "owner", token, cloud.now())
    return token


async def add_token(
    session: AsyncSession, tenant_id: int, name: str, role: str, token: str, now: int
) -> None:
    """Keeps the hash of `token`; nothing happens where it is known already."""
    if await session.scalar(select(ApiToken.id).where(ApiToken.digest == digest(token))) is None:
        session.add(ApiToken(tenant_id=tenant_id, name=name, role=role, digest=digest(token), created_at=now))


async def issue(cloud: Services, name: str, role: str) -> str:
    """A new token of the first tenant."""
    token = new_token()
    async with cloud.db.write() as session:
        tenant_id = (await session.scalars(select(Tenant.id).order_by(Tenant.id).limit(1))).one()
        await add_token(session, tenant_id, name, role, token, cloud.now())
    return token
