"""What the parts of the service share, made once at start."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from otacloud.db import Database
from otacloud.deliveries import Deliverer
from otacloud.deviceauth import DeviceAuth
from otacloud.events import Hub
from otacloud.fleet import Fleet
from otacloud.jobs import Runner
from otacloud.keysetcache import KeySetCache
from otacloud.metrics import Metrics
from otacloud.notices import Notifier
from otacloud.presence import Presence
from otacloud.quotas import Quotas
from otacloud.settings import Settings
from otacloud.storage import Storage
from otacloud.vault import Vault


def unix_time() -> int:
    return int(time.time())


@dataclass
class Services:
    settings: Settings
    db: Database
    vault: Vault
    storage: Storage
    hub: Hub
    presence: Presence
    fleet: Fleet
    keysets: KeySetCache
    runner: Runner
    device_auth: DeviceAuth
    deliverer: Deliverer
    metrics: Metrics
    notifier: Notifier
    quotas: Quotas
    now: Callable[[], int] = field(default=unix_time)


async def services(request: Request) -> Services:
    """Async, though it waits for nothing: FastAPI would run a plain function in a thread, for each call."""
    found: Services = request.app.state.services
    return found


Cloud = Annotated[Services, Depends(services)]
