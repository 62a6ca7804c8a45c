"""Who looks at the pages: a sealed cookie that stands for an API token."""

import struct
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.responses import Response
from sqlalchemy import select

from otacloud.auth import Caller, caller_of
from otacloud.errors import refuse
from otacloud.models import ApiToken
from otacloud.services import Cloud, Services
from otacloud.vault import SealBroken

COOKIE = "driblet_session"
LIFE = 12 * 3600
_CLAIMS = struct.Struct(">QQ")  # token id, time of expiry


class SignInFirst(Exception):  # noqa: N818 - an instruction, not an error
    """Leads to the sign-in page."""


async def sign_in(cloud: Services, token: str, response: Response) -> None:
    """Sets the cookie; TOKEN_INVALID. Not readable by scripts, not sent by other sites' forms."""
    caller = await caller_of(cloud, token.strip())
    expires = cloud.now() + LIFE
    sealed = cloud.vault.seal(_CLAIMS.pack(caller.token_id, expires), "session").hex()
    response.set_cookie(
        COOKIE, sealed, max_age=LIFE, httponly=True, samesite="lax", secure=cloud.settings.secure_cookies
    )


async def _viewer(request: Request, cloud: Cloud) -> Caller:
    try:
        sealed = bytes.fromhex(request.cookies.get(COOKIE, ""))
        token_id, expires = _CLAIMS.unpack(cloud.vault.open(sealed, "session"))
    except (ValueError, struct.error, SealBroken):
        raise SignInFirst from None
    async with cloud.db.read() as session:
        row = await session.scalar(select(ApiToken).where(ApiToken.id == token_id))
    if row is None or row.revoked_at is not None or expires <= cloud.now():
        raise SignInFirst
    return Caller(row.tenant_id, row.id, row.name, row.role)


def same_origin(request: Request) -> None:
    """Refuses what another site makes a browser send (SameSite=Lax is the first line, this the second)."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site not in (None, "same-origin", "none") or (
        origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    ):
        raise refuse("NOT_ALLOWED", "the request comes from another site")


SignedIn = Annotated[Caller, Depends(_viewer)]
SameOrigin = Depends(same_origin)
