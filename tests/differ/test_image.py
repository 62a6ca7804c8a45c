"""What an image is, from its header or from its contents."""

import random

import pytest
from otadiff.image import Cpu, find_references, parse

from tests.differ.synthetic import CODE, build, grow, program


@pytest.mark.parametrize(
    ("cpu", "first"), [(Cpu.XTENSA, 0x3FFB0000), (Cpu.RISCV, 0x3FFB0000), (Cpu.THUMB, 0x08020000)]
)
def test_cpu_and_address_are_found(cpu: Cpu, first: int) -> None:
    image = parse(build(program(cpu, 1)))
    assert image.cpu is cpu
    assert image.segments[0].address == first
    assert image.raw == (cpu is Cpu.THUMB)


def test_noise_is_no_firmware() -> None:
    assert parse(random.Random(1).randbytes(5000)).cpu is Cpu.NONE
    assert parse(b"").cpu is Cpu.NONE
    assert parse(b"\xe9\x05").cpu is Cpu.NONE


@pytest.mark.parametrize("cpu", [Cpu.XTENSA, Cpu.RISCV, Cpu.THUMB])
def test_calls_and_pointers_are_found(cpu: Cpu) -> None:
    made = program(cpu, 2)
    found = find_references(parse(build(made)), 0)
    wanted = sum(len(f.calls) for f in made.functions) + len(made.pointers)
    assert (found.kind > 0).sum() >= wanted * 0.9


def test_a_grown_function_moves_what_follows() -> None:
    made = program(Cpu.XTENSA, 3)
    old, new = build(made), build(grow(made, 10, 1))
    changed = sum(a != b for a, b in zip(old, new, strict=False))
    assert len(new) > len(old)
    assert changed > len(old) // 3
    assert parse(new).segments[1].address == CODE
