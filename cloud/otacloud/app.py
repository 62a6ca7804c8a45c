"""The service as an ASGI application."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Route

from otacloud import (
    audit,
    auth,
    channels,
    deviceapi,
    devices,
    errors,
    groups,
    health,
    keysets,
    membership,
    packages,
    products,
    releases,
    rollouts,
    tokens,
    users,
)
from otacloud.console import routes as console
from otacloud.db import Database
from otacloud.deliveries import Deliverer
from otacloud.deviceauth import DeviceAuth
from otacloud.engine import Engine, ProcessEngine
from otacloud.events import Hub
from otacloud.fleet import Fleet
from otacloud.front import Front
from otacloud.jobs import Runner
from otacloud.keysetcache import KeySetCache
from otacloud.limits import BodyLimit
from otacloud.metrics import Metrics
from otacloud.notices import Notifier
from otacloud.presence import Presence
from otacloud.quotas import Quotas
from otacloud.services import Services, unix_time
from otacloud.settings import Settings
from otacloud.storage import Storage
from otacloud.vault import Vault, load_master_key

ROUTERS = (
    # Routes are tried in order: what boards call comes first.
    deviceapi.router,
    keysets.router,
    keysets.device_router,
    packages.router,
    users.router,
    tokens.router,
    audit.router,
    channels.router,
    products.router,
    devices.router,
    groups.router,
    releases.router,
    rollouts.router,
    health.router,
)


def open_stores(settings: Settings) -> tuple[Database, Storage]:
    """What lasts: the database and the objects."""
    settings.data.mkdir(parents=True, exist_ok=True)
    db = Database(settings.database_url or f"sqlite+aiosqlite:///{settings.data / 'cloud.sqlite'}")
    return db, Storage.open(settings.storage_url, settings.data / "objects")


def build_services(
    settings: Settings, engine: Engine | None = None, now: Callable[[], int] = unix_time
) -> Services:
    """Joins the parts; touches the disk, but not the database yet."""
    db, storage = open_stores(settings)
    if settings.master_key:
        master = bytes.fromhex(settings.master_key.get_secret_value())
    else:
        master = load_master_key(settings.data / "master.key")
    vault = Vault(master)
    hub = Hub()
    metrics = Metrics()
    engine = engine or ProcessEngine(settings.workers)
    presence, fleet = Presence(db, hub, now), Fleet(db, hub)
    return Services(
        settings=settings,
        db=db,
        vault=vault,
        storage=storage,
        hub=hub,
        presence=presence,
        fleet=fleet,
        keysets=KeySetCache(db),
        runner=Runner(db, storage, vault, hub, engine, now),
        device_auth=DeviceAuth(vault),
        deliverer=Deliverer(db, vault, settings, now),
        metrics=metrics,
        notifier=Notifier(db, hub, fleet, presence, metrics, settings.offer_timeout, now),
        quotas=Quotas(settings, metrics),
        now=now,
    )


async def prepare(cloud: Services) -> str | None:
    """Brings the schema up to date; the admin token, where it is new."""
    await cloud.db.migrate()
    return await auth.bootstrap(cloud)


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The background tasks; at the end everything acknowledged is on disk."""
    cloud: Services = app.state.services
    tasks = [
        asyncio.create_task(cloud.fleet.load()),
        asyncio.create_task(cloud.presence.run()),
        asyncio.create_task(cloud.runner.run(cloud.settings.workers)),
        asyncio.create_task(cloud.deliverer.run()),
        asyncio.create_task(cloud.notifier.run()),
        asyncio.create_task(membership.resume(cloud.db, cloud.hub, cloud.now)),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        cloud.runner.close()
        await cloud.presence.flush()
        await cloud.db.close()


def create_app(cloud: Services) -> FastAPI:
    """The application around prepared services."""
    app = FastAPI(
        title="driblet",
        summary="Delta OTA for ESP32-class boards.",
        version="1",
        lifespan=_lifespan,
        generate_unique_id_function=_operation_id,
        docs_url=None,  # its page would load scripts from a third party
        redoc_url=None,
    )
    app.state.services = cloud
    app.add_middleware(BodyLimit)
    app.add_middleware(Front)
    errors.install(app)
    app.router.routes.append(Route("/v1/poll", deviceapi.LeanPoll(), methods=["POST"]))
    for router in ROUTERS:
        app.include_router(router)
    console.install(app)
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name
