"""What `make bench` says of its measurements: a line, means, a page, a chart."""

import json
import math
from pathlib import Path
from typing import Any

from bench.chart import chart
from bench.pair import NORMAL, OURS, SECOND, SMALL, WHOLE

TODAY = "detools heatshrink"  # what an ESP32 gets with esp_delta_ota
XZ = "xz, whole image"
_BEGINS, _ENDS = "<!-- delta: make bench -->", "<!-- /delta -->"
_IN_README = ("esp32-text", "esp32-spi", "c3-text", "s3-feature", "c6-driver", "esp32-1.19")
Row = dict[str, Any]


def peers(row: Row) -> dict[str, int]:
    """The deltas of other tools, whatever memory they take."""
    known = (*OURS, SECOND, WHOLE, XZ)
    return {tool: size for tool, size in row["bytes"].items() if size and tool not in known}


def best(row: Row) -> tuple[int, str]:
    """(bytes, tool) of the smallest of them."""
    return min((size, tool) for tool, size in peers(row).items())


def line(row: Row) -> str:
    """A pair that is done."""
    size, tool = best(row)
    return (
        f"{row['name']}: {row['bytes'][NORMAL]:,} bytes; {tool} {size:,}; encoded in "
        f"{row['encode_seconds'][NORMAL]} s, decoded in {row['decode_ms'][NORMAL]} ms"
    )


def broken(row: Row) -> list[str]:
    """What was promised and is not so."""
    least = row["heap_kb"][NORMAL]
    return [f"{row['name']}: the decoder needs {least} KB of heap"] if row["minor"] and least > 32 else []


def geometric_mean(ratios: list[float]) -> float:
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def means(rows: list[Row]) -> dict[str, float]:
    """How many times smaller than others: geometric means, and the worst pair."""
    minor = [r for r in rows if r["minor"]]
    groups = {"minor ESP32 changes": [r for r in minor if r["chip"].startswith("esp32")], "all pairs": rows}
    found = {}
    for kind, chosen in groups.items():
        if not chosen:
            continue
        today = [r["bytes"][TODAY] / r["bytes"][NORMAL] for r in chosen]
        others = [best(r)[0] / r["bytes"][NORMAL] for r in chosen]
        found[f"{kind}: below {TODAY}"] = round(geometric_mean(today), 2)
        found[f"{kind}: below the best other tool"] = round(geometric_mean(others), 2)
        found[f"{kind}: least below the best other tool"] = round(min(others), 3)
    return found


def page(facts: dict[str, Any]) -> str:
    """delta.md."""
    rows = facts["pairs"]
    values = facts["means"].items()
    return "\n".join(
        [
            "# How small the patches are",
            "",
            "Made by `make bench` in one run, sizes in bytes. Every patch of driblet was rebuilt by the",
            "device's decoder under MicroPython (i386). The other tools may take any memory.",
            "",
            "![Patch sizes](delta.svg)",
            "",
            "| geometric mean | times smaller |",
            "|---|--:|",
            *(f"| {name} | {value:g} |" for name, value in values if "least" not in name),
            "",
            *_short(rows),
            "",
            "## Every tool",
            "",
            *_sizes(rows),
            "",
            "## What it takes",
            "Encoder: seconds of one core and megabytes. Decoder: milliseconds on the i386 runtime without",
            "flash, in a heap of 48 KB; the smallest heap in KB that is enough for interpreter, code",
            "and data together, and its bytes of data; normal and small profile.",
            "",
            *_costs(rows),
        ]
    ) + "\n"  # fmt: skip


def _short(rows: list[Row]) -> list[str]:
    lines = [
        f"| pair | what changed | image | driblet | {TODAY} | best other tool |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for r in rows:
        ours, today, (size, tool) = r["bytes"][NORMAL], r["bytes"][TODAY], best(r)
        lines.append(
            f"| {r['name']} | {r['what']} | {r['image']:,} | **{ours:,}** | {today:,} ({today / ours:.1f}x) "
            f"| {size:,} ({size / ours:.2f}x, {tool}) |"
        )
    return lines


def _sizes(rows: list[Row]) -> list[str]:
    tools = [*OURS, SECOND, WHOLE, *(name for name in rows[0]["bytes"] if name in peers(rows[0])), XZ]
    lines = [f"| pair | {' | '.join(tools)} |", "|---|" + "--:|" * len(tools)]
    for r in rows:
        sizes = " | ".join(f"{r['bytes'][t]:,}" if r["bytes"].get(t) else "-" for t in tools)
        lines.append(f"| {r['name']} | {sizes} |")
    return lines


def _costs(rows: list[Row]) -> list[str]:
    lines = [
        "| pair | chip | encoder s | MB | decoder ms | heap KB | data | heap KB, small | data, small |",
        "|---|---|" + "--:|" * 7,
    ]
    for r in rows:
        memory = " | ".join(f"{r['heap_kb'][name]} | {r['ram'][name]:,}" for name in (NORMAL, SMALL))
        lines.append(
            f"| {r['name']} | {r['chip']} | {r['encode_seconds'][NORMAL]} | {r['encode_mb']} "
            f"| {r['decode_ms'][NORMAL]} | {memory} |"
        )
    return lines


def write_readme(file: Path, facts: dict[str, Any]) -> None:
    """The short table between the two marks of README.md; the rest is written by hand."""
    rows = [row for row in facts["pairs"] if row["name"] in _IN_README]
    means = facts["means"]
    kind = "minor ESP32 changes"
    lines = [
        "| what changed | image | driblet | best other tool, any memory | detools + heatshrink |",
        "|---|--:|--:|--:|--:|",
    ]
    for r in rows:
        sizes = [r["image"], r["bytes"][NORMAL], best(r)[0], r["bytes"][TODAY]]
        lines.append(f"| {r['what']} ({r['chip']}) | {' | '.join(f'{size:,}' for size in sizes)} |")
    today, others = means[f"{kind}: below {TODAY}"], means[f"{kind}: below the best other tool"]
    lines += [
        "",
        f"Sizes in bytes. Minor changes for ESP32: {today:.0f} times smaller than detools with heatshrink,",
        f"{others:.0f} times smaller than the best of seven other tools and settings (geometric means).",
        "[All pairs and tools](docs/benchmarks/delta.md), measured by `make bench`.",
        "",
        "![Patch sizes](docs/benchmarks/delta.svg)",
    ]
    before, rest = file.read_text().split(_BEGINS)
    file.write_text("\n".join([before + _BEGINS, *lines, _ENDS + rest.split(_ENDS)[1]]))


def write(folder: Path, facts: dict[str, Any]) -> None:
    """delta.json, delta.md, delta.svg."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "delta.json").write_text(json.dumps(facts, indent=1) + "\n")
    (folder / "delta.md").write_text(page(facts))
    groups = [(r["name"], r["bytes"][NORMAL], best(r)[0], r["bytes"][TODAY]) for r in facts["pairs"]]
    (folder / "delta.svg").write_text(chart(groups))
