"""Structured logs on stderr: for people, or as JSON lines."""

import logging
import sys

import structlog


def set_up(as_json: bool) -> None:
    """Routes structlog and the standard library's warnings to stderr."""
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        # Plain tracebacks: the values of variables, which may be secrets, stay out of the log.
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    processors: list[structlog.types.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if as_json:
        processors.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*processors, renderer],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s"
    )
