"""Mutated patches over the address-aware decoder: `python -m tests.spec.fuzz_address [COUNT] [SEED]`.

Each ends in PatchError, or in an image of exactly the declared size; anything else (another error, a read
or a write outside a buffer, a run of more than ten seconds) stops the fuzzer, which names the case.
"""

import random
import signal
import sys
from collections.abc import Iterator

from otaspec import patch as patches
from otaspec.errors import PatchError

from tests.spec.memory import New, Old, Source
from tests.spec.patchimages import CPUS, random_patch
from tests.spec.patchref import Patch

SECONDS = 10


def bases(size: int = 500) -> list[tuple[Patch, bytes]]:
    """Small patches with everything in them, and what they are encoded to."""
    made = []
    for i, cpu in enumerate(CPUS * 3):
        shape = {
            "explicit": i % 2 == 0,
            "mix": i % 3 == 0,
            "elide": i % 4 == 1,
            "block": 16 if i % 5 == 4 else 0,
        }
        patch = random_patch(i, cpu, **shape, size=size)
        made.append((patch, patch.encode()))
    return made


def mutated(rng: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """`data` with something wrong in it: bits, bytes, lengths, a piece of another patch."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at = rng.randrange(len(out)) if out else 0
        kind = rng.randrange(6)
        if kind == 0 and out:
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and out:
            out[at] = rng.randrange(256)
        elif kind == 2:
            del out[at:]
        elif kind == 3:
            out += rng.choice((b"\0", b"\xff", rng.randbytes(20)))
        elif kind == 4:
            out[at : at + 8] = rng.choice((bytes(8), b"\xff" * 8, rng.randbytes(8)))
        else:
            other = rng.choice(others)
            out[at:] = other[at:]
    return bytes(out)


def cases(count: int, seed: int) -> Iterator[tuple[Patch, bytes]]:
    made = bases()
    others = [data for _, data in made]
    for i in range(count):
        rng = random.Random(seed * 1_000_000_007 + i)
        patch, data = rng.choice(made)
        yield patch, mutated(rng, data, others)


def outcome(patch: Patch, data: bytes) -> bytes | int:
    """The image, or the code of the PatchError."""
    new = New(len(patch.new))
    params = {1: data[0], 2: data[1]} if len(data) > 1 else {}
    try:
        for _ in patches.decode(3, params, Old(patch.old), Source(data, 40), new, 1 << 20):
            pass
    except PatchError as problem:
        return problem.code
    assert len(new.data) == new.size
    return bytes(new.data)


def main(count: int = 1_000_000, seed: int = 1) -> None:
    kinds: dict[str, int] = {}
    for i, (patch, data) in enumerate(cases(count, seed)):
        signal.alarm(SECONDS)
        try:
            found = outcome(patch, data)
        except BaseException:
            print(f"seed {seed}, case {i}: {data.hex()}", file=sys.stderr)
            raise
        kind = str(found) if isinstance(found, int) else "decoded"
        kinds[kind] = kinds.get(kind, 0) + 1
        if i % 10_000 == 9_999:
            print(f"{i + 1} of {count}: {kinds}", file=sys.stderr)
    signal.alarm(0)
    print(kinds)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
