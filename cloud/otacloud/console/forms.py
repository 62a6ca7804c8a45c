"""What people type into forms, as the API takes it. Pure."""

import calendar
import time
from collections.abc import Mapping
from typing import Any

from otacloud.errors import refuse

PLANS = {
    "canary": ("one board first, then everyone", ""),
    "careful": ("1 %, then 10 %, an hour each, then everyone", "1%:3600 10%:3600"),
    "slow": ("1 %, 5 %, 25 %, a day each, then everyone", "1%:86400 5%:86400 25%:86400"),
    "all": ("everyone at once", ""),
    "own": ("phases of your own", ""),
}


def phases(text: str) -> list[dict[str, Any]]:
    """`1%:3600 20:60`: percent or number of boards, and how many seconds to wait after its success."""
    made: list[dict[str, Any]] = []
    for each in text.replace(",", " ").split():
        size, _, soak = each.partition(":")
        try:
            share = {"percent": float(size[:-1])} if size.endswith("%") else {"count": int(size)}
            made.append({**share, "soak": int(soak or 0)})
        except ValueError:
            raise refuse("REQUEST_INVALID", f"phases: {each} is not like 5%:3600 or 20:60") from None
    return made


def plan(name: str, own: str) -> dict[str, Any]:
    """The fields of RolloutIn that a plan stands for."""
    if name in ("canary", "all"):
        return {"canary": int(name == "canary"), "phases": []}
    return {"canary": 0, "phases": phases(own if name == "own" else PLANS[name][1])}


def number(form: Mapping[str, str], name: str, default: int = 0) -> int:
    text = form.get(name, "").strip()
    try:
        return int(text) if text else default
    except ValueError:
        raise refuse("REQUEST_INVALID", f"{name}: {text[:20]} is not a whole number") from None


def moment(text: str) -> int:
    """`2026-11-21T08:30` as UTC; 0 for nothing."""
    if not text:
        return 0
    try:
        return calendar.timegm(time.strptime(text[:16], "%Y-%m-%dT%H:%M"))
    except ValueError:
        raise refuse("REQUEST_INVALID", f"start: {text[:20]} is not a date and time") from None


def window(begin: str, end: str) -> tuple[int, int] | None:
    """Two times of the day as minutes; None where neither is given."""
    if not begin and not end:
        return None
    return _minute(begin), _minute(end)


def _minute(text: str) -> int:
    hour, _, minute = text.partition(":")
    if not (hour.isdigit() and minute[:2].isdigit()):
        raise refuse("REQUEST_INVALID", "window: both times, as 22:00")
    return int(hour) * 60 + int(minute[:2])


def words(text: str) -> list[str]:
    """Names with spaces, commas or lines between them."""
    return text.replace(",", " ").split()
