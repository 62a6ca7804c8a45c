"""App images and partition tables, explained."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from otaboards import loader
from otaboards.console import error_fields
from otaspec import image, image_file, partition
from otaspec.errors import OtaError

from otadiff.build import reader


@dataclass
class Found:
    """kind: what it is, in a word or two. lines: the explanation. problem: what is wrong with it."""

    kind: str
    lines: list[str]
    facts: dict[str, Any] = field(default_factory=dict)
    problem: OtaError | None = None

    def as_json(self) -> dict[str, Any]:
        problem = error_fields(self.problem) if self.problem else None
        return {"kind": self.kind, **self.facts, "problem": problem}


def combined(data: bytes, app: int, problem: OtaError) -> Found:
    lines = [
        f"Combined image, {len(data):,} bytes: bootloader, partition table and application in one,",
        "for the first flashing by cable. Not for a slot.",
        f"The application starts at 0x{app:x}:",
    ]
    inside = app_image(data[app:]) if app < len(data) else None
    lines += ["  " + line for line in inside.lines] if inside else []
    return Found("combined image", lines, {"size": len(data), "app_offset": app}, problem)


def app_image(data: bytes, problem: OtaError | None = None) -> Found:
    """An image at the start of `data`; `problem`: what was found wrong with it already."""
    try:
        found = image.parse(reader(data), len(data))
    except OtaError as broken:
        lines = ["An ESP image by its first byte, but no whole one:", f"  {broken}"]
        return Found("image", lines, {"size": len(data)}, problem or broken)
    whole = image_file.trailer(reader(data), found.size, len(data))
    size = len(data) if whole else found.size
    sha256 = hashlib.sha256(data[:size]).hexdigest()
    lines = [f"App image for {image.chip_name(found.chip)}, {size:,} bytes"]
    lines += [f"SHA-256  {sha256}", f"entry    0x{found.entry:08x}"]
    lines += _segments(found)
    lines += [f"signed   {whole}"] if whole else []
    desc = image.read_desc(reader(data), len(data))
    lines += _desc(desc)
    lines += ["Checksum and appended hash are right."] if problem is None else []
    lines += _boards(found.chip, size)
    texts = {key: value for key, value in desc.items() if isinstance(value, str | int)}
    facts = {"size": size, "sha256": sha256, "chip": image.chip_name(found.chip), "app_desc": texts}
    return Found("app image", lines, facts, problem)


def _segments(found: image.Image) -> list[str]:
    rows = [
        f"segment  0x{address:08x}  {size:>9,} bytes at 0x{at:06x}" for address, at, size in found.segments
    ]
    return rows


def _desc(desc: dict[str, Any]) -> list[str]:
    if not desc:
        return ["No app description."]
    named = [f"{key} {desc[key]}" for key in ("project", "version", "idf") if desc[key]]
    lines = [f"says     {', '.join(named) or 'neither project nor version (MicroPython leaves them empty)'}"]
    if desc["secure_version"]:
        lines.append(f"security counter {desc['secure_version']}")
    return lines


def _boards(chip: int, size: int) -> list[str]:
    try:
        board = loader.smallest_for(chip, size)
    except OtaError as error:
        return [f"Fits no board: {error.evidence}"]
    return [
        f"Smallest board: {board.name}, {size / board.slot_size:.0%} of a slot of {board.slot_size:,} bytes"
    ]


def table(data: bytes, flash_size: int = 1 << 32) -> Found:
    """A binary partition table."""
    try:
        rows = partition.parse(data[: partition.MAX_SIZE].ljust(partition.MAX_SIZE, b"\0"), flash_size)
    except OtaError as problem:
        return Found("partition table", ["Partition table that the bootloader refuses."], {}, problem)
    lines = ["Partition table", *table_lines(rows)]
    return Found("partition table", lines, {"partitions": [row_facts(row) for row in rows]})


def table_lines(rows: list[partition.Row]) -> list[str]:
    return [
        f"  {row.label:<10} 0x{row.offset:06x} .. 0x{row.offset + row.size:06x}  {row.size >> 10:>5} KB  "
        f"{_type(row)}"
        for row in rows
    ]


def row_facts(row: partition.Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("label", "type", "subtype", "offset", "size", "flags")}


def _type(row: partition.Row) -> str:
    if row.type == partition.APP:
        known = {partition.FACTORY: "app, factory", partition.TEST: "app, test"}
        return known.get(row.subtype, f"app, slot {row.subtype & 15}")
    data = {0: "otadata: which slot boots", 1: "radio calibration", 2: "nvs: settings"}
    return data.get(row.subtype, f"data 0x{row.subtype:02x}") if row.type == 1 else f"type 0x{row.type:02x}"


def printable(text: str) -> str:
    """`text` without what would steer a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)
