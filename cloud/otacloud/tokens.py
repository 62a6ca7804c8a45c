"""API tokens: for programs, with a role, for all products or for one."""

from fastapi import APIRouter
from sqlalchemy import select

from otacloud import audit
from otacloud.auth import Owner, add_token, new_token
from otacloud.errors import refuse
from otacloud.models import ApiToken, Product
from otacloud.products import find
from otacloud.schemas import TokenIn, TokenList, TokenOut, TokenSecret
from otacloud.services import Cloud

router = APIRouter(prefix="/api/v1/tokens", tags=["tokens"])


@router.get("")
async def list_tokens(cloud: Cloud, caller: Owner) -> TokenList:
    """The tokens of the tenant; none of them can be read again."""
    caller.must_be_for_all()
    query = select(ApiToken, Product.pk).outerjoin(Product, Product.id == ApiToken.product_id)
    async with cloud.db.read() as session:
        rows = await session.execute(
            query.where(ApiToken.tenant_id == caller.tenant_id).order_by(ApiToken.id)
        )
        return TokenList(tokens=[_out(token, pk) for token, pk in rows])


def _out(token: ApiToken, pk: str | None) -> TokenOut:
    return TokenOut(
        id=token.id,
        name=token.name,
        role=token.role,
        product=pk,
        scopes=token.scopes,
        created_at=token.created_at,
        revoked_at=token.revoked_at,
    )


@router.post("", status_code=201)
async def create_token(cloud: Cloud, caller: Owner, given: TokenIn) -> TokenSecret:
    """A token for a program, shown this once. Give it the least role that does."""
    caller.must_be_for_all()
    beyond = [scope for scope in given.scopes if not caller.covers(scope)]
    if caller.scopes and (beyond or not given.scopes):
        raise refuse("NOT_ALLOWED", "a token makes none that may do more than itself: name scopes of its own")
    text = new_token()
    async with cloud.db.write() as session:
        product = await find(session, caller, given.product) if given.product else None
        token = await add_token(session, caller.tenant_id, given.name, given.role, text, cloud.now())
        token.product_id = product.id if product else None
        token.scopes = sorted(set(given.scopes))
        await session.flush()
        detail = {"role": given.role, "product": given.product, "scopes": token.scopes}
        await audit.record(
            session, caller, "token.create", f"{given.name} ({token.id})", cloud.now(), **detail
        )
        shown = _out(token, given.product)
    return TokenSecret(token=text, **shown.model_dump())


@router.post("/{token_id}/revoke")
async def revoke_token(cloud: Cloud, caller: Owner, token_id: int) -> TokenOut:
    """Ends a token at once."""
    caller.must_be_for_all()
    async with cloud.db.write() as session:
        token = await session.get(ApiToken, token_id)
        if token is None or token.tenant_id != caller.tenant_id:
            raise refuse("NOT_FOUND", f"token {token_id}")
        token.revoked_at = token.revoked_at or cloud.now()
        await audit.record(session, caller, "token.revoke", f"{token.name} ({token.id})", cloud.now())
        product = await session.get(Product, token.product_id) if token.product_id else None
        shown = _out(token, product.pk if product else None)
    return shown
