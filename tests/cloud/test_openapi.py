"""The API keeps its promises to clients: names that stay, and no call that breaks on odd input."""

import re
from functools import cache
from pathlib import Path

from otacloud import docs

KNOWN = Path(__file__).with_name("operations.txt")


@cache
def operations() -> dict[str, str]:
    """METHOD /path by operation id; no id twice."""
    found: dict[str, str] = {}
    for path, calls in docs.schema()["paths"].items():
        for method, call in calls.items():
            assert call["operationId"] not in found
            found[call["operationId"]] = f"{method.upper()} {path}"
    return found


def test_operation_ids_stay() -> None:
    """Clients are generated from them. A new call is added to operations.txt; none is ever taken out."""
    known = dict(line.split(" ", 1) for line in KNOWN.read_text().splitlines())
    assert operations() == known


def test_operation_ids_read_like_functions() -> None:
    assert [name for name in operations() if not re.fullmatch(r"[a-z]+(_[a-z]+)*", name)] == []
