"""Conditional requests and ranges of one immutable object (RFC 9110 sections 13, 14), apart from I/O."""

import re
from collections.abc import Mapping
from typing import NamedTuple

_RANGE = re.compile(r"^bytes=\s*(\d*)-(\d*)\s*$")


class Selection(NamedTuple):
    """`status` 200, 206, 304, 412 or 416; bytes start..end (end excluded) are the body of 200 and 206."""

    status: int
    start: int
    end: int


def select(headers: Mapping[str, str], etag: str, size: int) -> Selection:
    """What to answer to a GET or HEAD with `headers` (names in lower case), in the order of section 13.2.2.

    `etag` is strong and quoted. There is no modification date, so date conditions never hold.
    """
    if "if-match" in headers and not _lists(headers["if-match"], etag, weak=False):
        return Selection(412, 0, 0)
    if "if-none-match" in headers and _lists(headers["if-none-match"], etag, weak=True):
        return Selection(304, 0, 0)
    if "range" in headers and headers.get("if-range", etag).strip() == etag:
        return _range(headers["range"], size)
    return Selection(200, 0, size)


def _lists(field: str, etag: str, weak: bool) -> bool:
    """Whether the list names `etag`; the weak comparison takes W/"x" for "x" (section 8.8.3.2)."""
    if field.strip() == "*":
        return True
    tags = (tag.strip() for tag in field.split(","))
    return any((tag.removeprefix("W/") if weak else tag) == etag for tag in tags)


def _range(field: str, size: int) -> Selection:
    """One range. A malformed field or several ranges are answered with the whole (section 14.2 allows it)."""
    match = _RANGE.match(field)
    if match is None or match.groups() == ("", ""):
        return Selection(200, 0, size)
    first, last = match.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return Selection(200, 0, size)
    return Selection(206, start, end) if start < end else Selection(416, 0, size)
