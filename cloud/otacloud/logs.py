"""Structured logs on stderr: for people, or as JSON lines. What libraries say comes in the same form.

No secret is ever given to a log: no body, no query, no header; no values in tracebacks.
"""

import logging
import sys
from contextvars import ContextVar
from typing import Literal

import structlog
from structlog.typing import EventDict, Processor

Level = Literal["debug", "info", "warning", "error"]

# What is known of the request under way: its id; once that is clear, tenant and caller.
ABOUT: ContextVar[dict[str, object] | None] = ContextVar("ABOUT", default=None)


_level = logging.WARNING  # until set_up says otherwise


def shows(level: int) -> bool:
    """Whether lines of that level are written: cheaper than asking a logger, at each poll."""
    return level >= _level


def note(**facts: object) -> None:
    """Adds to every later line of this request."""
    about = ABOUT.get()
    if about is not None:
        about.update(facts)


def _add_about(_logger: object, _method: str, event: EventDict) -> EventDict:
    for name, value in (ABOUT.get() or {}).items():
        event.setdefault(name, value)
    return event


def set_up(as_json: bool, level: Level = "info") -> None:
    """Routes structlog and the standard library's warnings to stderr."""
    common: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_about,
    ]
    last: list[Processor]
    if as_json:
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        colors = sys.stderr.isatty()
        plain = structlog.dev.plain_traceback
        last = [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]
    global _level
    number = _level = getattr(logging, level.upper())
    structlog.configure(
        processors=[*common, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*common, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)
