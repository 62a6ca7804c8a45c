"""Every kind of reference: what is put in is what is read out."""

import random

import numpy as np
import pytest
from otadiff import operands as op

REACH = {
    op.POINTER: (0, 1 << 30, 1),
    op.X_CALL: (-(1 << 19) + 8, (1 << 19) - 8, 4),
    op.X_JUMP: (-(1 << 17) + 8, (1 << 17) - 8, 1),
    op.X_L32R: (-(1 << 18) + 8, -4, 4),
    op.X_BRANCH: (-2000, 2000, 1),
    op.R_JAL: (-(1 << 20), (1 << 20) - 2, 2),
    op.R_BRANCH: (-4096, 4094, 2),
    op.C_JUMP: (-2048, 2046, 2),
    op.T_BL: (-(1 << 24) + 8, (1 << 24) - 8, 2),
}


@pytest.mark.parametrize("kind", REACH)
def test_put_then_read(kind: int) -> None:
    rng = random.Random(kind)
    low, high, step = REACH[kind]
    for _ in range(200):
        pc = 0x500000 + 4 * rng.randrange(1 << 16)
        target = (0 if kind == op.POINTER else pc) + rng.randrange(low, high, step)
        word = rng.randrange(1 << 8 * int(op.SIZE[kind]))
        made = op.put(kind, word, target, pc, 0, 0x3F000000)
        assert op.read(kind, made, pc, 0x3F000000) == target
        assert (made ^ word) & ~int(op.OPERAND[kind]) == 0, "bits outside the operand changed"


@pytest.mark.parametrize("high_kind", [op.R_HI, op.R_HI_PC])
@pytest.mark.parametrize("store", [False, True])
def test_high_and_low_halves(high_kind: int, store: bool) -> None:
    rng = random.Random(1)
    relative = high_kind == op.R_HI_PC
    low_kind = {(0, 0): op.R_LOW_I, (0, 1): op.R_LOW_S, (1, 0): op.R_LOW_I_PC, (1, 1): op.R_LOW_S_PC}[
        relative, store
    ]
    base = 0x40000000
    for _ in range(200):
        pc = 0x20000 + 4 * rng.randrange(1 << 12)
        target = 0x10000 + rng.randrange(1 << 20)
        high = op.put(high_kind, 0x517, target, pc, 0, base)
        low = op.put(low_kind, 0x50023 if store else 0x50513, target, pc + 4, pc, base)
        code = np.frombuffer(
            int(high).to_bytes(4, "little") + int(low).to_bytes(4, "little"), np.uint8
        ).copy()
        assert op.get(high_kind, code, 0, code, 0, pc, target, 4, base) == target
        for moved in (-300, 0, 1500):
            assert op.get(low_kind, code, 4, code, 4, pc + 4, target - moved, 4, base) == target


def test_another_instruction_is_unlike() -> None:
    one = np.array([0x25, 1, 2, 0], np.uint8)
    other = np.array([0x35, 1, 2, 0], np.uint8)
    assert op.get(op.X_CALL, one, 0, other, 0, 0, 0, 0, 0) == op.UNLIKE
