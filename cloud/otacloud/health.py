"""What a monitor reads."""

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from otacloud.errors import refuse
from otacloud.models import Alarm, Delivery, Job, Rollout
from otacloud.schemas import Health
from otacloud.services import Cloud

router = APIRouter(tags=["operation"])


@router.get("/health")
async def show_health(cloud: Cloud) -> Health:
    """200 where the service can answer boards, its database included; else 503."""
    try:
        revision = await cloud.db.revision()
    except Exception:
        raise refuse("SERVER_BUSY", "the database does not answer") from None
    return Health(status="ok", schema_revision=revision)


@router.get("/metrics", response_class=Response)
async def show_metrics(cloud: Cloud) -> Response:
    """Prometheus' text format: counters since the start of the process, and how much is in which state.

    It names no device.
    """
    async with cloud.db.read() as session:
        states = await _states(session)
    return Response(generate_latest(cloud.metrics.registry) + states, media_type=CONTENT_TYPE_LATEST)


async def _states(session: AsyncSession) -> bytes:
    registry = CollectorRegistry()
    for name, column in (("jobs", Job.state), ("rollouts", Rollout.state), ("deliveries", Delivery.state)):
        gauge = Gauge(f"driblet_{name}", f"{name.title()} by state.", ["state"], registry=registry)
        for state, count in await session.execute(select(column, func.count()).group_by(column)):
            gauge.labels(state).set(count)
    unseen = select(func.count()).select_from(Alarm).where(Alarm.acknowledged_by.is_(None))
    Gauge("driblet_open_alarms", "Alarms that nobody has acknowledged.", registry=registry).set(
        await session.scalar(unseen) or 0
    )
    return generate_latest(registry)
