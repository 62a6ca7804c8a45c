"""`make bench`: patch sizes over the firmware pairs of CORPUS_DIR, ours and other tools', in one run.

Writes delta.json, delta.md and delta.svg, and the short table in README.md. Two pairs are measured side by
side (JOBS of them); each prints a line when it is done. A run that was stopped goes on where it was, as long
as no source has changed. Exit status 1 where a patch of ours was not rebuilt in the memory that it may take:
48 KB of MicroPython's heap in all, 32 KB for a minor change.
"""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import otadiff
import otaspec

from bench import report

HERE = Path(__file__).parent
ROOT = HERE.parent
_ROWS = ROOT / "build" / "bench-rows"  # of a run that is not at its end
_TIMEOUT = 1200  # seconds for one pair


def sources() -> str:
    """A name for the code that measures."""
    folders = [Path(str(package.__file__)).parent for package in (otadiff, otaspec)]
    files = [file for folder in (*folders, HERE) for file in sorted(folder.glob("*.py"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def row_of(corpus: Path, pair: dict[str, Any], peers: str, folder: Path) -> dict[str, Any]:
    """The pair's row: from `folder` if it is there, else measured, and kept there."""
    kept = folder / f"{pair['name']}.json"
    if not kept.is_file():
        row = measured(corpus, pair, peers)
        folder.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(row))
    known: dict[str, Any] = json.loads(kept.read_text())
    return known


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
    folder = _ROWS / sources()
    with ThreadPoolExecutor(int(os.environ.get("JOBS", "2"))) as pool:
        order = sorted(pairs, key=lambda p: p["minor"])
        work = [pool.submit(row_of, corpus, p, peers, folder) for p in order]
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
            report.write(ROOT / "docs" / "benchmarks", facts)
            report.write_readme(ROOT / "README.md", facts)
            shutil.rmtree(_ROWS, ignore_errors=True)
        for name, value in facts["means"].items():
            print(f"{name}: {value}")
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    main()
