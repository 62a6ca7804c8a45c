"""What every page stands on: who looks, at which product, and how the page is shown, once or live."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlencode, urlsplit

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from fastapi.routing import APIRoute
from otaspec.errors import OtaError, code
from otaspec.remedies import REMEDIES
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.exceptions import HTTPException

from otacloud import products
from otacloud.auth import Caller
from otacloud.console import actions, queries, static
from otacloud.console.live import Load, Part, View, digest, stream
from otacloud.console.pages import page
from otacloud.console.session import SignedIn, SignInFirst, viewer_of
from otacloud.errors import STATUS, refuse
from otacloud.models import Product
from otacloud.services import Cloud, Services

SECTIONS = (
    ("overview", "Overview", ""),
    ("devices", "Devices", "/devices"),
    ("releases", "Releases", "/releases"),
    ("rollouts", "Rollouts", "/rollouts"),
    ("approvals", "Approvals", "/approvals"),
    ("groups", "Groups", "/groups"),
    ("alarms", "Alarms", "/alarms"),
    ("settings", "Settings", "/settings"),
)


class Shell:
    """The frame of a page for one viewer."""

    def __init__(self, request: Request, cloud: Cloud, viewer: SignedIn) -> None:
        self.request = request
        self.cloud: Services = cloud
        self.viewer: Caller = viewer

    async def product(self, session: AsyncSession) -> Product:
        """The product that the address names; NOT_FOUND."""
        return await products.find(session, self.viewer, self.request.path_params["pk"])

    async def must_be_there(self) -> None:
        """NOT_FOUND where the address names no product of the viewer's: for what acts before it looks."""
        async with self.cloud.db.read() as session:
            await self.product(session)

    async def around(self, session: AsyncSession, section: str, product: Product | None) -> dict[str, Any]:
        """What the frame shows: products, sections, how much waits."""
        waits = await queries.waiting(session, product) if product else None
        alarms = await queries.open_alarms(session, product) if product else 0
        return {
            "viewer": self.viewer,
            "can": partial(actions.allowed, self.viewer),
            "products": await products.visible(session, self.viewer),
            "product": product,
            "section": section,
            "sections": SECTIONS,
            "badges": {"approvals": waits.total if waits else 0, "alarms": alarms},
            "now": self.cloud.now(),
        }

    async def view(
        self,
        session: AsyncSession,
        section: str,
        template: str,
        values: Mapping[str, Any],
        parts: dict[str, Part] | None = None,
        **more: Any,
    ) -> View:
        """A look at a page of the product that the address names."""
        product = values.get("product")
        frame = await self.around(session, section, product)
        return View(template, {**frame, **values}, parts or {}, **more)

    async def show(self, load: Load, path: str = "") -> Response:
        """The page, or its live stream where the request asks for one; `path`: where the stream is had."""
        if "text/event-stream" in self.request.headers.get("accept", ""):
            return self._stream(load)
        async with self.cloud.db.read() as session:
            view = await load(session)
        parts = view.drawn()
        live = f"{path or self.request.url.path}?{self._query(digest(parts))}" if parts or view.frame else ""
        return page(view.template, **view.values, parts=parts, live=live)

    def _query(self, seen: str) -> str:
        given = [(k, v) for k, v in self.request.query_params.multi_items() if k != "seen"]
        return urlencode([*given, ("seen", seen)])

    def _stream(self, load: Load) -> StreamingResponse:
        seen = self.request.query_params.get("seen", "")
        sent = stream(self.cloud, self.viewer.tenant_id, load, seen, self._may_look)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Vary": "Accept"}
        return StreamingResponse(sent, headers=headers, media_type="text/event-stream")

    async def once(self, title: str, words: str, secret: str, back: str) -> Response:
        """A page for what is shown once: it is kept nowhere, and a reload does not bring it again."""

        async def load(session: AsyncSession) -> View:
            product = await self.product(session) if "pk" in self.request.path_params else None
            values = {"product": product, "title": title, "words": words, "secret": secret, "back": back}
            return await self.view(session, "", "once.html", values)

        return await self.show(load)

    async def _may_look(self) -> bool:
        try:
            await viewer_of(self.request, self.cloud)
        except SignInFirst:
            return False
        return True

    def needs(self, name: str) -> None:
        """NOT_ALLOWED where the viewer may not do the action called `name`: for pages that only serve it."""
        if not actions.allowed(self.viewer, name):
            raise refuse("NOT_ALLOWED", f"this needs the role {actions.needed(actions.NAMED[name])}")


Here = Annotated[Shell, Depends(Shell)]


def to(*parts: str | int) -> RedirectResponse:
    """After a form: look at the page again (303, so that a reload posts nothing)."""
    return RedirectResponse("/" + "/".join(map(str, parts)), 303)


class PageRoute(APIRoute):
    """A page whose refusals are pages too: cause, evidence and remedy, and the way back."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            response = await _answered(handle, request)
            is_page = isinstance(response, HTMLResponse) and static.accepts_gzip(request)
            return static.packed(response) if is_page else response

        return handled


async def _answered(handle: Callable[[Request], Any], request: Request) -> Response:
    try:
        response: Response = await handle(request)
    except OtaError as problem:
        return _refusal(request, problem)
    except RequestValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        return _refusal(request, refuse("REQUEST_INVALID", f"{where}: {first['msg']}"))
    except HTTPException as problem:
        name = "REQUEST_TOO_LARGE" if problem.status_code == 413 else "REQUEST_INVALID"
        return _refusal(request, refuse(name, str(problem.detail)))
    return response


def _refusal(request: Request, problem: OtaError) -> HTMLResponse:
    status = STATUS.get(problem.name, 400)
    cause, remedy = REMEDIES[code(problem.name)]
    return page(
        "refusal.html",
        status,
        problem=problem,
        cause=cause,
        remedy=remedy,
        title={403: "Not with your role", 404: "Not here"}.get(status, "That did not work"),
        back=urlsplit(request.headers.get("referer", "/")).path,
        posted=request.method == "POST",
    )
