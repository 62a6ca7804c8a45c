"""Rollouts: made, watched, moved."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud import rollouts as api
from otacloud.console import actions, forms, queries, rolloutview
from otacloud.console.live import Part, View
from otacloud.console.shell import Here, PageRoute, to
from otacloud.events import Event
from otacloud.schemas import Name, RolloutIn

router = APIRouter(include_in_schema=False, route_class=PageRoute)

SHOWN = 20


@router.get("/products/{pk}/rollouts")
async def rollouts_page(here: Here) -> Response:
    async def load(session: AsyncSession) -> View:
        product = await here.product(session)
        rows = await queries.rollout_rows(session, product.id, limit=SHOWN)
        views = [await rolloutview.detail(session, row, here.cloud.now()) for row in rows]
        parts = {
            f"rollout-{view.shown.id}": Part("_rollout_card.html", {"v": view}, inside=True) for view in views
        }
        return await here.view(
            session,
            "rollouts",
            "rollouts.html",
            {"product": product},
            parts,
            frame=("rollouts", "_rollouts.html"),
            wants=lambda event: event.kind in ("rollout", "device"),
        )

    return await here.show(load)


@router.get("/products/{pk}/rollouts/new")
async def new_rollout_page(here: Here, version: Annotated[str, Query(max_length=64)] = "") -> Response:
    async def load(session: AsyncSession) -> View:
        product = await here.product(session)
        values = {
            "product": product,
            "versions": await queries.versions(session, product.id),
            "chosen": version,
            "groups": await queries.group_names(session, product.id),
            "plans": forms.PLANS,
        }
        return await here.view(session, "rollouts", "new_rollout.html", values)

    return await here.show(load)


@router.post("/products/{pk}/rollouts")
async def create(here: Here, request: Request, pk: Name) -> Response:
    async with request.form(max_files=0, max_fields=32) as sent:
        form = {name: value for name, value in sent.items() if isinstance(value, str)}
    audience = form.get("audience", "all")
    fields = {
        "version": form.get("version", ""),
        "group": form.get("group") or None if audience == "group" else None,
        "devices": forms.words(form.get("devices", "")) if audience == "list" else None,
        **forms.plan(form.get("plan", "canary"), form.get("phases", "")),
        "parallel": forms.number(form, "parallel"),
        "per_minute": forms.number(form, "per_minute"),
        "stop_after_failures": forms.number(form, "stop_after_failures", 1),
        "retry_after": forms.number(form, "retry_after", 300),
        "start_at": forms.moment(form.get("start_at", "")),
        "window": forms.window(form.get("window_from", ""), form.get("window_to", "")),
        "draft": "draft" in form,
    }
    given = actions.filled(RolloutIn, fields)
    made = await actions.act(api.create_rollout, here.cloud, here.viewer, pk, given)
    page = "guide" if form.get("back") == "guide" else f"rollouts/{made.id}"
    return to("products", pk, page)


@router.get("/products/{pk}/rollouts/{rollout_id}")
async def rollout_page(here: Here, pk: Name, rollout_id: api.RolloutId) -> Response:
    async def load(session: AsyncSession) -> View:
        product = await here.product(session)
        row = await api.find_rollout(session, product, rollout_id)
        detail = await api.show_rollout(here.cloud, here.viewer, pk, rollout_id)
        moving = await queries.moving(session, rollout_id)
        values = {
            "product": product,
            "v": await rolloutview.detail(session, row, here.cloud.now()),
            "failures": detail.failures,
            "held": detail.held,
            "moving": moving,
            "older": [v for v in await queries.versions(session, product.id) if v != detail.version],
        }
        parts = {"rollout-now": Part("_rollout_now.html"), "rollout-boards": Part("_rollout_boards.html")}
        return await here.view(
            session,
            "rollouts",
            "rollout.html",
            values,
            parts,
            wants=lambda event: event.kind == "device" or event == Event("rollout", rollout_id),
        )

    return await here.show(load)


_MOVES = {
    "pause": api.pause_rollout,
    "resume": api.resume_rollout,
    "stop": api.stop_rollout,
    "start": api.start_rollout,
    "approve": api.approve_rollout,
    "retry": api.retry_rollout,
}


@router.post("/products/{pk}/rollouts/{rollout_id}/{move}")
async def move_rollout(
    here: Here,
    pk: Name,
    rollout_id: api.RolloutId,
    move: Literal["pause", "resume", "stop", "start", "approve", "retry"],
    back: Annotated[str, Form()] = "",
) -> Response:
    await actions.act(_MOVES[move], here.cloud, here.viewer, pk, rollout_id)
    return to("products", pk, back if back == "approvals" else f"rollouts/{rollout_id}")
