"""Who looks at the pages: a sealed cookie that stands for a person or an API token."""

import struct
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.responses import Response

from otacloud import users
from otacloud.auth import Caller, caller_for, caller_of, counted
from otacloud.errors import refuse
from otacloud.models import ApiToken, User
from otacloud.services import Cloud, Services
from otacloud.users import check_password
from otacloud.vault import SealBroken

COOKIE = "driblet_session"
LIFE = 12 * 3600
_CLAIMS = struct.Struct(">BQIQ")  # kind, id of token or user, generation of the user, time of expiry
_KINDS = ("token", "user")


class SignInFirst(Exception):  # noqa: N818 - an instruction, not an error
    """Leads to the sign-in page."""


def start(cloud: Services, caller: Caller, generation: int, response: Response) -> None:
    """Sets the cookie. Not readable by scripts, not sent by other sites' forms."""
    expires = cloud.now() + LIFE
    claims = _CLAIMS.pack(_KINDS.index(caller.kind), caller.id, generation, expires)
    response.set_cookie(
        COOKIE,
        cloud.vault.seal(claims, "session").hex(),
        max_age=LIFE,
        httponly=True,
        samesite="lax",
        secure=cloud.settings.secure_cookies,
    )


async def sign_in(cloud: Services, name: str, secret: str, response: Response) -> None:
    """By name and password, or by a token without a name; TOKEN_INVALID."""
    if name:
        user = await check_password(cloud, name, secret)
        start(cloud, users.caller_for(user), user.generation, response)
    else:
        caller = await caller_of(cloud, secret.strip())
        if caller.scopes:
            raise refuse("NOT_ALLOWED", "a token with scopes is for programs")
        start(cloud, caller, 0, response)


async def viewer_of(request: Request, cloud: Cloud) -> Caller:
    """Who is signed in; SignInFirst."""
    try:
        sealed = bytes.fromhex(request.cookies.get(COOKIE, ""))
        kind, row_id, generation, expires = _CLAIMS.unpack(cloud.vault.open(sealed, "session"))
    except (ValueError, struct.error, SealBroken):
        raise SignInFirst from None
    if expires <= cloud.now():
        raise SignInFirst
    async with cloud.db.read() as session:
        if _KINDS[kind] == "user":
            user = await session.get(User, row_id)
            if user is None or user.disabled_at is not None or user.generation != generation:
                raise SignInFirst
            return counted(cloud, users.caller_for(user))
        token = await session.get(ApiToken, row_id)
        if token is None or token.revoked_at is not None:
            raise SignInFirst
        return counted(cloud, caller_for(token))


def same_origin(request: Request) -> None:
    """Refuses what another site makes a browser send (SameSite=Lax is the first line, this the second)."""
    if request.method in ("GET", "HEAD"):
        return
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site not in (None, "same-origin", "none") or (
        origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    ):
        raise refuse("NOT_ALLOWED", "the request comes from another site")


SignedIn = Annotated[Caller, Depends(viewer_of)]
SameOrigin = Depends(same_origin)
