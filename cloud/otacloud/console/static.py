"""What pages load beside themselves: named by its content, packed once, kept by browsers for good."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response

from otacloud.console import vendor

FOLDER = Path(__file__).parent / "static"
TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
KEPT = "public, max-age=31536000, immutable"

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class File:
    """`tag` changes with the bytes, so an address that holds it never changes its answer."""

    plain: bytes
    packed: bytes
    media_type: str
    tag: str

    @classmethod
    def of(cls, data: bytes, suffix: str) -> "File":
        tag = hashlib.sha256(data).hexdigest()[:12]
        return cls(data, gzip.compress(data, 9, mtime=0), TYPES[suffix], tag)


@cache
def files() -> dict[str, File]:
    """{name below static/: file}, as they were when the first page was made."""
    found = (path for path in FOLDER.glob("*") if path.suffix in TYPES)
    made = {path.name: File.of(path.read_bytes(), path.suffix) for path in found}
    if parts := vendor.present():
        # One script: htmx looks at the page once, at its own start, when its extension must be there.
        joined = [*(path.read_bytes() for path in parts), made["page.js"].plain]
        made["live.js"] = File.of(b"\n;\n".join(joined), ".js")
    return made


def url(name: str) -> str:
    return f"/static/{name}?v={files()[name].tag}"


def script(live: str) -> str:
    """The script of a page; one that is `live` needs htmx, and does without where that was never fetched."""
    return url("live.js" if live and "live.js" in files() else "page.js")


@router.get("/static/{name}")
async def static_file(request: Request, name: str, v: str = "") -> Response:
    """Kept for good where the address says which bytes it means; else asked for again each time."""
    file = files().get(name)
    if file is None:
        return Response(status_code=404)
    headers = {
        "Cache-Control": KEPT if v == file.tag else "no-cache",
        "ETag": f'"{file.tag}"',
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    if accepts_gzip(request):
        packing = {**headers, "Content-Encoding": "gzip"}
        return Response(file.packed, headers=packing, media_type=file.media_type)
    return Response(file.plain, headers=headers, media_type=file.media_type)


def accepts_gzip(request: Request) -> bool:
    return "gzip" in request.headers.get("accept-encoding", "")


def packed(response: Response) -> Response:
    """The same page with its body compressed: a list of devices shrinks to a seventh."""
    headers = {**response.headers, "Content-Encoding": "gzip"}
    del headers["content-length"]
    return Response(gzip.compress(response.body, 3, mtime=0), response.status_code, headers)
