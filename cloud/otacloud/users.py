"""People: a name, a password, a role. Owners look after them."""

import secrets
from functools import cache
from typing import Annotated

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from fastapi import APIRouter, Path
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud import audit
from otacloud.auth import AnyCaller, Caller, Owner
from otacloud.errors import refuse
from otacloud.models import Tenant, User
from otacloud.schemas import Me, Name, UserChange, UserIn, UserList, UserOut
from otacloud.services import Cloud, Services

router = APIRouter(prefix="/api/v1", tags=["users"])

_hasher = PasswordHasher()  # argon2id with the library's parameters, which follow RFC 9106


@cache
def _nobody() -> str:
    """A hash that no password has: what is checked where there is no such user."""
    return _hasher.hash(secrets.token_hex(16))


async def check_password(cloud: Services, name: str, password: str) -> User:
    """TOKEN_INVALID, and the same time taken, for an unknown name and a wrong password."""
    async with cloud.db.read() as session:
        user = await session.scalar(select(User).where(User.name == name, User.disabled_at.is_(None)))
    try:
        await run_in_threadpool(_hasher.verify, user.password if user else _nobody(), password)
    except (VerifyMismatchError, InvalidHashError):
        raise refuse("TOKEN_INVALID") from None
    if user is None:
        raise refuse("TOKEN_INVALID")
    return user


def caller_for(user: User) -> Caller:
    return Caller(user.tenant_id, "user", user.id, user.name, user.role)


async def find_user(session: AsyncSession, caller: Caller, name: str) -> User:
    user = await session.scalar(select(User).where(User.name == name, User.tenant_id == caller.tenant_id))
    if user is None:
        raise refuse("NOT_FOUND", f"user {name}")
    return user


@router.get("/me")
async def show_me(cloud: Cloud, caller: AnyCaller) -> Me:
    """Whom the token stands for."""
    async with cloud.db.read() as session:
        tenant = await session.get_one(Tenant, caller.tenant_id)
    return Me(name=caller.name, kind=caller.kind, role=caller.role, tenant=tenant.name)


@router.get("/users")
async def list_users(cloud: Cloud, caller: Owner) -> UserList:
    """The people of the team."""
    caller.must_be_for_all()
    async with cloud.db.read() as session:
        rows = await session.scalars(
            select(User).where(User.tenant_id == caller.tenant_id).order_by(User.name)
        )
        return UserList(users=[_out(user) for user in rows])


def _out(user: User) -> UserOut:
    return UserOut(
        name=user.name, role=user.role, created_at=user.created_at, disabled=user.disabled_at is not None
    )


@router.post("/users", status_code=201)
async def create_user(cloud: Cloud, caller: Owner, given: UserIn) -> UserOut:
    """Adds a person to the team."""
    caller.must_be_for_all()
    hashed = await run_in_threadpool(_hasher.hash, given.password.get_secret_value())
    async with cloud.db.write() as session:
        if await session.scalar(select(User.id).where(User.name == given.name)) is not None:
            raise refuse("NAME_EXISTS", f"user {given.name}")
        user = User(
            tenant_id=caller.tenant_id,
            name=given.name,
            role=given.role,
            password=hashed,
            created_at=cloud.now(),
        )
        session.add(user)
        await audit.record(session, caller, "user.create", given.name, cloud.now(), role=given.role)
    return _out(user)


@router.patch("/users/{name}")
async def change_user(
    cloud: Cloud, caller: Owner, name: Annotated[Name, Path()], change: UserChange
) -> UserOut:
    """Sets what is given. A new password, and being disabled, end the person's sessions."""
    caller.must_be_for_all()
    password = change.password.get_secret_value() if change.password else None
    hashed = await run_in_threadpool(_hasher.hash, password) if password else None
    async with cloud.db.write() as session:
        user = await find_user(session, caller, name)
        if change.role:
            user.role = change.role
        if hashed:
            user.password = hashed
        if change.disabled is not None:
            user.disabled_at = cloud.now() if change.disabled else None
        if hashed or change.disabled:
            user.generation += 1
        await session.flush()
        said = change.model_dump(exclude_none=True, exclude={"password"}) | (
            {"password": "new"} if hashed else {}
        )
        await audit.record(session, caller, "user.change", name, cloud.now(), **said)
    return _out(user)
