"""Templates, and how they are rendered."""

import time
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from otacloud import words
from otacloud.console import charts, static

HERE = Path(__file__).parent

# No third party, no inline script or style: what is not in static/ does not run.
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Vary": "Accept, Accept-Encoding",
}


def _iso(seconds: int | None) -> str:
    """UNIX seconds as HTML's datetime; a script makes it relative."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)) if seconds else ""


_environment = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters |= {
    "size": words.size,
    "moment": words.moment,
    "iso": _iso,
    "lasting": charts.lasting,
    "many": charts.many,
}
_environment.globals |= {
    "saved": words.saved,
    "slices": charts.slices,
    "width": charts.width,
    "codec_name": charts.codec_name,
    "state_words": charts.STATE_WORDS,
    "static": static.url,
    "script": static.script,
}


def render(template: str, **values: Any) -> str:
    return _environment.get_template(template).render(**values)


def page(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    return HTMLResponse(render(template, **values), status, HEADERS)
