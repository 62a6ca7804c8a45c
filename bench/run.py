"""`make bench`: patch sizes over the firmware pairs of CORPUS_DIR, ours and other tools', in one run.

Writes delta.json, delta.md and delta.svg. Every patch of ours is decoded again by the device's decoder (its
CPython variant) before its size counts; every size of another tool is measured in this run.
"""

import json
import math
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from otadiff import address, bsdiff
from otaspec import patch as device

from bench.chart import chart

HERE = Path(__file__).parent
OUT = HERE.parent / "docs" / "benchmarks"
OURS = ("driblet", "driblet small", "driblet bsdiff + heatshrink")
WHOLE = "xz, whole image"


class _Bytes:
    """Bytes as the decoder reads and writes them."""

    def __init__(self, data: bytes = b"", size: int = 0) -> None:
        self.data = bytearray(data)
        self.size = size or len(data)
        self.at = 0

    def write(self, data: bytes) -> None:
        self.data += data


class _Random(_Bytes):
    def readinto(self, offset: int, buffer: memoryview) -> None:
        buffer[:] = self.data[offset : offset + len(buffer)]


class _Stream(_Bytes):
    def readinto(self, buffer: memoryview) -> int:
        part = self.data[self.at : self.at + len(buffer)]
        buffer[: len(part)] = part
        self.at += len(part)
        return len(part)


def decodes(codec: int, params: dict[int, int], old: bytes, patch: bytes, new: bytes, ram: int) -> bool:
    """Whether the device's decoder makes `new` of it."""
    out = _Random(size=len(new))
    for _ in device.decode(codec, params, _Random(old), _Stream(patch), out, ram):
        pass
    return bytes(out.data) == new


def measure(old_file: Path, new_file: Path, peers: str) -> dict[str, Any]:
    """Sizes, seconds and decoder RAM for one pair."""
    old, new = old_file.read_bytes(), new_file.read_bytes()
    row: dict[str, Any] = {"image": len(new), "bytes": {}, "ram": {}, "seconds": {}}
    for name, profile in zip(OURS, (address.NORMAL, address.SMALL), strict=False):
        started = time.process_time()
        made = address.encode(old, new, profile=profile)
        row["seconds"][name] = round(time.process_time() - started, 1)
        if not decodes(address.CODEC, made.params, old, made.data, new, address.RAM[profile]):
            raise SystemExit(f"{new_file.name}: the decoder made another image")
        row["bytes"][name] = len(made.data)
        row["ram"][name] = made.ram
    second = bsdiff.encode(old, new, 1 << 16)
    row["bytes"][OURS[2]] = len(second.payload) if second else None
    found = subprocess.run(
        [peers, str(HERE / "peers.py"), str(old_file), str(new_file)], stdout=subprocess.PIPE, check=True
    )
    row["bytes"] |= json.loads(found.stdout)
    return row


def best_peer(row: dict[str, Any]) -> int:
    """The smallest delta of any other tool, whatever memory it takes."""
    return min(v for k, v in row["bytes"].items() if v and k not in (*OURS, WHOLE))


def geometric_mean(ratios: list[float]) -> float:
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def summary(rows: list[dict[str, Any]]) -> dict[str, float]:
    """How many times smaller than others, as geometric means."""
    found = {}
    for kind, chosen in (("all", rows), ("minor", [r for r in rows if r["minor"]])):
        ours = [r["bytes"][OURS[0]] for r in chosen]
        hs = [r["bytes"]["detools heatshrink"] / size for r, size in zip(chosen, ours, strict=True)]
        best = [best_peer(r) / size for r, size in zip(chosen, ours, strict=True)]
        found[f"{kind}: below detools + heatshrink"] = round(geometric_mean(hs), 2)
        found[f"{kind}: below the best other tool"] = round(geometric_mean(best), 2)
        found[f"{kind}: least below the best other tool"] = round(min(best), 3)
    return found


def table(rows: list[dict[str, Any]], means: dict[str, float]) -> str:
    """The page: means, then every size."""
    tools = [*OURS, *(name for name in rows[0]["bytes"] if name not in OURS)]
    lines = [
        "# How small the patches are",
        "",
        "Made by `make bench`; sizes in bytes. Every patch of ours was decoded by the device's decoder,",
        "within the memory of its profile (18 KB small, 24 KB normal). The others may take any memory.",
        "",
        "![Patch sizes](delta.svg)",
        "",
        "| geometric mean, times smaller | |",
        "|---|--:|",
        *(f"| {name} | {value} |" for name, value in means.items() if "least" not in name),
        "",
        f"| pair | what changed | image | {' | '.join(tools)} |",
        "|---|---|" + "--:|" * (len(tools) + 1),
    ]
    for r in rows:
        sizes = " | ".join(f"{r['bytes'][t]:,}" if r["bytes"].get(t) else "-" for t in tools)
        lines.append(f"| {r['name']} ({r['chip']}) | {r['what']} | {r['image']:,} | {sizes} |")
    lines += ["", "| pair | encoder, s of one core | decoder data, normal | small |", "|---|--:|--:|--:|"]
    for r in rows:
        ram = [f"{r['ram'][name]:,}" for name in OURS[:2]]
        lines.append(f"| {r['name']} | {r['seconds'][OURS[0]]} | {' | '.join(ram)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Usage: python -m bench.run PEERS_PYTHON [PAIR...]"""
    folder = os.environ.get("CORPUS_DIR")
    if not folder:
        print("skipped: CORPUS_DIR is not set, there are no firmware pairs to measure")
        return
    corpus = Path(folder)
    rows = []
    for pair in json.loads((corpus / "pairs.json").read_text()):
        if sys.argv[2:] and pair["name"] not in sys.argv[2:]:
            continue
        row = {k: pair[k] for k in ("name", "chip", "what", "minor")}
        row |= measure(corpus / pair["old"], corpus / pair["new"], sys.argv[1])
        rows.append(row)
        print(f"{row['name']}: {row['bytes'][OURS[0]]:,}; best other {best_peer(row):,}", file=sys.stderr)
    means = summary(rows)
    OUT.mkdir(parents=True, exist_ok=True)
    facts = {
        "machine": platform.machine(),
        "python": platform.python_version(),
        "means": means,
        "pairs": rows,
    }
    (OUT / "delta.json").write_text(json.dumps(facts, indent=1) + "\n")
    (OUT / "delta.md").write_text(table(rows, means))
    (OUT / "delta.svg").write_text(chart([(r["name"], r["bytes"], best_peer(r)) for r in rows], OURS[0]))
    for name, value in means.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
