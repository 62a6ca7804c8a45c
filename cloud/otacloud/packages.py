"""Package bytes: immutable, so that any cache may keep them for ever. No log-in: they are signed."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response, StreamingResponse

from otacloud.metrics import Metrics
from otacloud.ranges import select
from otacloud.services import Cloud

router = APIRouter(prefix="/v1", tags=["device"])

_SMALL = 256 * 1024
_FOREVER = "public, max-age=31536000, immutable"


@router.head("/packages/{sha256}", include_in_schema=False)
@router.get("/packages/{sha256}", response_class=Response)
async def get_package(
    cloud: Cloud, request: Request, sha256: Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
) -> Response:
    """The package with that hash, or the range of it that was asked for."""
    size = await cloud.storage.size("packages", sha256)
    etag = f'"{sha256}"'
    status, start, end = select(request.headers, etag, size)
    headers = {"ETag": etag, "Accept-Ranges": "bytes", "Cache-Control": _FOREVER}
    if status == 416:
        headers["Content-Range"] = f"bytes */{size}"
    if status == 206:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    cloud.metrics.package_requests.labels(status).inc()
    if status not in (200, 206):
        return Response(status_code=status, headers=headers)
    headers["Content-Length"] = str(end - start)
    body = _counted(cloud.storage.stream("packages", sha256, start, end), cloud.metrics)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type="application/octet-stream")
    if end - start <= _SMALL:
        data = b"".join([chunk async for chunk in body])
        return Response(data, status, headers, "application/octet-stream")
    return StreamingResponse(body, status, headers, "application/octet-stream")


async def _counted(body: AsyncIterator[bytes], metrics: Metrics) -> AsyncIterator[bytes]:
    async for chunk in body:
        metrics.package_bytes.inc(len(chunk))
        yield chunk
