"""What boards call: PROTOCOL.md section 3, to the letter."""

import json
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field, ValidationError
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.types import Receive, Scope, Send

from otacloud import polls, reports
from otacloud.auth import bearer
from otacloud.deviceauth import answer_mac
from otacloud.devices import new_device
from otacloud.errors import refuse
from otacloud.events import Event
from otacloud.fleet import Known
from otacloud.logs import note
from otacloud.membership import place
from otacloud.models import Device, DeviceLog, Product
from otacloud.schemas import Access, Name
from otacloud.services import Cloud, Services

LOGS_KEPT = 5

router = APIRouter(prefix="/v1", tags=["device"])


class ChallengeIn(BaseModel):
    pk: Name
    dn: Name


class ChallengeOut(BaseModel):
    nonce: str
    time: int


class Handshake(ChallengeIn):
    """`mac` over the two nonces, with k_register or k_login."""

    nonce: Annotated[str, Field(max_length=128)]
    device_nonce: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    mac: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

    def proof(self) -> tuple[str, str, str, bytes, bytes]:
        return self.pk, self.dn, self.nonce, bytes.fromhex(self.device_nonce), bytes.fromhex(self.mac)


class RegisterOut(BaseModel):
    ds: str


class LoginOut(BaseModel):
    """`last_report`: a board that lost its memory numbers its reports from there on."""

    token: str
    expires_in: int
    poll_interval: int
    last_report: int


class AcceptedOut(BaseModel):
    accepted: list[int]


async def current(request: Request, cloud: Services) -> Known:
    """The device behind the bearer token.

    Called rather than injected: each of FastAPI's dependencies costs as much as a poll's own work.
    """
    token = bearer(request, "LOGIN_REFUSED")
    claims = cloud.device_auth.claims(token, cloud.now())
    known = await cloud.fleet.get(claims.device_id)
    if known is None or known.generation != claims.generation:
        raise refuse("LOGIN_REFUSED")
    note(tenant=known.tenant_id, device=f"{known.pk}/{known.dn}")
    cloud.quotas.device(known.id)
    cloud.quotas.tenant(known.tenant_id)
    return known


@router.post("/poll", response_class=JSONResponse)
async def poll(request: Request, given: polls.PollIn) -> Response:
    """What there is to do. The answer carries a MAC, so that nobody in between can freeze a board."""
    cloud: Services = request.app.state.services
    device = await current(request, cloud)
    await polls.keep(cloud, device, given)
    has = given.inventory.get("key_set")
    following = await cloud.keysets.following(device.product_id, device.pk, has, cloud.now())
    decide = polls.decide if following else polls.decide_later
    decision = await decide(cloud, device, given)
    interval = device.poll_interval or cloud.settings.poll_interval
    answer: dict[str, object] = {
        "time": cloud.now(),
        "poll_interval": min(interval, polls.SOON) if decision.soon else interval,
        "update": decision.update,
    }
    if decision.available:
        answer["available"] = decision.available
    cloud.metrics.polls.inc()
    if following:
        answer["keys"] = following
    body = json.dumps(answer, separators=(",", ":")).encode()
    nonce = bytes.fromhex(given.nonce)
    if not device.poll_key:
        device.poll_key, device.ds_sealed = cloud.device_auth.poll_key(device.ds_sealed), b""
    mac = answer_mac(device.poll_key, device.pk, device.dn, nonce, body)
    return Response(body, 200, {"Driblet-Mac": mac}, "application/json")


class LeanPoll:
    """`poll` as an ASGI application: FastAPI's machinery would cost several times what a poll itself does."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            given = polls.PollIn.model_validate_json(await request.body())
        except ValidationError as problem:
            found = problem.errors(include_url=False, include_context=False, include_input=False)
            placed = [{**each, "loc": ("body", *each["loc"])} for each in found]
            raise RequestValidationError(placed) from None
        await (await poll(request, given))(scope, receive, send)


@router.post("/report")
async def report(cloud: Cloud, request: Request, given: reports.ReportsIn) -> AcceptedOut:
    """Accepted means written: the board may forget these."""
    device = await current(request, cloud)
    return AcceptedOut(accepted=await reports.take(cloud, device.id, given.reports))


@router.post("/challenge")
async def challenge(cloud: Cloud, given: ChallengeIn) -> ChallengeOut:
    """A nonce for the next 60 s. It costs no look at the database and tells nothing."""
    now = cloud.now()
    return ChallengeOut(nonce=cloud.device_auth.new_nonce(given.pk, given.dn, now), time=now)


@router.post("/register")
async def register(cloud: Cloud, given: Handshake) -> RegisterOut:
    """A device secret for who knows the product secret."""
    async with cloud.db.read() as session:
        product = await session.scalar(select(Product).where(Product.pk == given.pk))
    right = cloud.device_auth.check_register(product.ps_sealed if product else None, *given.proof())
    fresh = cloud.device_auth.nonce_holds(given.nonce, given.pk, given.dn, cloud.now())
    if not right or not fresh or product is None:
        raise refuse("LOGIN_REFUSED")
    note(tenant=product.tenant_id, device=f"{given.pk}/{given.dn}")
    ds, sealed = cloud.device_auth.new_secret()
    async with cloud.db.write() as session:
        device = await _registered(session, product, given.dn, sealed, cloud.now())
    cloud.hub.publish(device.tenant_id, Event("device", device.id))
    if device.access == "pending":
        raise refuse("APPROVAL_PENDING", given.dn)
    return RegisterOut(ds=ds.hex())


async def _registered(session: AsyncSession, product: Product, dn: str, sealed: bytes, now: int) -> Device:
    """The device with a fresh secret. Until its first log-in it may ask again: a power cut while it
    saves the secret must not lock it out."""
    query = (
        select(Device).where(Device.product_id == product.id, Device.dn == dn).with_for_update(key_share=True)
    )
    device = await session.scalar(query)
    if device is None:
        if product.registration == "closed":  # only devices that were named beforehand
            raise refuse("LOGIN_REFUSED")
        access: Access = "approved" if product.registration == "open" else "pending"
        device = new_device(product, dn, "dynamic", access, None, now)
        session.add(device)
        await session.flush()
        await place(session, device, now, new=True)
    elif device.access == "revoked":
        raise refuse("LOGIN_REFUSED")
    elif device.origin != "dynamic" or device.first_login_at is not None:
        raise refuse("ALREADY_REGISTERED", dn)
    if device.access == "approved":
        device.ds_sealed = sealed
        device.generation += 1
    return device


@router.post("/login")
async def login(cloud: Cloud, given: Handshake) -> LoginOut:
    """A bearer token for who knows the device secret. The same 401 whatever was wrong."""
    query = (
        select(Device)
        .join(Product, Product.id == Device.product_id)
        .where(Product.pk == given.pk, Device.dn == given.dn, Device.access == "approved")
    )
    now = cloud.now()
    async with cloud.db.read() as session:
        device = await session.scalar(query)
    right = cloud.device_auth.check_login(device.ds_sealed if device else None, *given.proof())
    if not right or device is None or not cloud.device_auth.nonce_holds(given.nonce, given.pk, given.dn, now):
        raise refuse("LOGIN_REFUSED")
    note(tenant=device.tenant_id, device=f"{given.pk}/{given.dn}")
    if device.first_login_at is None:
        await _first_login(cloud, device.id)
    life = cloud.settings.device_token_life
    return LoginOut(
        token=cloud.device_auth.new_token(device.id, device.generation, now + life),
        expires_in=life,
        poll_interval=device.poll_interval or cloud.settings.poll_interval,
        last_report=device.last_report,
    )


async def _first_login(cloud: Services, device_id: int) -> None:
    async with cloud.db.write() as session:
        (await session.get_one(Device, device_id)).first_login_at = cloud.now()


@router.post("/log", status_code=204)
async def log(cloud: Cloud, request: Request) -> None:
    """Keeps the device's last failure logs."""
    device = await current(request, cloud)
    text = (await request.body()).decode(errors="replace").replace("\0", "")
    async with cloud.db.write() as session:
        row = DeviceLog(tenant_id=device.tenant_id, device_id=device.id, text=text, created_at=cloud.now())
        session.add(row)
        kept = select(DeviceLog.id).where(DeviceLog.device_id == device.id)
        kept = kept.order_by(DeviceLog.id.desc()).limit(LOGS_KEPT)
        await session.flush()
        await session.execute(
            delete(DeviceLog).where(
                DeviceLog.device_id == device.id, DeviceLog.id.not_in(kept.scalar_subquery())
            )
        )
    cloud.hub.publish(device.tenant_id, Event("device", device.id))
