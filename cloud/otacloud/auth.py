"""Who calls the management API: tokens, and the tenant and role they stand for."""

import hashlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Depends, Request
from fastapi.routing import APIRoute
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud.errors import refuse
from otacloud.logs import note
from otacloud.models import ApiToken, Tenant
from otacloud.schemas import Role
from otacloud.services import Cloud, Services

PREFIX = "drb_"
ROLES: tuple[Role, ...] = ("viewer", "operator", "manager", "owner")  # each may do what those before it may


@dataclass(frozen=True)
class Caller:
    """The tenant comes from the credential, never from the request."""

    tenant_id: int
    kind: Literal["token", "user"]
    id: int
    name: str
    role: Role
    product_id: int | None = None  # a token may be for one product only
    scopes: tuple[str, ...] = ()  # and for some calls only; none: for all that its role may

    @property
    def title(self) -> str:
        """For the audit log."""
        return f"{self.kind} {self.name}"

    def may(self, role: Role) -> bool:
        return ROLES.index(self.role) >= ROLES.index(role)

    def covers(self, scope: str) -> bool:
        """Whether `area:read` or `area:write` is within its scopes; who may write may read."""
        area = scope.partition(":")[0]
        return not self.scopes or scope in self.scopes or f"{area}:write" in self.scopes

    def must_be_for_all(self) -> None:
        """NOT_ALLOWED for a token of one product: this is about the whole tenant."""
        if self.product_id is not None:
            raise refuse("NOT_ALLOWED", "the token is for one product")


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
    return caller_for(row)


def caller_for(token: ApiToken) -> Caller:
    scopes = tuple(token.scopes)
    return Caller(token.tenant_id, "token", token.id, token.name, token.role, token.product_id, scopes)


def bearer(request: Request, problem: str) -> str:
    """The bearer token of the request (RFC 6750 section 2.1); the error `problem` where there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise refuse(problem)
    return token.strip()


async def _caller(request: Request, cloud: Cloud) -> Caller:
    return counted(cloud, await caller_of(cloud, bearer(request, "TOKEN_INVALID")))


def counted(cloud: Services, caller: Caller) -> Caller:
    """The caller, named in the log and counted against its tenant's quota."""
    note(tenant=caller.tenant_id, who=caller.title)
    cloud.quotas.tenant(caller.tenant_id)
    return caller


def scope_of(route: APIRoute, method: str) -> str:
    """What a token with scopes needs for a call: the last tag of its route says what it is about."""
    return f"{route.tags[-1]}:{'read' if method == 'GET' else 'write'}"


def _at_least(role: Role) -> Callable[[Request, Caller], Awaitable[Caller]]:
    async def check(request: Request, caller: Annotated[Caller, Depends(_caller)]) -> Caller:
        if not caller.may(role):
            raise refuse("NOT_ALLOWED", f"this needs the role {role}")
        scope = scope_of(request.scope["route"], request.method)
        if not caller.covers(scope):
            raise refuse("NOT_ALLOWED", f"this needs the scope {scope}")
        return caller

    return check


AnyCaller = Annotated[Caller, Depends(_caller)]
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
            tenant = await add_tenant(session, "default", cloud.now())
        elif given is None:
            return None
        token = given.get_secret_value() if given else new_token()
        await add_token(session, tenant.id, "admin", "owner", token, cloud.now())
    return token


async def add_tenant(session: AsyncSession, name: str, now: int) -> Tenant:
    tenant = Tenant(name=name, created_at=now)
    session.add(tenant)
    await session.flush()
    return tenant


async def add_token(
    session: AsyncSession, tenant_id: int, name: str, role: Role, token: str, now: int
) -> ApiToken:
    """Keeps the hash of `token`; the token that is there already where it is known."""
    known = await session.scalar(select(ApiToken).where(ApiToken.digest == digest(token)))
    if known is not None:
        return known
    row = ApiToken(tenant_id=tenant_id, name=name, role=role, digest=digest(token), created_at=now)
    session.add(row)
    return row


async def owner_token(cloud: Services, tenant_name: str, create: bool) -> str:
    """A new owner's token of a tenant, which is made where `create` says so.

    For the command line on the server's machine: who can read the database needs no permission.
    """
    token = new_token()
    async with cloud.db.write() as session:
        tenant = await session.scalar(select(Tenant).where(Tenant.name == tenant_name))
        if tenant is None and not create:
            raise refuse("NOT_FOUND", f"tenant {tenant_name}")
        if tenant is not None and create:
            raise refuse("NAME_EXISTS", f"tenant {tenant_name}")
        tenant = tenant or await add_tenant(session, tenant_name, cloud.now())
        await add_token(session, tenant.id, "admin", "owner", token, cloud.now())
    return token
