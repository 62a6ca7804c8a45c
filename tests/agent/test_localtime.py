"""The device's local time against the host's time zone database."""

import json
import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from .conftest import Device

ZONES = {
    "Europe/Berlin": "CET-1CEST,M3.5.0,M10.5.0/3",
    "America/New_York": "EST5EDT,M3.2.0,M11.1.0",
    "Australia/Sydney": "AEST-10AEDT,M10.1.0,M4.1.0/3",
    "Asia/Kolkata": "IST-5:30",
    "America/Sao_Paulo": "<-03>3",
    "Asia/Shanghai": "CST-8",
}
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
WRONG = ["", "C", "CET-1CEST,J60,J300", "02:00", "02:00-02:00", "02:00-04:00 someday"]


def opens_in(text: str, local: datetime) -> int:
    """The same in the plainest way: minute by minute."""
    hours, *days = text.split()
    begin, end = ((int(t[:2]) * 60 + int(t[3:])) for t in hours.split("-"))
    length = (end - begin) % 1440 or 1440
    for wait in range(9 * 1440):
        now = local + timedelta(minutes=wait)
        since = (now.hour * 60 + now.minute - begin) % 1440
        opened = now - timedelta(minutes=since)
        if since < length and (not days or opened.strftime("%a").lower() in days):
            return wait * 60
    return 86400


def test_offsets_and_windows_over_ten_years(device: Device) -> None:
    dice = random.Random(1)
    moments = [FIRST + timedelta(minutes=dice.randrange(10 * 365 * 1440)) for _ in range(300)]
    # and every minute around the changes of one year
    moments += [datetime(2027, 3, 28, 0, 50, tzinfo=UTC) + timedelta(minutes=m) for m in range(20)]
    moments += [datetime(2027, 10, 31, 0, 50, tzinfo=UTC) + timedelta(minutes=m) for m in range(20)]
    offsets = [(zone, int(t.timestamp())) for zone in ZONES.values() for t in moments]
    windows = [
        (text, int(t.timestamp()))
        for text in ("02:00-04:30", "22:00-05:00 sat sun", "00:00-24:00 mon", "23:59-00:01")
        for t in moments[:60]
    ]
    said = device("local_time.py", json.dumps({"offsets": offsets, "windows": windows, "wrong": WRONG}))
    got_offsets, got_windows, *refused = said.splitlines()
    expected = [
        int((t.astimezone(ZoneInfo(name)).utcoffset() or timedelta()).total_seconds())
        for name in ZONES
        for t in moments
    ]
    assert json.loads(got_offsets) == expected
    wanted = [opens_in(text, datetime.fromtimestamp(t, UTC)) for text, t in windows]
    assert json.loads(got_windows) == wanted
    assert refused == ["ValueError"] * len(WRONG)
