"""Same inputs, same bytes, on every machine: integer costs, no fast-math (hashes in same_bytes.json).

A change of the encoder changes them: `python -m tests.differ.test_same_bytes` writes them anew.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from otadiff import address, bsdiff, heatshrink
from otadiff.image import Cpu

from tests.differ.images import pair
from tests.differ.synthetic import build, grow, program

KNOWN = Path(__file__).with_name("same_bytes.json")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def programs(cpu: Cpu) -> tuple[bytes, bytes]:
    """Two programs; functions grew, so that most references moved."""
    made = program(cpu, 11)
    return build(made), build(grow(grow(grow(made, 3, 1), 70, 2), 100, 3))


def simple() -> dict[str, str]:
    """Hashes of what the encoders of codecs 1 and 2 make."""
    old, new = pair(60_000)
    patch, packed = bsdiff.encode(old, new, 16384), heatshrink.encode_image(new, 16384)
    assert patch
    assert packed
    return {"bsdiff": sha256(patch.payload), "heatshrink": sha256(packed.payload)}


def by_address() -> dict[str, str]:
    """Hashes of what the encoder of codec 3 makes: each CPU, with and without mixed literals, in blocks."""
    found = {}
    for cpu in (Cpu.XTENSA, Cpu.RISCV, Cpu.THUMB):
        old, new = programs(cpu)
        for name, options in (
            ("plain", {"mix": False}),
            ("mixed", {"mix": True}),
            ("blocks", {"blocks": True}),
        ):
            made = address.encode(old, new, **options)  # type: ignore[arg-type]
            found[f"address {cpu.name} {name}"] = sha256(made.data)
    return found


def known() -> dict[str, str]:
    found: dict[str, str] = json.loads(KNOWN.read_text())
    return found


def test_codecs_1_and_2() -> None:
    assert simple() == {name: known()[name] for name in ("bsdiff", "heatshrink")}


@pytest.mark.slow
def test_codec_3() -> None:
    assert by_address() == {name: value for name, value in known().items() if name.startswith("address")}


_MEMORY = """
import json, re, sys, time
from pathlib import Path
from otadiff import address
old, new = (Path(name).read_bytes() for name in sys.argv[1:])
address.encode(old[:20000], new[:20000])  # what is compiled, or loaded, once
started = time.process_time()
made = address.encode(old, new)
seconds = time.process_time() - started
# Not getrusage: there a process begins with the peak of the one that started it.
peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]
print(json.dumps([len(made.data), int(peak) >> 10, seconds]))
"""


@pytest.mark.slow
def test_the_encoder_stays_within_its_memory_and_time(corpus: Path, tmp_path: Path) -> None:
    """For a minor change of a 1.75 MB image, also on a machine where nothing is compiled yet."""
    chosen: dict[str, Any] = next(
        p for p in json.loads((corpus / "pairs.json").read_text()) if p["name"] == "esp32-text"
    )
    files = [str(corpus / chosen[name]) for name in ("old", "new")]
    new_machine = os.environ | {"DRIBLET_CACHE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", _MEMORY, *files], capture_output=True, text=True, check=True, env=new_machine
    )
    size, megabytes, seconds = json.loads(done.stdout)
    assert size < 2000
    assert megabytes <= 400  # of 500: images may be larger
    assert seconds <= 15


if __name__ == "__main__":
    KNOWN.write_text(json.dumps(simple() | by_address(), indent=1) + "\n")
