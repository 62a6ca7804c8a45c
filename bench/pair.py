"""One pair of firmware images, measured: prints JSON. `python -m bench.pair OLD NEW PEERS_PYTHON`.

A process of its own, so that its memory is the encoder's. Every patch of codec 3 is rebuilt by the device's
decoder under MicroPython before its size counts, in the smallest heap that is enough for interpreter, code
and data together.
"""

import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import otaspec
from otaboards import runtime
from otaboards.mpy import compile_tree
from otadiff import address, bsdiff, heatshrink
from otaspec import patch as device

HERE = Path(__file__).parent
NORMAL, SMALL = "driblet", "driblet small"
OURS = (NORMAL, SMALL)
SECOND, WHOLE = "driblet bsdiff + heatshrink", "driblet, whole image"
HEAPS = range(24, 50, 2)  # KB
_RAM = 1 << 16  # of the codecs that are there for comparison


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
    """Whether the device's decoder, on CPython, makes `new` of it."""
    out = _Random(size=len(new))
    for _ in device.decode(codec, params, _Random(old), _Stream(patch), out, ram):
        pass
    return bytes(out.data) == new


def on_micropython(old: Path, patch: bytes, new: Path, ram: int) -> tuple[int, int]:
    """(KB of the smallest heap that is enough, ms in the largest of them); SystemExit: none is."""
    for heap in HEAPS:
        done = rebuilt(old, patch, new, ram, f"{heap}k")
        if done.isdigit():
            return heap, int(rebuilt(old, patch, new, ram, f"{HEAPS[-1]}k"))
    raise SystemExit(f"{new.name}: not rebuilt in a heap of {HEAPS[-1]} KB: {done[-300:]}")


def rebuilt(old: Path, patch: bytes, new: Path, ram: int, heap: str) -> str:
    """Milliseconds that the device's decoder takes in a heap of `heap` in all, or what it said instead."""
    found = runtime.find()
    tree = compile_tree([Path(str(otaspec.__file__)).parent], arch=found.arch)
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder, "patch"), Path(folder, "new")
        source.write_bytes(patch)
        words = [str(old), str(source), str(out), str(new.stat().st_size), str(ram)]
        done = found.run(HERE / "on_device.py", words, timeout=300, heap=heap, path=[tree])
        if done.returncode:
            return done.stderr or f"status {done.returncode}"
        return done.stdout.strip() if out.read_bytes() == new.read_bytes() else "another image"


def encode(old: bytes, new: bytes, profile: str) -> tuple[address.Patch, float]:
    """The patch and the encoder's seconds of CPU."""
    started = time.process_time()
    made = address.encode(old, new, profile=profile)
    return made, round(time.process_time() - started, 1)


def measure(old_file: Path, new_file: Path) -> dict[str, Any]:
    """Sizes, times and memory of ours."""
    old, new = old_file.read_bytes(), new_file.read_bytes()
    row: dict[str, Any] = {"image": len(new), "bytes": {}, "sha256": {}, "ram": {}}
    row |= {"encode_seconds": {}, "decode_ms": {}, "heap_kb": {}}
    for name, profile in zip(OURS, (address.NORMAL, address.SMALL), strict=True):
        made, row["encode_seconds"][name] = encode(old, new, profile)
        if name == NORMAL:
            row["encode_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        least, row["decode_ms"][name] = on_micropython(old_file, made.data, new_file, made.ram)
        row["heap_kb"][name] = least
        row["bytes"][name], row["ram"][name] = len(made.data), made.ram
        row["sha256"][name] = hashlib.sha256(made.data).hexdigest()
    for name, other in (
        (SECOND, bsdiff.encode(old, new, _RAM)),
        (WHOLE, heatshrink.encode_image(new, _RAM)),
    ):
        row["bytes"][name] = len(other.payload) if other else None
    return row


def main(old: str, new: str, peers: str) -> None:
    row = measure(Path(old), Path(new))
    started = time.monotonic()
    others = subprocess.run(
        [peers, str(HERE / "peers.py"), old, new], stdout=subprocess.PIPE, check=True
    ).stdout
    row["bytes"] |= json.loads(others)
    row["peers_seconds"] = round(time.monotonic() - started)
    print(json.dumps(row))


if __name__ == "__main__":
    main(*sys.argv[1:4])
