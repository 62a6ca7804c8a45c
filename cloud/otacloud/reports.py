"""Reports of devices: each counted once by (device, report id), and what follows from it for a rollout."""

from typing import Annotated, Any, Literal

from otaspec.names import COUNT, TABLE, reaction
from pydantic import BaseModel, Field
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud import targets
from otacloud.alarms import sound
from otacloud.db import LOCK
from otacloud.errors import explain
from otacloud.events import Event
from otacloud.models import Device, Product, Report, Target
from otacloud.services import Services

State = Literal[
    "downloading", "applying", "verifying", "rebooting", "pending-verify",
    "confirmed", "reverted", "failed", "deferred", "idle",
]  # fmt: skip
FINAL = ("confirmed", "reverted", "failed")
KEPT = 1_000  # ids of reports of a device, the newest: however often it says something, its timeline ends


class ReportIn(BaseModel):
    """PROTOCOL.md section 4."""

    id: Annotated[int, Field(ge=0, lt=2**53)]
    at: Annotated[int, Field(ge=0, lt=2**40)] = 0
    rollout: Annotated[int, Field(ge=0, lt=2**53)] | None = None
    seq: Annotated[int, Field(ge=0, lt=2**31)] = 0
    version: Annotated[str, Field(max_length=64)] = ""
    state: State
    step: Annotated[int, Field(ge=-4, le=100)] = 0
    code: Annotated[int, Field(ge=0, le=65535)] = 0
    coarse: Annotated[int, Field(ge=-4, le=0)] = 0
    detail: Annotated[str, Field(max_length=256)] = ""
    data: dict[str, Any] = {}


class ReportsIn(BaseModel):
    reports: Annotated[list[ReportIn], Field(max_length=16)]


def outcome(state: str, code: int) -> str | None:
    """What a report makes of a place in a rollout: confirmed, failed, deferred, or nothing yet.

    Only codes whose reaction is COUNT are failures of the release (BOOT rule 4). A failure with a
    number that this server does not know counts too: better to stop once too often.
    """
    if state == "confirmed":
        return "confirmed"
    if state == "deferred":
        return "deferred"
    if state not in ("failed", "reverted"):
        return None
    counts = code not in TABLE or reaction(code) == COUNT
    return "failed" if counts else "deferred"


async def take(cloud: Services, device_id: int, reports: list[ReportIn]) -> list[int]:
    """Keeps `reports` in one transaction; the ids that the board may forget."""
    events: list[Event] = [Event("device", device_id)]
    async with cloud.db.write() as session:
        device = await session.get_one(Device, device_id, with_for_update=LOCK)
        known = await _known(session, device_id, [report.id for report in reports])
        for report in sorted(reports, key=lambda r: r.id):
            if report.id not in known:
                known.add(report.id)
                cloud.metrics.reports.labels(report.state).inc()
                rollout_id = await _take_one(session, device, report, cloud.now())
                if rollout_id is not None:
                    events.append(Event("rollout", rollout_id))
        old = (Report.device_id == device_id, Report.report_id <= device.last_report - KEPT)
        await session.execute(delete(Report).where(*old))
    cloud.presence.saw(device_id, cloud.now())
    cloud.hub.publish(device.tenant_id, *events)
    return [report.id for report in reports]


async def _known(session: AsyncSession, device_id: int, ids: list[int]) -> set[int]:
    rows = select(Report.report_id).where(Report.device_id == device_id, Report.report_id.in_(ids))
    return set(await session.scalars(rows))


async def _take_one(session: AsyncSession, device: Device, report: ReportIn, now: int) -> int | None:
    """The rollout that the report is about, if it changed something there."""
    newest = report.id > device.last_report
    if not newest and report.state not in FINAL:
        return None  # late progress says nothing any more
    changed = device.state != report.state or device.code != report.code
    if newest:
        _show(device, report, now)
    if not changed and report.state not in FINAL:
        return None
    if report.state == "reverted":
        await _sound_revert(session, device, report, now)
    target = await _place(session, device.id, report)
    rollout_id = target.rollout_id if target else None
    session.add(_row(device, report, rollout_id, now))
    if target is None:
        return None
    target.active_at = now
    result = outcome(report.state, report.code)
    if result:
        words = explain(report.code)["name"] if report.code else report.state
        await targets.settle(session, target.rollout_id, device, result, report.code, words, now)
    return target.rollout_id


async def _sound_revert(session: AsyncSession, device: Device, report: ReportIn, now: int) -> None:
    product = await session.get_one(Product, device.product_id)
    name = explain(report.code)["name"] if report.code else "no reason given"
    named = f"{product.pk}/{device.dn}"
    text = f"{named} went back from {report.version or 'a new release'}: {name}"
    data = {"dn": device.dn, "version": report.version, "code": report.code, "error": name}
    await sound(session, device.tenant_id, product.id, "device.reverted", named, text, now, **data)


def _show(device: Device, report: ReportIn, now: int) -> None:
    device.last_report = report.id
    device.state = report.state
    device.state_at = now
    device.step = report.step
    device.code = report.code
    device.detail = report.detail


async def _place(session: AsyncSession, device_id: int, report: ReportIn) -> Target | None:
    """The device's place in the rollout that the report names."""
    if report.rollout is None:
        return None
    return await session.get(Target, (report.rollout, device_id))


def _row(device: Device, report: ReportIn, rollout_id: int | None, now: int) -> Report:
    fields = report.model_dump(exclude={"id", "rollout"})
    return Report(
        tenant_id=device.tenant_id,
        device_id=device.id,
        report_id=report.id,
        rollout_id=rollout_id,
        created_at=now,
        **fields,
    )
