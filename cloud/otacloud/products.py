"""Products: a product key and secret, a signing key, and the switch for dynamic registration."""

import secrets
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud import keys
from otacloud.auth import Manager, Owner, Viewer
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
        kid=key.kid,
        public_key=key.public_key.hex(),
    )


async def find(session: AsyncSession, tenant_id: int, pk: str) -> Product:
    """The tenant's product `pk`; NOT_FOUND, for another tenant's too."""
    product = await session.scalar(select(Product).where(Product.pk == pk, Product.tenant_id == tenant_id))
    if product is None:
        raise refuse("NOT_FOUND", f"product {pk}")
    return product


@router.post("", status_code=201)
async def create_product(cloud: Cloud, caller: Manager, given: ProductIn) -> ProductSecret:
    """Makes a product, its secret and its signing key."""
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
    return ProductSecret(ps=ps.hex(), **_out(product, key).model_dump())


@router.get("")
async def list_products(cloud: Cloud, caller: Viewer) -> list[ProductOut]:
    """The products of the token's tenant, by key."""
    async with cloud.db.read() as session:
        products = await session.scalars(
            select(Product).where(Product.tenant_id == caller.tenant_id).order_by(Product.pk)
        )
        return [_out(product, await keys.current_key(session, product.id)) for product in products]


@router.get("/{pk}")
async def show_product(cloud: Cloud, caller: Viewer, pk: Name) -> ProductOut:
    """A product without its secret."""
    async with cloud.db.read() as session:
        product = await find(session, caller.tenant_id, pk)
        return _out(product, await keys.current_key(session, product.id))


@router.patch("/{pk}")
async def change_product(cloud: Cloud, caller: Manager, pk: Name, change: ProductChange) -> ProductOut:
    """Sets what is given and leaves the rest."""
    async with cloud.db.write() as session:
        product = await find(session, caller.tenant_id, pk)
        for field, value in change.model_dump(exclude_none=True).items():
            setattr(product, field, value)
        return _out(product, await keys.current_key(session, product.id))


@router.get("/{pk}/secret")
async def show_product_secret(cloud: Cloud, caller: Owner, pk: Name) -> ProductSecret:
    """The product secret, for the factory: whoever has it can register devices."""
    async with cloud.db.read() as session:
        product = await find(session, caller.tenant_id, pk)
        out = _out(product, await keys.current_key(session, product.id))
    return ProductSecret(ps=cloud.vault.open(product.ps_sealed, "ps").hex(), **out.model_dump())


@router.get("/{pk}/public-key", response_class=PlainTextResponse)
async def download_public_key(
    cloud: Cloud, caller: Viewer, pk: Name, form: Annotated[Literal["pem", "hex"], Query()] = "pem"
) -> str:
    """The public key that boards of the product check packages with."""
    async with cloud.db.read() as session:
        key = await keys.current_key(session, (await find(session, caller.tenant_id, pk)).id)
    return keys.public_pem(key) if form == "pem" else key.public_key.hex() + "\n"
