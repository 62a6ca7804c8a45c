"""What the encoder writes, the device's decoder reads: programs of our own making, then real firmware."""

import json
import random
from pathlib import Path

import pytest
from otadiff import address
from otadiff.image import Cpu

from bench.pair import decodes
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
@pytest.mark.parametrize("profile", [address.SMALL, address.NORMAL])
def test_firmware(corpus: Path, profile: str) -> None:
    """Small changes decode, and none is larger than the prototype's patch by more than 2 % or 16 bytes.

    One pair of each CPU here; `make bench` has them all, whole releases too.
    """
    chosen = ("esp32-text", "c3-text", "pyboard-line") if profile == address.NORMAL else ("esp32-spi",)
    for pair in json.loads((corpus / "pairs.json").read_text()):
        if pair["name"] not in chosen:
            continue
        old, new = (corpus / pair[name] for name in ("old", "new"))
        made = check(old.read_bytes(), new.read_bytes(), profile=profile)
        assert made.ram <= address.RAM[profile]
        if profile == address.NORMAL:
            assert len(made.data) <= pair["prototype"] + max(16, pair["prototype"] // 50), pair["name"]
