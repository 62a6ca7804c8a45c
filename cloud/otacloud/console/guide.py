"""The first update, step by step: product, release, simulated board, rollout, confirmed."""

import shlex
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from otaboards import linux_host
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud import devices, keys, releases
from otacloud.console import actions, queries, rolloutview
from otacloud.console.live import Part, View
from otacloud.console.shell import Here, PageRoute, to
from otacloud.models import Device, Product, Release
from otacloud.schemas import DeviceIn, DeviceOut, DeviceSecret, Name

router = APIRouter(include_in_schema=False, route_class=PageRoute)

SAMPLE = "1.0.0"
SIMULATED = "LINUX_HOST"


@dataclass(frozen=True)
class Command:
    """What starts the simulated board; with its secret, so shown once."""

    text: str
    dn: str


@router.get("/products/{pk}/guide")
async def guide_page(here: Here) -> Response:
    return await _show(here, None)


async def _show(here: Here, command: Command | None) -> Response:
    async def load(session: AsyncSession) -> View:
        product = await here.product(session)
        query = select(Release).where(Release.product_id == product.id).order_by(Release.seq.desc()).limit(1)
        release = await session.scalar(query)
        board = await session.scalar(
            select(Device)
            .where(Device.product_id == product.id, Device.version.is_not(None))
            .order_by(Device.last_seen_at.desc())
            .limit(1)
        )
        rows = await queries.rollout_rows(session, product.id, limit=1)
        values = {
            "product": product,
            "command": command,
            "release": await releases.out(session, release) if release else None,
            "board": DeviceOut(**devices.out(here.cloud, board)) if board else None,
            "rollout": await rolloutview.detail(session, rows[0], here.cloud.now()) if rows else None,
            "confirmed": await queries.has_confirmed(session, product.id),
            "simulated": SIMULATED,
            "sample": SAMPLE,
        }
        names = ("release", "board", "rollout", "done")
        parts = {f"step-{name}": Part(f"_step_{name}.html") for name in names}
        return await here.view(session, "guide", "guide.html", values, parts)

    return await here.show(load, path=here.request.url.path.removesuffix("/board"))


@router.post("/products/{pk}/guide/sample")
async def sample_release(here: Here, pk: Name) -> Response:
    """The example application of this checkout or wheel, as a release for the simulated board."""
    here.needs("release.upload")
    await here.must_be_there()
    image = await run_in_threadpool(_build)
    notes = "The example application: it blinks."
    await releases.take_image(here.cloud, here.viewer, _one(image), pk, SAMPLE, SIMULATED, notes)
    return to("products", pk, "guide")


def _build() -> bytes:
    extra = {"release.txt": f"sample {SAMPLE}\n".encode()}
    blink = linux_host.firmware_folder() / "examples" / "blink"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "sample.bin")
        return linux_host.build_image(blink, version=SAMPLE, out=out, extra_files=extra).read_bytes()


async def _one(data: bytes) -> AsyncIterator[bytes]:
    yield data


@router.post("/products/{pk}/guide/board")
async def new_board(here: Here, pk: Name) -> Response:
    """A device with a secret of its own, and the command that plays it."""
    async with here.cloud.db.read() as session:
        product = await here.product(session)
        count = await session.scalar(select(func.count()).where(Device.product_id == product.id)) or 0
        key = (await keys.current_key(session, product.id)).public_key.hex()
    given = DeviceIn(dn=f"board-{count + 1}")
    made = await actions.act(devices.create_device, here.cloud, here.viewer, pk, given)
    return await _show(here, _command(here, product, made, key))


def _command(here: Here, product: Product, made: DeviceSecret, key: str) -> Command:
    server = str(here.request.base_url).rstrip("/")
    words = ["driblet", "sim", product.pk, made.dn, made.ds, "--server", server, "--key", key]
    if product.board and product.board != SIMULATED:
        words += ["--image", "old-firmware.bin"]
    return Command(shlex.join([*words, "--poll", "2", "--soak", "3"]), made.dn)
