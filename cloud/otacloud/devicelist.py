"""Lists of devices in CSV, as a factory or a spreadsheet makes them. Pure."""

import csv
import io
import re
from dataclasses import dataclass, field

from otacloud.errors import refuse

_NAME = re.compile(r"^[A-Za-z0-9_.-]{1,64}$")
_TAG = re.compile(r"^[A-Za-z0-9_.:-]{1,32}$")
_SECRET = re.compile(r"^[0-9a-fA-F]{64}$")
COLUMNS = ("dn", "ds", "group", "tags")
MAX_ROWS = 10_000


@dataclass(frozen=True)
class Row:
    dn: str
    ds: bytes | None = None
    group: str = ""
    tags: list[str] = field(default_factory=list)


def read_csv(text: str) -> list[Row]:
    """The rows behind the head line. REQUEST_INVALID with the number of the line that is wrong."""
    reader = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    names = [name.strip() for name in reader.fieldnames or []]
    if "dn" not in names or set(names) - set(COLUMNS):
        raise refuse("REQUEST_INVALID", f"the head line names dn and, if you like, {', '.join(COLUMNS[1:])}")
    reader.fieldnames = names
    rows: dict[str, Row] = {}
    for line in reader:
        row = _row(line, reader.line_num)
        if row.dn in rows:
            raise refuse("REQUEST_INVALID", f"line {reader.line_num}: {row.dn} is there twice")
        rows[row.dn] = row
        if len(rows) > MAX_ROWS:
            raise refuse("REQUEST_TOO_LARGE", f"more than {MAX_ROWS} rows")
    return list(rows.values())


def _row(line: dict[str, str], number: int) -> Row:
    value = {name: (line.get(name) or "").strip() for name in COLUMNS}
    tags = value["tags"].split()
    checks = {
        "dn": _NAME.match(value["dn"]),
        "ds": not value["ds"] or _SECRET.match(value["ds"]),
        "group": not value["group"] or _NAME.match(value["group"]),
        "tags": all(_TAG.match(tag) for tag in tags),
    }
    for name, right in checks.items():
        if not right:
            raise refuse("REQUEST_INVALID", f"line {number}: {name} {value[name][:40]!r}")
    return Row(value["dn"], bytes.fromhex(value["ds"]) or None, value["group"], sorted(set(tags)))
