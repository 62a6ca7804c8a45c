"""Who did what: a log that only grows, each entry chained to the one before by its hash."""

import hashlib
import json
from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud.auth import Caller, Owner
from otacloud.db import LOCK
from otacloud.models import AuditEntry, Tenant
from otacloud.schemas import AuditCheck, AuditList, AuditOut
from otacloud.services import Cloud

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])

FIRST = "0" * 64
CHUNK = 1000


async def record(
    session: AsyncSession, caller: Caller, action: str, thing: str, now: int, **detail: Any
) -> None:
    """Adds an entry in the transaction of the act itself: neither is there without the other.

    `action` as "rollout.create"; `thing` names what it was done to. No secrets in `detail`.
    """
    # The tenant's row is the lock that keeps the chain single where writers do not queue anyway.
    await session.get(Tenant, caller.tenant_id, with_for_update=LOCK)
    last = await session.scalar(
        select(AuditEntry)
        .where(AuditEntry.tenant_id == caller.tenant_id)
        .order_by(AuditEntry.number.desc())
        .limit(1)
    )
    entry = AuditEntry(
        tenant_id=caller.tenant_id,
        created_at=now,
        number=last.number + 1 if last else 1,
        who=caller.title,
        action=action,
        object=thing,
        detail=detail,
        previous=last.hash if last else FIRST,
    )
    entry.hash = digest(entry)
    session.add(entry)
    await session.flush()


def digest(entry: AuditEntry) -> str:
    """SHA-256 over everything the entry says and the hash of the one before."""
    said = [
        *(entry.previous, entry.tenant_id, entry.number, entry.created_at),
        *(entry.who, entry.action, entry.object, entry.detail),
    ]
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@router.get("")
async def list_audit(
    cloud: Cloud,
    caller: Owner,
    before: Annotated[int | None, Query(ge=1, description="Entries older than this number.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> AuditList:
    """What was done, newest first."""
    caller.must_be_for_all()
    async with cloud.db.read() as session:
        return AuditList(entries=await entries(session, caller.tenant_id, before, limit))


async def entries(
    session: AsyncSession, tenant_id: int, before: int | None = None, limit: int = 100
) -> list[AuditOut]:
    query = select(AuditEntry).where(AuditEntry.tenant_id == tenant_id)
    if before is not None:
        query = query.where(AuditEntry.number < before)
    rows = await session.scalars(query.order_by(AuditEntry.number.desc()).limit(limit))
    return [AuditOut.model_validate(row, from_attributes=True) for row in rows]


@router.get("/check")
async def check_audit(cloud: Cloud, caller: Owner) -> AuditCheck:
    """Walks the whole chain. Keep `head` elsewhere: with it, a log cut short at its end is found too."""
    caller.must_be_for_all()
    previous, number = FIRST, 0
    async with cloud.db.read() as session:
        while True:
            query = select(AuditEntry).where(
                AuditEntry.tenant_id == caller.tenant_id, AuditEntry.number > number
            )
            rows = (await session.scalars(query.order_by(AuditEntry.number).limit(CHUNK))).all()
            for row in rows:
                if (row.number, row.previous, row.hash) != (number + 1, previous, digest(row)):
                    return AuditCheck(entries=number, head=previous, broken_at=number + 1)
                previous, number = row.hash, row.number
            if len(rows) < CHUNK:
                return AuditCheck(entries=number, head=previous, broken_at=None)
