"""Devices as people see them: made, listed, shown with their timeline, approved, revoked."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud import audit
from otacloud.auth import Caller, Operator, Viewer
from otacloud.devicelist import Row, read_csv
from otacloud.errors import describe, refuse
from otacloud.events import Event
from otacloud.groups import find_group
from otacloud.membership import place, place_new
from otacloud.models import Device, DeviceLog, Group, Product, Report
from otacloud.products import find
from otacloud.schemas import (
    Access,
    DeviceChange,
    DeviceDetail,
    DeviceIn,
    DeviceOut,
    DevicePage,
    DeviceSecret,
    Imported,
    Name,
    ReportOut,
)
from otacloud.services import Cloud, Services
from otacloud.targets import dismiss, is_held, open_places

router = APIRouter(prefix="/api/v1/products/{pk}/devices", tags=["devices"])


TIMELINE = 200
CHUNK = 2000


def out(cloud: Services, device: Device) -> dict[str, Any]:
    """The fields of DeviceOut."""
    made = ("error", "group")
    fields = {name: getattr(device, name) for name in DeviceOut.model_fields if name not in made}
    fields["group"] = device.group_name
    fields["error"] = describe(device.code, device.detail)
    fields["last_seen_at"] = cloud.presence.last(device.id) or device.last_seen_at
    return fields


async def find_device(session: AsyncSession, product: Product, dn: str) -> Device:
    """The product's device `dn`; NOT_FOUND."""
    device = await session.scalar(select(Device).where(Device.product_id == product.id, Device.dn == dn))
    if device is None:
        raise refuse("NOT_FOUND", f"device {dn}")
    return device


def new_device(
    product: Product, dn: str, origin: str, access: Access, sealed: bytes | None, now: int
) -> Device:
    return Device(
        tenant_id=product.tenant_id,
        product_id=product.id,
        dn=dn,
        origin=origin,
        access=access,
        ds_sealed=sealed,
        created_at=now,
    )


@router.post("", status_code=201)
async def create_device(cloud: Cloud, caller: Operator, pk: Name, given: DeviceIn) -> DeviceSecret:
    """Makes a device with a secret of its own."""
    ds, sealed = cloud.device_auth.new_secret()
    async with cloud.db.write() as session:
        product = await find(session, caller, pk)
        taken = select(Device.id).where(Device.product_id == product.id, Device.dn == given.dn)
        if await session.scalar(taken) is not None:
            raise refuse("NAME_EXISTS", f"device {given.dn}")
        device = new_device(product, given.dn, "operator", "approved", sealed, cloud.now())
        session.add(device)
        await session.flush()
        await _sort(session, product, device, given, cloud.now())
        await audit.record(session, caller, "device.create", f"{pk}/{given.dn}", cloud.now())
    cloud.hub.publish(caller.tenant_id, Event("device", device.id))
    return DeviceSecret(dn=given.dn, ds=ds.hex())


async def _sort(
    session: AsyncSession, product: Product, device: Device, given: DeviceIn | DeviceChange, now: int
) -> None:
    """Sets the static group and the tags that are given, and what follows from them."""
    if "group" in given.model_fields_set:
        group = await find_group(session, product, given.group) if given.group else None
        device.group_id, device.group_name = (group.id, group.name) if group else (None, None)
    if given.tags is not None:
        device.tags = sorted(set(given.tags))
    await place(session, device, now, new=device.access == "approved")


@router.patch("/{dn}")
async def change_device(
    cloud: Cloud, caller: Operator, pk: Name, dn: Name, change: DeviceChange
) -> DeviceOut:
    """Moves a device to another group, or tags it."""
    async with cloud.db.write() as session:
        product = await find(session, caller, pk)
        device = await find_device(session, product, dn)
        await _sort(session, product, device, change, cloud.now())
        said = change.model_dump(exclude_unset=True)
        await audit.record(session, caller, "device.change", f"{pk}/{dn}", cloud.now(), **said)
    cloud.hub.publish(caller.tenant_id, Event("device", device.id))
    return DeviceOut(**out(cloud, device))


@router.post("/import")
async def import_devices(cloud: Cloud, caller: Operator, pk: Name, request: Request) -> Imported:
    """Names devices beforehand. The body is CSV with a head line: dn, and if you like group, tags, ds.

    With ds (64 hex digits) a device logs in at once; without, it registers with the product secret,
    whatever the registration switch says. Tags are separated by spaces. All rows are taken, or none.
    """
    return await import_list(cloud, caller, pk, await request.body())


async def import_list(cloud: Services, caller: Caller, pk: str, text: bytes) -> Imported:
    """Names the devices of a list in CSV."""
    rows = read_csv(text.decode("utf-8-sig", "replace"))
    known: list[str] = []
    async with cloud.db.write() as session:
        product = await find(session, caller, pk)
        query = select(Device.dn).where(Device.product_id == product.id)
        names = [row.dn for row in rows]
        for start in range(0, len(names), CHUNK):
            known += list(await session.scalars(query.where(Device.dn.in_(names[start : start + CHUNK]))))
        groups = {
            name: await find_group(session, product, name) for name in {r.group for r in rows if r.group}
        }
        there = set(known)
        fresh = [_listed(cloud, product, row, groups) for row in rows if row.dn not in there]
        session.add_all(fresh)
        await session.flush()
        made = [device.id for device in fresh]
        await place_new(session, fresh, product.id, cloud.now())
        await audit.record(session, caller, "device.import", pk, cloud.now(), made=len(made))
    cloud.hub.publish(caller.tenant_id, *(Event("device", device_id) for device_id in made))
    return Imported(made=len(made), known=known)


def _listed(cloud: Services, product: Product, row: Row, groups: dict[str, Group]) -> Device:
    sealed = cloud.vault.seal(row.ds, "ds") if row.ds else None
    origin = "operator" if row.ds else "dynamic"
    device = new_device(product, row.dn, origin, "approved", sealed, cloud.now())
    if row.group:
        device.group_id, device.group_name = groups[row.group].id, row.group
    device.tags = row.tags
    return device


@router.get("")
async def list_devices(
    cloud: Cloud,
    caller: Viewer,
    pk: Name,
    access: Annotated[Access | None, Query()] = None,
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> DevicePage:
    """One page, by name."""
    async with cloud.db.read() as session:
        product = await find(session, caller, pk)
        wanted = [Device.product_id == product.id]
        if access:
            wanted.append(Device.access == access)
        total = await session.scalar(select(func.count()).select_from(Device).where(*wanted)) or 0
        rows = await session.scalars(
            select(Device).where(*wanted).order_by(Device.dn).offset(offset).limit(limit)
        )
        return DevicePage(total=total, devices=[DeviceOut(**out(cloud, device)) for device in rows])


@router.get("/{dn}")
async def show_device(cloud: Cloud, caller: Viewer, pk: Name, dn: Name) -> DeviceDetail:
    """A device, its update timeline and its last failure log."""
    async with cloud.db.read() as session:
        device = await find_device(session, await find(session, caller, pk), dn)
        reports = await session.scalars(
            select(Report).where(Report.device_id == device.id).order_by(Report.id.desc()).limit(TIMELINE)
        )
        log = await session.scalar(
            select(DeviceLog.text)
            .where(DeviceLog.device_id == device.id)
            .order_by(DeviceLog.id.desc())
            .limit(1)
        )
        told = [_report_out(report) for report in reports]
        held = [place for place in await open_places(session, device.id) if is_held(place[0])]
    extra = {name: getattr(device, name) for name in ("codecs", "staging", "ram", "inventory")}
    why = describe(held[0][0].code, f"the release {held[0][2].version}") if held else None
    return DeviceDetail(**out(cloud, device), **extra, reports=told, log=log, held=why)


def _report_out(report: Report) -> ReportOut:
    return ReportOut(
        id=report.report_id,
        at=report.at,
        received_at=report.created_at,
        rollout=report.rollout_id,
        seq=report.seq,
        version=report.version,
        state=report.state,
        step=report.step,
        error=describe(report.code, report.detail),
        data=report.data,
    )


@router.post("/{dn}/approve")
async def approve_device(cloud: Cloud, caller: Operator, pk: Name, dn: Name) -> DeviceOut:
    """Lets a device in that waits for approval, or one that was revoked."""
    return await _set_access(cloud, caller, pk, dn, "approved")


@router.post("/{dn}/revoke")
async def revoke_device(cloud: Cloud, caller: Operator, pk: Name, dn: Name) -> DeviceOut:
    """Locks a device out at once: its tokens stop to hold."""
    return await _set_access(cloud, caller, pk, dn, "revoked")


async def _set_access(cloud: Services, caller: Caller, pk: str, dn: str, access: Access) -> DeviceOut:
    async with cloud.db.write() as session:
        device = await find_device(session, await find(session, caller, pk), dn)
        if access == "revoked":
            device.generation += 1
            await dismiss(session, device.id, cloud.now())
        device.access = access
        if access == "approved":
            await place(session, device, cloud.now(), new=True)
        await audit.record(session, caller, f"device.{access}", f"{pk}/{dn}", cloud.now())
    cloud.hub.publish(caller.tenant_id, Event("device", device.id))
    return DeviceOut(**out(cloud, device))


@router.post("/{dn}/reissue")
async def reissue_device(cloud: Cloud, caller: Operator, pk: Name, dn: Name) -> DeviceSecret:
    """A new secret; the old one and all its tokens stop to hold. A dynamic device may register again."""
    ds, sealed = cloud.device_auth.new_secret()
    async with cloud.db.write() as session:
        device = await find_device(session, await find(session, caller, pk), dn)
        device.ds_sealed = sealed
        device.generation += 1
        device.first_login_at = None
        await audit.record(session, caller, "device.reissue", f"{pk}/{dn}", cloud.now())
    cloud.hub.publish(caller.tenant_id, Event("device", device.id))
    return DeviceSecret(dn=dn, ds=ds.hex())
