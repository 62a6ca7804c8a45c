"""Releases: an image comes in, is checked as a board would, and becomes a full package and deltas."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request
from fastapi.concurrency import run_in_threadpool
from otadiff import bundles
from otaspec import components, image_file
from otaspec.image import Image
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud import audit, boards, fit, jobs
from otacloud.auth import Caller, Manager, Viewer
from otacloud.db import LOCK
from otacloud.errors import describe, refuse
from otacloud.events import Event
from otacloud.models import Job, Package, Product, Release
from otacloud.products import find
from otacloud.schemas import (
    Channel,
    JobOut,
    Name,
    ReleaseChange,
    ReleaseFit,
    ReleaseOut,
    ReleaseState,
    Version,
)
from otacloud.services import Cloud, Services
from otacloud.storage import Upload

router = APIRouter(prefix="/api/v1/products/{pk}/releases", tags=["releases"])


async def find_release(session: AsyncSession, product: Product, version: str, board: str | None) -> Release:
    """The release; NOT_FOUND, or REQUEST_INVALID where several boards have that version."""
    wanted = [Release.product_id == product.id, Release.version == version]
    if board:
        wanted.append(Release.board == board)
    found = (await session.scalars(select(Release).where(*wanted).limit(2))).all()
    if not found:
        raise refuse("NOT_FOUND", f"release {version}")
    if len(found) > 1:
        raise refuse("REQUEST_INVALID", f"{version} exists for several boards: name the board")
    return found[0]


async def out(session: AsyncSession, release: Release) -> ReleaseOut:
    """The release with its jobs, the full package first."""
    query = (
        select(Job, Package)
        .outerjoin(Package, (Package.release_id == Job.release_id) & (Package.base_sha256 == Job.base_sha256))
        .where(Job.release_id == release.id)
        .order_by(Job.id)
    )
    rows = [(row[0], row[1]) for row in await session.execute(query)]
    names = await _versions(session, release, [job.base_sha256 for job, _ in rows])
    shown = [_job_out(job, package, names) for job, package in rows]
    fields = {
        name: getattr(release, name) for name in ReleaseOut.model_fields if name not in ("state", "jobs")
    }
    return ReleaseOut(**fields, state=_state([job for job, _ in rows]), jobs=shown)


def _state(found: list[Job]) -> ReleaseState:
    """A release stands and falls with its full package, which every board can take."""
    full = next((job.state for job in found if not job.base_sha256), "queued")
    states: dict[str, ReleaseState] = {"done": "ready", "failed": "failed"}
    return states.get(full, "building")


async def _versions(session: AsyncSession, release: Release, hashes: list[str]) -> dict[str, str]:
    query = select(Release.image_sha256, Release.version).where(
        Release.product_id == release.product_id, Release.image_sha256.in_(hashes)
    )
    # An image that was released once more keeps its first name.
    return {row[0]: row[1] for row in await session.execute(query.order_by(Release.seq.desc()))}


def _job_out(job: Job, package: Package | None, names: dict[str, str]) -> JobOut:
    took = job.finished_at - job.started_at if job.finished_at and job.started_at else None
    made = {n: getattr(package, n, None) for n in ("sha256", "size", "payload_size", "codec", "ram")}
    return JobOut(
        base_sha256=job.base_sha256 or None,
        base_version=names.get(job.base_sha256),
        state=job.state,
        attempts=job.attempts,
        seconds=took,
        error=describe(job.code, job.detail),
        **made,
    )


@router.post("", status_code=201)
async def upload_release(
    cloud: Cloud,
    caller: Manager,
    request: Request,
    pk: Name,
    version: Annotated[Version, Query()],
    board: Annotated[Name | None, Query(description="Board id; left out: the product's.")] = None,
    notes: Annotated[str, Query(max_length=4096)] = "",
    channel: Annotated[Channel, Query(description="Only what is in stable may go to all.")] = "stable",
    bundle_size: Annotated[
        int, Query(ge=0, le=components.MAX_SIZE, description="Bytes of a bundle, before the image.")
    ] = 0,
) -> ReleaseOut:
    """The body is the app image (`application/octet-stream`), after the bundle if there is one.

    Its packages are made afterwards.
    """
    body = request.stream()
    if not bundle_size:
        return await take_image(cloud, caller, body, pk, version, board, notes, channel)
    bundle, rest = await _split(body, bundle_size)
    return await take_image(cloud, caller, rest, pk, version, board, notes, channel, bundle)


async def _split(body: AsyncIterator[bytes], size: int) -> tuple[bytes, AsyncIterator[bytes]]:
    """The first `size` bytes, checked as a bundle, and what follows."""
    bundle = b""
    async for data in body:
        bundle += data
        if len(bundle) >= size:
            break
    first, bundle = bundle[size:], bundle[:size]
    if len(bundle) < size:
        raise refuse("BUNDLE_INVALID", f"{len(bundle)} of {size} bytes came")
    bundles.check(bundle)

    async def rest() -> AsyncIterator[bytes]:
        yield first
        async for data in body:
            yield data

    return bundle, rest()


async def take_image(
    cloud: Services,
    caller: Caller,
    chunks: AsyncIterator[bytes],
    pk: str,
    version: str,
    board: str | None,
    notes: str,
    channel: str = "stable",
    bundle: bytes = b"",
) -> ReleaseOut:
    """Makes a release of an image that comes in pieces, and of the application's bundle."""
    async with cloud.db.read() as session:
        product = await find(session, caller, pk)
        await _refuse_duplicate(session, product, version, board or product.board)
    with Upload(cloud.settings.max_image_size) as upload:
        async for data in chunks:
            upload.write(data)
        image = await run_in_threadpool(_check, upload)
        fitting = boards.choose(board or product.board, image.chip, upload.size)
        await cloud.storage.put("images", upload.read())
        about = await _keep_bundle(cloud, bundle)
        release = Release(
            tenant_id=caller.tenant_id,
            product_id=product.id,
            version=version,
            board=fitting,
            chip=image.chip,
            image_sha256=upload.sha256,
            image_size=upload.size,
            notes=notes,
            channel=channel,
            created_at=cloud.now(),
            **about,
        )
    return await _add(cloud, caller, release)


async def _keep_bundle(cloud: Services, bundle: bytes) -> dict[str, Any]:
    """What a release says of its bundle."""
    if not bundle:
        return {}
    blob = await cloud.storage.put("bundles", bundle)
    return {"bundle_sha256": blob.sha256, "bundle_size": blob.size}


def _check(upload: Upload) -> Image:
    """What a bootloader would say; the file as a whole must be the image."""
    return image_file.check(upload.read_into, upload.size)


async def _refuse_duplicate(session: AsyncSession, product: Product, version: str, board: str | None) -> None:
    wanted = [Release.product_id == product.id, Release.version == version]
    if board:
        wanted.append(Release.board == board)
    if await session.scalar(select(Release.id).where(*wanted).limit(1)) is not None:
        raise refuse("VERSION_EXISTS", f"{version} for {board or 'a board'} of {product.pk}")


async def _add(cloud: Services, caller: Caller, release: Release) -> ReleaseOut:
    """Gives the release its seq and queues its packages, in one transaction."""
    async with cloud.db.write() as session:
        product = await session.get_one(Product, release.product_id, with_for_update=LOCK)
        await _refuse_duplicate(session, product, release.version, release.board)
        product.board = product.board or release.board
        release.seq = product.next_seq
        product.next_seq += 1
        session.add(release)
        await session.flush()
        bases = ["", *await jobs.bases_for(session, release)]
        await jobs.add_jobs(session, release, bases, cloud.now())
        await session.flush()
        said = {"seq": release.seq, "image_sha256": release.image_sha256}
        named = f"{product.pk}/{release.version}"
        await audit.record(session, caller, "release.upload", named, cloud.now(), **said)
        shown = await out(session, release)
    cloud.runner.kick()
    cloud.hub.publish(release.tenant_id, Event("release", release.id))
    return shown


@router.get("")
async def list_releases(
    cloud: Cloud,
    caller: Viewer,
    pk: Name,
    channel: Annotated[Channel | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> list[ReleaseOut]:
    """Newest first."""
    async with cloud.db.read() as session:
        product = await find(session, caller, pk)
        query = select(Release).where(Release.product_id == product.id)
        if channel is not None:
            query = query.where(Release.channel == channel)
        found = await session.scalars(query.order_by(Release.seq.desc()).limit(limit))
        return [await out(session, release) for release in found.all()]


@router.get("/{version}")
async def show_release(
    cloud: Cloud, caller: Viewer, pk: Name, version: Version, board: Annotated[Name | None, Query()] = None
) -> ReleaseOut:
    """A release and how far its packages are."""
    async with cloud.db.read() as session:
        product = await find(session, caller, pk)
        return await out(session, await find_release(session, product, version, board))


@router.patch("/{version}")
async def change_release(
    cloud: Cloud,
    caller: Manager,
    pk: Name,
    version: Version,
    change: ReleaseChange,
    board: Annotated[Name | None, Query()] = None,
) -> ReleaseOut:
    """Moves a release to another channel, or words its notes anew. What is rolled out goes on."""
    said = change.model_dump(exclude_none=True)
    async with cloud.db.write() as session:
        release = await find_release(session, await find(session, caller, pk), version, board)
        for field, value in said.items():
            setattr(release, field, value)
        await audit.record(session, caller, "release.change", f"{pk}/{version}", cloud.now(), **said)
        shown = await out(session, release)
    cloud.hub.publish(release.tenant_id, Event("release", release.id))
    return shown


@router.get("/{version}/fit")
async def fit_release(
    cloud: Cloud, caller: Viewer, pk: Name, version: Version, board: Annotated[Name | None, Query()] = None
) -> ReleaseFit:
    """What the release is to each kind of board in use: whether it runs there, and which package is taken."""
    async with cloud.db.read() as session:
        release = await find_release(session, await find(session, caller, pk), version, board)
        return ReleaseFit(boards=await fit.look(session, release))


@router.post("/{version}/retry")
async def retry_release(
    cloud: Cloud, caller: Manager, pk: Name, version: Version, board: Annotated[Name | None, Query()] = None
) -> ReleaseOut:
    """Queues its failed jobs again."""
    async with cloud.db.write() as session:
        product = await find(session, caller, pk)
        release = await find_release(session, product, version, board)
        for job in await session.scalars(
            select(Job).where(Job.release_id == release.id, Job.state == "failed")
        ):
            job.state, job.attempts, job.code, job.detail = "queued", 0, 0, ""
        await audit.record(session, caller, "release.retry", f"{pk}/{version}", cloud.now())
        await session.flush()
        shown = await out(session, release)
    cloud.runner.kick()
    return shown


@router.post("/{version}/reissue", status_code=201)
async def reissue_release(
    cloud: Cloud,
    caller: Manager,
    pk: Name,
    version: Version,
    new_version: Annotated[Version, Query(alias="as", description="What the new release is called.")],
    board: Annotated[Name | None, Query()] = None,
    bundle: Annotated[bytes, Body(media_type="application/octet-stream")] = b"",
) -> ReleaseOut:
    """The same image with a newer seq: the way back to a release that is known to be good.

    The body may be a bundle (`application/octet-stream`): then boards that run the image get it alone.
    """
    if bundle:
        bundles.check(bundle)
    async with cloud.db.read() as session:
        product = await find(session, caller, pk)
        known = await find_release(session, product, version, board)
    same = ("tenant_id", "product_id", "board", "chip", "image_sha256", "image_size")
    fields = {name: getattr(known, name) for name in (*same, "bundle_sha256", "bundle_size")}
    fields |= await _keep_bundle(cloud, bundle)
    notes = f"The image of {version} once more."
    release = Release(version=new_version, notes=notes, created_at=cloud.now(), **fields)
    return await _add(cloud, caller, release)
