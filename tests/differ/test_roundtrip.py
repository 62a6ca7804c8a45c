"""What the encoder writes, the device's decoder reads: programs of our own making, then real firmware."""

import json
import random
from pathlib import Path

import pytest
from otadiff import address
from otadiff.image import Cpu

from bench.pair import decodes, rebuilt
from tests.differ.synthetic import build, grow, program

CPUS = [Cpu.XTENSA, Cpu.RISCV, Cpu.THUMB]


def check(old: bytes, new: bytes, **options: object) -> address.Patch:
    made = address.encode(old, new, **options)  # type: ignore[arg-type]
    assert decodes(address.CODEC, made.params, old, made.data, new, made.ram), (
        "the decoder made another image"
    )
    return made


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("mix", [False, True])
def test_programs(cpu: Cpu, mix: bool) -> None:
    made = program(cpu, 4)
    check(build(made), build(grow(grow(made, 3, 1), 70, 2)), mix=mix)


@pytest.mark.parametrize("cpu", CPUS)
def test_blocks(cpu: Cpu) -> None:
    made = program(cpu, 5, functions=900)
    check(build(made), build(grow(made, 400, 1)), blocks=True)


@pytest.mark.parametrize(("old", "new"), [(b"x", b"y"), (b"abc" * 9, b"z"), (b"a", b"a" * 9000)])
def test_smallest_images(old: bytes, new: bytes) -> None:
    check(old, new)


def test_noise() -> None:
    rng = random.Random(2)
    old = rng.randbytes(5000)
    check(old, rng.randbytes(3000))
    check(old, old[1000:4000] + rng.randbytes(500) + old[:2000] + old[1000:4000])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["esp32-spi", "esp32-text", "c3-text", "pyboard-line"])
def test_firmware(corpus: Path, name: str) -> None:
    """Real firmware: the decoder alone, in a board's heap; no patch larger than the prototype's.

    One pair of each CPU here; `make bench` has them all, whole releases too.
    """
    pair = next(p for p in json.loads((corpus / "pairs.json").read_text()) if p["name"] == name)
    old, new = (corpus / pair[name] for name in ("old", "new"))
    made = address.encode(old.read_bytes(), new.read_bytes())
    assert made.ram <= address.RAM[address.SMALL]
    assert len(made.data) <= pair["prototype"] + max(16, pair["prototype"] // 50)
    assert int(rebuilt(old, made.data, new, made.ram, "32k")) < 2000


@pytest.mark.slow
def test_the_normal_profile_on_a_board(corpus: Path) -> None:
    pair = next(p for p in json.loads((corpus / "pairs.json").read_text()) if p["name"] == "pyboard-1f5d")
    old, new = (corpus / pair[name] for name in ("old", "new"))
    made = address.encode(old.read_bytes(), new.read_bytes(), mix=True)
    assert made.ram <= address.RAM[address.NORMAL]
    assert int(rebuilt(old, made.data, new, made.ram, "48k")) < 2000
