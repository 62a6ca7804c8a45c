"""Key sets of a product: signed offline by its roots, kept here, handed to boards one after the other.

The service signs none of them and no board believes it about them: PACKAGE.md section 5.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from otaspec import rotation
from otaspec.keyset import KeySet
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud import audit, keys, products
from otacloud.auth import Manager, Viewer
from otacloud.errors import refuse
from otacloud.models import KeySetRow, Product, SigningKey
from otacloud.schemas import KeySetKey, KeySetList, KeySetOut, Name
from otacloud.services import Cloud

MAX_SIZE = 8192  # PROTOCOL.md section 3

Number = Annotated[int, Path(ge=1, lt=2**31)]

router = APIRouter(prefix="/api/v1/products", tags=["products"])
device_router = APIRouter(prefix="/v1", tags=["device"])


def _out(row: KeySetRow, signing: SigningKey) -> KeySetOut:
    payload, _ = rotation.split(row.body)
    found: KeySet = rotation.decode(payload)
    return KeySetOut(
        version=found.version,
        threshold=found.threshold,
        roots=[root.hex() for root in found.roots],
        keys=[KeySetKey(kid=key.kid.hex(), product=key.product) for key in found.keys],
        revoked=[kid.hex() for kid in found.revoked],
        seq_floor=found.seq_floor,
        signs_releases=_signs(found, signing),
        created_at=row.created_at,
    )


def _signs(found: KeySet, signing: SigningKey) -> bool:
    kid = bytes.fromhex(signing.kid)
    return kid not in found.revoked and any(key.kid == kid for key in found.keys)


async def newest(session: AsyncSession, product_id: int) -> KeySetRow | None:
    query = select(KeySetRow).where(KeySetRow.product_id == product_id)
    return await session.scalar(query.order_by(KeySetRow.version.desc()).limit(1))


@router.post("/{pk}/keysets", status_code=201)
async def add_key_set(cloud: Cloud, caller: Manager, pk: Name, request: Request) -> KeySetOut:
    """Keeps the key set that follows the newest one, as `driblet keyset sign` made it.

    The first one is taken as it is: it is what the firmware has built in.
    """
    body = await request.body()
    if len(body) > MAX_SIZE:
        raise refuse("REQUEST_TOO_LARGE", f"{len(body)} bytes, a key set has at most {MAX_SIZE}")
    async with cloud.db.write() as session:
        product = await products.find(session, caller, pk)
        before = await newest(session, product.id)
        if before is None:
            found = rotation.decode(rotation.split(body)[0])
        else:
            found = rotation.step(rotation.decode(rotation.split(before.body)[0]), body)
        row = KeySetRow(
            tenant_id=caller.tenant_id,
            product_id=product.id,
            version=found.version,
            body=body,
            created_at=cloud.now(),
        )
        session.add(row)
        await audit.record(session, caller, "product.add-key-set", pk, cloud.now(), version=found.version)
        answer = _out(row, await keys.current_key(session, product.id))
    cloud.keysets.forget(product.id)
    return answer


@router.get("/{pk}/keysets")
async def list_key_sets(cloud: Cloud, caller: Viewer, pk: Name) -> KeySetList:
    """The key sets of a product, the newest first."""
    async with cloud.db.read() as session:
        product = await products.find(session, caller, pk)
        query = select(KeySetRow).where(KeySetRow.product_id == product.id)
        rows = await session.scalars(query.order_by(KeySetRow.version.desc()).limit(100))
        signing = await keys.current_key(session, product.id)
        return KeySetList(keysets=[_out(row, signing) for row in rows])


@device_router.get("/keysets/{pk}/{version}", response_class=Response)
async def get_key_set(cloud: Cloud, pk: Name, version: Number) -> Response:
    """A signed key set. No log-in: it is signed, and no secret."""
    query = select(KeySetRow.body).join(Product, Product.id == KeySetRow.product_id)
    async with cloud.db.read() as session:
        body = await session.scalar(query.where(Product.pk == pk, KeySetRow.version == version))
    if body is None:
        raise refuse("NOT_FOUND", f"key set {version} of {pk}")
    return Response(body, 200, media_type="application/octet-stream")
