"""The pages: sign in, the fleet of a product, its live stream, and the buttons of a rollout."""

from typing import Annotated, Literal

from fastapi import APIRouter, FastAPI, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from otaspec.errors import OtaError
from starlette.staticfiles import StaticFiles

from otacloud import rollouts
from otacloud.console import live, views
from otacloud.console.pages import HERE, page
from otacloud.console.session import COOKIE, SameOrigin, SignedIn, SignInFirst, sign_in
from otacloud.errors import body, refuse
from otacloud.products import find, visible
from otacloud.schemas import Name, Role
from otacloud.services import Cloud

router = APIRouter(include_in_schema=False)

Search = Annotated[str, Query(max_length=64)]
Offset = Annotated[int, Query(ge=0)]


@router.get("/sign-in")
async def sign_in_page() -> HTMLResponse:
    return page("sign_in.html", problem=None)


@router.post("/sign-in", dependencies=[SameOrigin])
async def sign_in_form(
    cloud: Cloud,
    secret: Annotated[str, Form(max_length=256)],
    name: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    """Secrets come in a form, never in a URL, where they would be logged."""
    response = RedirectResponse("/", 303)
    try:
        await sign_in(cloud, name.strip(), secret, response)
    except OtaError as problem:
        return page("sign_in.html", 401, problem=body(problem))
    return response


@router.post("/sign-out", dependencies=[SameOrigin])
async def sign_out() -> Response:
    response = RedirectResponse("/sign-in", 303)
    response.delete_cookie(COOKIE)
    return response


@router.get("/")
async def start_page(cloud: Cloud, viewer: SignedIn) -> Response:
    """The first product, or how to make one."""
    async with cloud.db.read() as session:
        products = await visible(session, viewer)
    if not products:
        return page("welcome.html", viewer=viewer)
    return RedirectResponse(f"/products/{products[0].pk}", 303)


@router.get("/products/{pk}")
async def fleet_page(
    cloud: Cloud, viewer: SignedIn, pk: Name, q: Search = "", offset: Offset = 0
) -> HTMLResponse:
    async with cloud.db.read() as session:
        product = await find(session, viewer, pk)
        look = views.Look(product.id, q, offset)
        return page(
            "fleet.html",
            viewer=viewer,
            product=product,
            products=await visible(session, viewer),
            devices=await views.device_list(cloud, session, look),
            rollouts=await views.rollout_list(session, product.id),
            releases=await views.release_list(session, product.id),
        )


@router.get("/products/{pk}/events")
async def events(
    cloud: Cloud, viewer: SignedIn, pk: Name, q: Search = "", offset: Offset = 0
) -> StreamingResponse:
    async with cloud.db.read() as session:
        product = await find(session, viewer, pk)
    body = live.stream(cloud, viewer.tenant_id, views.Look(product.id, q, offset))
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(body, headers=headers, media_type="text/event-stream")


_MOVES = {
    "pause": rollouts.pause_rollout,
    "resume": rollouts.resume_rollout,
    "stop": rollouts.stop_rollout,
    "start": rollouts.start_rollout,
    "approve": rollouts.approve_rollout,
    "retry": rollouts.retry_rollout,
}


@router.post("/products/{pk}/rollouts/{rollout_id}/{move}", dependencies=[SameOrigin])
async def move_rollout(
    cloud: Cloud,
    viewer: SignedIn,
    pk: Name,
    rollout_id: rollouts.RolloutId,
    move: Literal["pause", "resume", "stop", "start", "approve", "retry"],
) -> Response:
    """The buttons do what the API does."""
    needed: Role = "manager" if move == "approve" else "operator"
    if not viewer.may(needed):
        raise refuse("NOT_ALLOWED", f"this needs the role {needed}")
    await _MOVES[move](cloud, viewer, pk, rollout_id)
    return RedirectResponse(f"/products/{pk}", 303)


def install(app: FastAPI) -> None:
    """Adds the pages to `app`."""
    app.include_router(router)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")

    @app.exception_handler(SignInFirst)
    async def on_sign_in_first(_request: Request, _problem: SignInFirst) -> Response:
        return RedirectResponse("/sign-in", 303)
