"""Sign in, the way to the first product, and what a product looks like today."""

import re
from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from otaspec.errors import OtaError
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud import products, rollouts
from otacloud.console import actions, charts, queries, rolloutview
from otacloud.console.live import Part, View
from otacloud.console.pages import page
from otacloud.console.session import COOKIE, sign_in
from otacloud.console.shell import Here, PageRoute, to
from otacloud.errors import body
from otacloud.schemas import ProductIn
from otacloud.services import Cloud

router = APIRouter(include_in_schema=False, route_class=PageRoute)

RUNNING = ("running", "paused")
STATES = ("confirmed", "idle", *queries.BUSY, "deferred", *queries.BAD, "pending", "revoked")


@router.get("/sign-in")
async def sign_in_page() -> HTMLResponse:
    return page("sign_in.html", problem=None, name="")


@router.post("/sign-in")
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
        return page("sign_in.html", 401, problem=body(problem), name=name)
    return response


@router.post("/sign-out")
async def sign_out() -> Response:
    response = RedirectResponse("/sign-in", 303)
    response.delete_cookie(COOKIE)
    return response


@router.get("/")
async def start_page(here: Here) -> Response:
    """The first product; before there is one, the page that makes one."""
    async with here.cloud.db.read() as session:
        found = await products.visible(session, here.viewer)
    return to("products", found[0].pk) if found else to("new-product")


@router.get("/new-product")
async def new_product_page(here: Here) -> Response:
    async def load(session: AsyncSession) -> View:
        return await here.view(session, "new", "new_product.html", {})

    return await here.show(load)


@router.post("/products")
async def new_product(here: Here, name: Annotated[str, Form(max_length=128)]) -> Response:
    """The key is made of the name."""
    pk = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:64]
    given = actions.filled(ProductIn, {"pk": pk or None, "name": name.strip()})
    made = await actions.act(products.create_product, here.cloud, here.viewer, given)
    return to("products", made.pk, "guide")


@router.get("/products/{pk}")
async def overview(here: Here) -> Response:
    """First what needs somebody, then what runs, then how the fleet stands."""

    async def load(session: AsyncSession) -> View:
        product = await here.product(session)
        now = here.cloud.now()
        rows = await queries.rollout_rows(session, product.id, limit=6)
        running = [row for row in rows if row.state in RUNNING]
        latest = running or rows[:1]
        shown = [await rolloutview.detail(session, row, now) for row in latest]
        fleet = await queries.count_fleet(session, product.id, now)
        attention = {
            "stopped": [
                await rollouts.out(session, row) for row in rows[:1] if row.state == "stopped" and row.why
            ],
            "waiting": await queries.waiting(session, product),
            "bad": sum(fleet.states[state] for state in queries.BAD),
            "alarms": await queries.open_alarms(session, product),
        }
        values = {
            "product": product,
            "fleet": fleet,
            "states": [(state, fleet.states[state]) for state in STATES],
            "bands": charts.bands(fleet.behind),
            "median": charts.percentile(fleet.behind, 0.5),
            "late": charts.percentile(fleet.behind, 0.95),
            "newest": next(iter(await queries.versions(session, product.id)), None),
            "traffic": await queries.traffic(session, product.id),
            "rollouts": shown,
            "attention": attention,
            "begun": fleet.total > 0 and bool(rows),
        }
        parts = {name: Part(f"_{name}.html") for name in ("attention", "running", "fleet")}
        return await here.view(session, "overview", "overview.html", values, parts)

    return await here.show(load)
