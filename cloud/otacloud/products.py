"""Products: a product key and secret, a signing key, and the switch for dynamic registration."""

import secrets
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud import audit, keys
from otacloud.auth import Caller, Manager, Owner, Viewer
from otacloud.errors import refuse
from otacloud.models import Product, SigningKey
from otacloud.schemas import Name, ProductChange, ProductIn, ProductOut, ProductSecret
from otacloud.services import Cloud

router = APIRouter(prefix="/api/v1/products", tags=["products"])


def _out(product: Product, key: SigningKey) -> ProductOut:
    return ProductOut(
        pk=product.pk,
        name=product.name,
        board=product.board,
        registration=product.registration,
        approvals=product.approvals,
        verify_first=product.verify_first,
        silent_after=product.silent_after,
        kid=key.kid,
        public_key=key.public_key.hex(),
    )


async def find(session: AsyncSession, caller: Caller, pk: str) -> Product:
    """The caller's product `pk`; NOT_FOUND, also for another tenant's and for one the token is not for."""
    product = await session.scalar(
        select(Product).where(Product.pk == pk, Product.tenant_id == caller.tenant_id)
    )
    if product is None or caller.product_id not in (None, product.id):
        raise refuse("NOT_FOUND", f"product {pk}")
    return product


async def visible(session: AsyncSession, caller: Caller) -> list[Product]:
    """What the caller may see, by key."""
    query = select(Product).where(Product.tenant_id == caller.tenant_id)
    if caller.product_id is not None:
        query = query.where(Product.id == caller.product_id)
    return list(await session.scalars(query.order_by(Product.pk)))


@router.post("", status_code=201)
async def create_product(cloud: Cloud, caller: Manager, given: ProductIn) -> ProductSecret:
    """Makes a product, its secret and its signing key."""
    caller.must_be_for_all()
    pk = given.pk or "p" + secrets.token_hex(5)
    ps = secrets.token_bytes(32)
    async with cloud.db.write() as session:
        if await session.scalar(select(Product.id).where(Product.pk == pk)) is not None:
            raise refuse("NAME_EXISTS", f"product {pk}")
        product = Product(
            tenant_id=caller.tenant_id,
            pk=pk,
            name=given.name or pk,
            board=given.board,
            registration=given.registration,
            ps_sealed=cloud.vault.seal(ps, "ps"),
            created_at=cloud.now(),
        )
        session.add(product)
        await session.flush()
        key = keys.new_key(product, cloud.vault, cloud.now())
        session.add(key)
        await audit.record(session, caller, "product.create", pk, cloud.now(), kid=key.kid)
    return ProductSecret(ps=ps.hex(), **_out(product, key).model_dump())


@router.get("")
async def list_products(cloud: Cloud, caller: Viewer) -> list[ProductOut]:
    """The products of the token's tenant, by key."""
    async with cloud.db.read() as session:
        found = await visible(session, caller)
        return [_out(product, await keys.current_key(session, product.id)) for product in found]


@router.get("/{pk}")
async def show_product(cloud: Cloud, caller: Viewer, pk: Name) -> ProductOut:
    """A product without its secret."""
    async with cloud.db.read() as session:
        product = await find(session, caller, pk)
        return _out(product, await keys.current_key(session, product.id))


@router.patch("/{pk}")
async def change_product(cloud: Cloud, caller: Manager, pk: Name, change: ProductChange) -> ProductOut:
    """Sets what is given and leaves the rest."""
    async with cloud.db.write() as session:
        product = await find(session, caller, pk)
        for field, value in change.model_dump(exclude_none=True).items():
            setattr(product, field, value)
        said = change.model_dump(exclude_none=True)
        await audit.record(session, caller, "product.change", pk, cloud.now(), **said)
        return _out(product, await keys.current_key(session, product.id))


@router.get("/{pk}/secret", tags=["secrets"])
async def show_product_secret(cloud: Cloud, caller: Owner, pk: Name) -> ProductSecret:
    """The product secret, for the factory: whoever has it can register devices."""
    async with cloud.db.write() as session:
        product = await find(session, caller, pk)
        out = _out(product, await keys.current_key(session, product.id))
        await audit.record(session, caller, "product.show-secret", pk, cloud.now())
    return ProductSecret(ps=cloud.vault.open(product.ps_sealed, "ps").hex(), **out.model_dump())


@router.get("/{pk}/public-key", response_class=PlainTextResponse)
async def download_public_key(
    cloud: Cloud, caller: Viewer, pk: Name, form: Annotated[Literal["pem", "hex"], Query()] = "pem"
) -> str:
    """The public key that boards of the product check packages with."""
    async with cloud.db.read() as session:
        key = await keys.current_key(session, (await find(session, caller, pk)).id)
    return keys.public_pem(key) if form == "pem" else key.public_key.hex() + "\n"
