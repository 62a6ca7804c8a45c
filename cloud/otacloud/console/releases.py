"""Releases: upload, packages in the making, what each codec reached, where they fit, and the way back."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response
from otaboards import loader
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import UploadFile

from otacloud import releases as api
from otacloud import rollouts
from otacloud.console import actions, queries
from otacloud.console.live import Part, View
from otacloud.console.shell import Here, PageRoute, to
from otacloud.errors import refuse
from otacloud.events import Event
from otacloud.models import Release
from otacloud.schemas import Name, ReleaseOut, RolloutIn, Version

router = APIRouter(include_in_schema=False, route_class=PageRoute)

SHOWN = 20
PIECE = 256 * 1024


def _wants(event: Event) -> bool:
    return event.kind == "release"


@router.get("/products/{pk}/releases")
async def releases_page(here: Here) -> Response:
    async def load(session: AsyncSession) -> View:
        product = await here.product(session)
        query = select(Release).where(Release.product_id == product.id).order_by(Release.seq.desc())
        rows = (await session.scalars(query.limit(SHOWN))).all()
        values = {"product": product, "boards": [board.name for board in loader.all_boards()]}
        parts = {
            f"release-{row.seq}": Part("_release.html", {"r": await api.out(session, row)}, inside=True)
            for row in rows
        }
        return await here.view(
            session,
            "releases",
            "releases.html",
            values,
            parts,
            frame=("releases", "_releases.html"),
            wants=_wants,
        )

    return await here.show(load)


@router.get("/products/{pk}/releases/{version}")
async def release_page(
    here: Here, version: Version, board: Annotated[Name | None, Query()] = None
) -> Response:
    async def load(session: AsyncSession) -> View:
        product = await here.product(session)
        row = await api.find_release(session, product, version, board)
        shown = await api.out(session, row)
        values = {
            "product": product,
            "r": shown,
            "tried": await queries.tried(session, row.id),
            "users": await queries.bases(session, product.id, [job.base_sha256 or "" for job in shown.jobs]),
            "boards": [b for b in loader.all_boards() if b.chip_id == row.chip],
        }
        parts = {"release-jobs": Part("_release_jobs.html"), "release-head": Part("_release_head.html")}
        return await here.view(session, "releases", "release.html", values, parts, wants=_wants)

    return await here.show(load)


@router.post("/products/{pk}/releases")
async def upload(here: Here, request: Request, pk: Name) -> Response:
    """The form is read only now: who may not upload sends nothing that is kept."""
    here.needs("release.upload")
    async with request.form(max_files=1, max_fields=8) as form:
        given = form.get("image")
        if not isinstance(given, UploadFile) or not given.size:
            raise refuse("REQUEST_INVALID", "image: choose a file")
        text = {name: str(form.get(name, "")).strip() for name in ("version", "board", "notes", "back")}
        if not text["version"] or any(c.isspace() or c == "/" for c in text["version"]):
            raise refuse("REQUEST_INVALID", "version: a name without spaces or slashes")
        await api.take_image(
            here.cloud,
            here.viewer,
            _pieces(given),
            pk,
            text["version"][:64],
            text["board"] or None,
            text["notes"][:4096],
        )
    return to("products", pk, "guide" if text["back"] == "guide" else f"releases/{text['version']}")


async def _pieces(file: UploadFile) -> AsyncIterator[bytes]:
    while piece := await file.read(PIECE):
        yield piece


@router.post("/products/{pk}/releases/{version}/retry")
async def retry(
    here: Here, pk: Name, version: Version, board: Annotated[Name | None, Form()] = None
) -> Response:
    await actions.act(api.retry_release, here.cloud, here.viewer, pk, version, board)
    return to("products", pk, "releases", version)


@router.post("/products/{pk}/revert")
async def revert(
    here: Here,
    pk: Name,
    version: Annotated[Version, Form()],
    careful: Annotated[bool, Form()] = False,
) -> Response:
    """Boards only go forward in seq: the old image becomes a new release, and that is rolled out."""
    here.needs("release.reissue")
    async with here.cloud.db.read() as session:
        product = await here.product(session)
        named = f"{version.split('-again')[0]}-again{product.next_seq}"
    made: ReleaseOut = await actions.act(api.reissue_release, here.cloud, here.viewer, pk, version, named)
    given = RolloutIn(version=made.version, board=made.board, canary=int(careful), stop_after_failures=3)
    begun = await actions.act(rollouts.create_rollout, here.cloud, here.viewer, pk, given)
    return to("products", pk, "rollouts", begun.id)
