"""`make bench`: patch sizes over the firmware pairs of CORPUS_DIR, ours and other tools', in one run.

Writes delta.json, delta.md and delta.svg. Two pairs are measured side by side (JOBS of them); each prints a
line when it is done. Exit status 1 where a patch of ours was not rebuilt in the memory that it may take:
48 KB of MicroPython's heap in all, 32 KB for the small profile of a minor change.
"""

import json
import os
import platform
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from bench import report

OUT = Path(__file__).parent.parent / "docs" / "benchmarks"
_TIMEOUT = 1200  # seconds for one pair


def measured(corpus: Path, pair: dict[str, Any], peers: str) -> dict[str, Any]:
    """A row of the table, by a process of its own."""
    files = [str(corpus / pair[name]) for name in ("old", "new")]
    words = [sys.executable, "-m", "bench.pair", *files, peers]
    done = subprocess.run(words, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    if done.returncode:
        raise RuntimeError(f"{pair['name']}: {done.stderr.strip()[-600:]}")
    about = {name: pair[name] for name in ("name", "chip", "what", "minor")}
    return about | json.loads(done.stdout)


def measure_all(corpus: Path, pairs: list[dict[str, Any]], peers: str) -> tuple[list[Any], list[str]]:
    """(rows in the order of the pairs, complaints). The largest changes first: they take longest."""
    rows: dict[str, Any] = {}
    complaints = []
    with ThreadPoolExecutor(int(os.environ.get("JOBS", "2"))) as pool:
        work = [pool.submit(measured, corpus, p, peers) for p in sorted(pairs, key=lambda p: p["minor"])]
        for number, done in enumerate(as_completed(work), 1):
            try:
                row = done.result()
                rows[row["name"]] = row
                said = report.line(row)
                complaints += report.broken(row)
            except (RuntimeError, subprocess.TimeoutExpired) as problem:
                said = str(problem)
                complaints.append(said)
            print(f"{number} of {len(pairs)}  {said}", file=sys.stderr, flush=True)
    return [rows[p["name"]] for p in pairs if p["name"] in rows], complaints


def main() -> None:
    """Usage: python -m bench.run PEERS_PYTHON [PAIR...]"""
    folder = os.environ.get("CORPUS_DIR")
    if not folder:
        print("skipped: CORPUS_DIR is not set, there are no firmware pairs to measure")
        return
    corpus = Path(folder)
    names = sys.argv[2:]
    pairs = json.loads((corpus / "pairs.json").read_text())
    pairs = [pair for pair in pairs if pair["name"] in names or not names]
    started = time.monotonic()
    rows, complaints = measure_all(corpus, pairs, sys.argv[1])
    if rows:
        facts = {
            "machine": platform.machine(),
            "python": platform.python_version(),
            "seconds": round(time.monotonic() - started),
            "means": report.means(rows),
            "pairs": rows,
        }
        if not names:
            report.write(OUT, facts)
        for name, value in facts["means"].items():
            print(f"{name}: {value}")
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    main()
