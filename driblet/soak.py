"""`make soak`: thirty days of one board's life in a few minutes: docs/benchmarks/soak.json.

Agent, bootloader, flash and protocol are real; time is simulated and the sockets are not there (the fault
lab). The same seed gives the same life. Ten pieces of three days; between two of them the power goes.
"""

import argparse
import asyncio
import hashlib
import json
import os
import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from otaboards import loader, runtime
from otaboards.folders import build_folder
from otadiff.build import build_package
from otadiff.sign import Signer
from otasim import bench, parts
from otaspec import image_file

DAYS, PIECE = 30, 3
SECONDS, GROWTH = 300, 1024  # the promise: it takes no longer, and the heap grows no more
LOOKED = 8  # hours of one uptime without which the heap was not really looked at
PER_PIECE = 4  # releases in three days
_BOARD = "ESP32_GENERIC"
_SIZE = 96 * 1024
_SIGNER = Signer(ec.derive_private_key(0xD21B, ec.SECP256R1()))  # of a lab board, and of no other
_BAD = {6: "self_test", 13: "hang_late", 22: "import", 31: "self_test"}  # number of the release: how it fails
_LAB = parts.MODULES.parent / "lab"
_OUT = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "soak.json"


@dataclass
class Life:
    """What came of the pieces so far."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    finals: dict[int, list[list[Any]]] = field(default_factory=dict)

    def add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        for final in row["finals"]:
            self.finals.setdefault(final[0], []).append(final)

    def total(self, name: str) -> int:
        return sum(row[name] for row in self.rows)

    def growth(self) -> int:
        """Bytes that an uptime ended with above its first look: the most of all."""
        looks = [row["heap"] for row in self.rows if len(row["heap"]) > 2]
        return max((heap[-1][1] - heap[0][1] for heap in looks), default=0)

    def facts(self, seed: int, offered: int, seconds: float) -> dict[str, Any]:
        once = sum(len(reports) == 1 for reports in self.finals.values())
        wrong = [seq for seq, reports in self.finals.items() if reports[0][1] != expected(seq)]
        return {
            **{"seed": seed, "days": DAYS, "seconds": round(seconds, 1), "polls": self.total("polls")},
            **{"boots": self.total("boots"), "power_cuts": self.total("cuts")},
            **{"network_faults": self.total("faults"), "flash_operations": self.total("operations")},
            **{
                "bricks": sum(row["outcome"] != "ok" for row in self.rows),
                "violations": self.total("violations"),
            },
            **{
                "releases": offered,
                "confirmed": self._ended("confirmed"),
                "reverted": self._ended("reverted"),
            },
            "told_twice": [reports for reports in self.finals.values() if len(reports) != 1],
            **{"final_reports_once": once, "unexpected_ends": wrong, "sent_again": self.total("twice")},
            **{"heap_growth_bytes": self.growth(), "longest_uptime_hours": self._uptime()},
        }

    def _ended(self, state: str) -> int:
        return sum(reports[0][1] == state for reports in self.finals.values())

    def _uptime(self) -> float:
        polls = [row["heap"][-1][0] - row["heap"][0][0] for row in self.rows if row["heap"]]
        return round(max(polls, default=0) / 60, 1)


def expected(seq: int) -> str:
    """How a release is to end, by its number."""
    return "reverted" if seq in _BAD else "confirmed"


def image(number: int) -> bytes:
    """Release `number`: of the one before it 2 KB are new."""
    body = bytearray(random.Random(0).randbytes(_SIZE))  # noqa: S311 - the same images every time
    for each in range(number + 1):
        at = each * 1777 % (_SIZE - 2048)
        body[at : at + 2048] = random.Random(each).randbytes(2048)  # noqa: S311
    desc = image_file.pack_desc(f"1.{number}.0")
    return bytes(image_file.build([(0x3F400020, desc + bytes(body))], loader.load(_BOARD).chip_id))


def release(folder: Path, number: int, at: int) -> dict[str, Any]:
    """The offer of release `number` and its packages: whole, and from the last good one."""
    base = next(n for n in range(number - 1, -1, -1) if n not in _BAD)
    new, packages = image(number), {}
    for old, codec in ((None, "image"), (image(base), "bsdiff")):
        made = build_package(
            old, new, board=loader.load(_BOARD), product="lab", version=f"1.{number}.0", seq=number,
            signer=_SIGNER, codecs=[codec],
        )  # fmt: skip
        path = folder / hashlib.sha256(made.data).hexdigest()
        path.write_bytes(made.data)
        packages[hashlib.sha256(old).hexdigest() if old else ""] = [str(path), len(made.data)]
    return {"seq": number, "version": f"1.{number}.0", "at": at, "packages": packages}


def job(base: dict[str, Any], folder: Path, piece: int, last_report: int, seed: int) -> dict[str, Any]:
    numbers = range(piece * PER_PIECE + 1, (piece + 1) * PER_PIECE + 1)
    seconds = PIECE * 86400
    step = seconds // PER_PIECE
    images = {hashlib.sha256(image(n)).hexdigest(): _BAD.get(n, "good") for n in range(numbers[-1] + 1)}
    return base | {
        **{"seed": seed * 100 + piece, "seconds": seconds, "began": piece * seconds, "images": images},
        **{"fault_every": 60, "break_every": 90, "cut_seconds": 86400, "last_report": last_report},
        "releases": [release(folder, n, (n - numbers[0]) * step + 3600) for n in numbers],
    }


async def live(seed: int, days: int) -> Life:
    found = runtime.find()
    folder = build_folder("soak") / str(seed)
    folder.mkdir(parents=True, exist_ok=True)
    first = release(folder, 1, 0)
    package = Path(first["packages"][""][0]).read_bytes()
    update = bench.update_of(folder, found, loader.load(_BOARD), image(0), package, _SIGNER.public)
    base = update.job((), False)
    lab = runtime.compile_tree([_LAB], arch=found.arch) / _LAB.name
    command = found.command(
        ["-m", "_lab.soak"], heap="1M", path=[lab, parts.stand_ins(found), *update.firmware]
    )
    life, last = Life(), 0
    for piece in range(days // PIECE):
        child = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env={}
        )
        said, _ = await child.communicate(json.dumps(job(base, folder, piece, last, seed)).encode() + b"\n")
        lines = [line for line in said.splitlines() if line.startswith(b"{")]
        if child.returncode or not lines:
            raise SystemExit(f"the lab ended with status {child.returncode}")
        life.add(json.loads(lines[-1]))
        last = life.rows[-1]["last_report"]
        row = life.rows[-1]
        print(f"day {(piece + 1) * PIECE}: {row['boots']} boots, {row['cuts']} cuts, {row['polls']} polls, "
              f"{len(row['finals'])} releases ended, {row['outcome']}", file=sys.stderr)  # fmt: skip
    return life


def keep(out: Path, facts: dict[str, Any]) -> None:
    """One row for each seed that was tried."""
    rows = json.loads(out.read_text()) if out.is_file() else []
    rows = [row for row in rows if row["seed"] != facts["seed"]] + [facts]
    out.write_text(json.dumps(sorted(rows, key=lambda row: row["seed"]), indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--out", type=Path, default=_OUT)
    given = parser.parse_args()
    began = time.monotonic()
    life = asyncio.run(live(given.seed, given.days))
    releases = given.days // PIECE * PER_PIECE
    facts = life.facts(given.seed, releases, time.monotonic() - began) | {"days": given.days}
    facts["cpu_seconds"] = round(sum(os.times()[:4]), 1)
    print(json.dumps(facts, indent=2))
    if given.days == DAYS:
        keep(given.out, facts)
    good = not facts["bricks"] and not facts["violations"] and not facts["unexpected_ends"]
    good = good and facts["final_reports_once"] == releases
    steady = facts["heap_growth_bytes"] <= GROWTH and facts["longest_uptime_hours"] >= LOOKED
    sys.exit(not (good and steady and facts["seconds"] <= SECONDS))


if __name__ == "__main__":
    main()
