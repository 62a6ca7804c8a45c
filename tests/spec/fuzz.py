"""Mutated patches over every decoder: `python -m tests.spec.fuzz [COUNT] [SEED]`, on all processors.

Each ends in 112, 113 or 114, or in an image of exactly the declared size; anything else (another error, a
read or a write outside a buffer, more than ten seconds of CPU) stops the fuzzer, which names the case. Of
eight patches seven are of codec 3; the rest are of codecs 0, 1 and 2.

What is done stands in docs/benchmarks/fuzz.json after every 10,000 cases; stopped, it goes on from there
as long as the decoders are the same, byte by byte. Fewer than a million cases leave the file alone.
"""

import hashlib
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otadiff import bsdiff, heatshrink
from otaspec import patch as patches
from otaspec.errors import OtaError

from tests.differ.images import pair
from tests.spec import fuzz_address
from tests.spec.memory import New, Old, Source

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "docs" / "benchmarks" / "fuzz.json"
DECODERS = ("_hot*.py", "address*.py", "bsdiff.py", "full.py", "heatshrink.py", "hotstrip.py", "patch.py")
SHARE = 10_000
MILLION = 1_000_000
SECONDS = 10
CODES = (112, 113, 114)  # PATCH_INVALID, PATCH_NEEDS_MORE_RAM, CODEC_UNKNOWN
OTHERS = 8  # one of so many cases is of another codec than 3


@dataclass(frozen=True)
class Case:
    """A patch and what its manifest says. start: bytes of NEW that a decoder is told are there."""

    codec: int
    params: dict[int, int]
    old: bytes
    size: int
    data: bytes
    ram: int = 1 << 20


def simple_bases() -> list[Case]:
    """Small patches of codecs 0, 1 and 2."""
    made = []
    for size in (300, 2000, 9000):
        old, new = pair(size)
        made.append(Case(0, {}, new[:32], len(new), new[32:]))
        for codec, encoded in ((1, heatshrink.encode_image(new, 8192)), (2, bsdiff.encode(old, new, 8192))):
            assert encoded
            made.append(Case(codec, encoded.params, old, len(new), encoded.payload))
    return made


def simple_cases(count: int, seed: int) -> Iterator[Case]:
    """Mutated patches of codecs 0, 1 and 2, now and then with other parameters."""
    bases = simple_bases()
    others = [base.data for base in bases]
    for i in range(count):
        dice = random.Random(seed * 1_000_000_007 + i)
        base = dice.choice(bases)
        params = dict(base.params)
        if params and dice.random() < 0.2:
            params[dice.choice((0, 1, 2, 3, 9))] = dice.choice((0, 1, 2, 3, 9, 14, 15, 16, 300))
        size = base.size if dice.random() < 0.9 else dice.randrange(1, 2 * base.size)
        ram = 1 << 20 if dice.random() < 0.9 else dice.randrange(20_000)
        data = fuzz_address.mutated(dice, base.data, others)
        yield Case(base.codec, params, base.old, size, data, ram)


def address_cases(count: int, seed: int) -> Iterator[Case]:
    """Mutated patches of codec 3."""
    for patch, data in fuzz_address.cases(count, seed):
        params = {1: data[0], 2: data[1]} if len(data) > 1 else {}
        yield Case(3, params, patch.old, len(patch.new), data)


def cases(count: int, seed: int) -> Iterator[Case]:
    """Both kinds."""
    simple = simple_cases(count // OTHERS, seed)
    address = address_cases(count - count // OTHERS, seed)
    for i in range(count):
        yield next(simple if i % OTHERS == OTHERS - 1 else address)


def outcome(case: Case) -> bytes | int:
    """The image, or the code of the error."""
    new = New(case.size)
    try:
        for _ in patches.decode(case.codec, case.params, Old(case.old), Source(case.data, 40), new, case.ram):
            assert len(new.data) <= case.size
    except OtaError as problem:
        assert problem.code in CODES, problem  # noqa: PT017 - any other is a failure
        return problem.code
    assert len(new.data) == case.size
    return bytes(new.data)


def _too_long(_signal: int, _frame: object) -> None:
    raise TimeoutError(f"more than {SECONDS} s of CPU")


def work(share: tuple[int, int]) -> dict[str, int]:
    """How the cases of a share (count, seed) ended."""
    count, seed = share
    kinds: dict[str, int] = {}
    signal.signal(signal.SIGVTALRM, _too_long)
    for i, case in enumerate(cases(count, seed)):
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        try:
            found = outcome(case)
        except BaseException:
            print(f"seed {seed}, case {i}: {case}", file=sys.stderr)
            raise
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        kind = f"codec {case.codec}: " + (str(found) if isinstance(found, int) else "decoded")
        kinds[kind] = kinds.get(kind, 0) + 1
    return kinds


def decoders() -> str:
    """SHA-256 over the decoders' sources: figures count for these only."""
    state = hashlib.sha256()
    folder = ROOT / "bootloader_spec" / "otaspec"
    for path in sorted(path for name in DECODERS for path in folder.glob(name)):
        state.update(path.name.encode() + b"\0" + path.read_bytes())
    return state.hexdigest()


def known(seed: int, decoder: str, anew: bool) -> dict[str, Any]:
    """The file's figures, if they are of this seed and these decoders; else, or `anew`, none yet."""
    if FIGURES.is_file() and not anew:
        found: dict[str, Any] = json.loads(FIGURES.read_text())
        if (found["seed"], found["decoders"]) == (seed, decoder):
            return found
    words = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    commit = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    return {"seed": seed, "decoders": decoder, "commit": commit, "cases": 0, "ended": {}}


def main(count: int = 1_200_000, seed: int = 1) -> None:
    """Shares of 10,000 in their order, so that the file says from where to go on. A fault raises."""
    figures = known(seed, decoders(), count < MILLION)
    ended: dict[str, int] = figures["ended"]
    shares = [
        (min(SHARE, count - at), seed * 100_000 + at // SHARE) for at in range(figures["cases"], count, SHARE)
    ]
    with multiprocessing.Pool(os.cpu_count()) as pool:
        for (size, _), kinds in zip(shares, pool.imap(work, shares), strict=True):
            for kind, n in kinds.items():
                ended[kind] = ended.get(kind, 0) + n
            figures["cases"] += size
            figures["ended"] = dict(sorted(ended.items()))
            if count >= MILLION:
                FIGURES.write_text(json.dumps(figures, indent=1) + "\n")
            print(f"{figures['cases']:,} of {count:,}", end="\r", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    for kind, n in figures["ended"].items():
        print(f"{kind:<18} {n:>9,}")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
