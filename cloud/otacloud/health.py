"""What a monitor reads."""

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from otacloud.services import Cloud

router = APIRouter(tags=["operation"])


@router.get("/metrics", response_class=Response)
async def show_metrics(cloud: Cloud) -> Response:
    """Counters in Prometheus' text format, since the start of the process; they name no device."""
    return Response(generate_latest(cloud.metrics.registry), media_type=CONTENT_TYPE_LATEST)
