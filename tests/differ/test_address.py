"""The address-aware encoder on programs of our own making."""

import hashlib
import random

import pytest
from otadiff import address
from otadiff.image import Cpu

from tests.differ.synthetic import build, grow, program

CPUS = [Cpu.XTENSA, Cpu.RISCV, Cpu.THUMB]


def pair(cpu: Cpu, seed: int = 1) -> tuple[bytes, bytes]:
    made = program(cpu, seed)
    return build(made), build(grow(made, 30, seed))


@pytest.mark.parametrize("cpu", CPUS)
def test_a_grown_function_costs_little(cpu: Cpu) -> None:
    old, new = pair(cpu)
    patch = address.encode(old, new)
    assert len(patch.data) < 160
    assert patch.ram <= address.RAM[address.SMALL]
    assert patch.params == {1: 1, 2: 0}


@pytest.mark.parametrize(
    ("profile", "mix"), [(address.SMALL, None), (address.NORMAL, False), (address.NORMAL, True)]
)
def test_parts_add_up(profile: str, mix: bool | None) -> None:
    old, new = pair(Cpu.XTENSA)
    patch = address.encode(old, new, profile=profile, mix=mix)
    assert abs(sum(patch.written.parts.values()) / 8192 - len(patch.data)) < 8
    assert patch.params == {1: 1, 2: int(mix or False)}
    assert patch.ram <= address.RAM[profile]


@pytest.mark.parametrize("cpu", CPUS)
def test_the_same_bytes_every_time(cpu: Cpu) -> None:
    old, new = pair(cpu)
    assert address.encode(old, new).data == address.encode(old, new).data


def test_progress_rises_to_the_end() -> None:
    seen: list[float] = []
    address.encode(b"a" * 500, b"a" * 500, progress=lambda share, _what: seen.append(share))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


@pytest.mark.parametrize(("old", "new"), [(b"", b"x"), (b"x", b"y"), (b"abc" * 9, b""), (b"a", b"a" * 5000)])
def test_smallest_images(old: bytes, new: bytes) -> None:
    assert len(address.encode(old, new).data) < 64


def test_noise_costs_no_more_than_itself() -> None:
    rng = random.Random(1)
    old, new = rng.randbytes(3000), rng.randbytes(3000)
    assert len(address.encode(old, new).data) < 3300
    assert hashlib.sha256(new).digest()
