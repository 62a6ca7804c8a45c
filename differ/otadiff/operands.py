"""Address operands: how each kind of reference writes a target address into its instruction.

A reference is `SIZE[kind]` bytes, held as one little-endian integer. `put` writes a target into it and
keeps every other bit; `get` reads the target back out of a new instruction, if it is the same
instruction but for its operand. Sources: Xtensa ISA reference manual (CALL, J, BRI12, L32R), RISC-V
unprivileged ISA (J, B, U, I, S and CJ immediates), Armv7-M ARM (BL, B.W encoding T4).

Addresses are those of PATCH.md: less the base B of the old image, so they may be negative.
"""

import numpy as np

from .jit import jit

NONE = 0
POINTER = 1
X_CALL = 2
X_JUMP = 3
X_L32R = 4
R_JAL = 5
R_HI = 6  # lui, with the first use of its register: the whole target is known
R_HI_PC = 7  # auipc, likewise
R_LOW_I = 8  # addi, load or jalr that uses what a lui left in its register
R_LOW_S = 9  # store, likewise
R_LOW_I_PC = 10
R_LOW_S_PC = 11
T_BL = 12
C_JUMP = 13  # c.j, c.jal
X_BRANCH = 14
R_BRANCH = 15

UNLIKE = 1 << 40
"""The target of what is not the same instruction."""

OUTSIDE = -(1 << 31)
"""The address of what lies in no segment."""

SIZE = np.array([0, 4, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 2, 3, 4], np.int64)
"""Bytes of each kind."""

LOCAL = np.array([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1], np.uint8)
"""1 for jumps inside a function: their target usually moves with them."""

LOW = np.array([0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0], np.uint8)
"""1 for kinds that hold only the low 12 bits of their target."""

_OPERAND = [0, 0xFFFFFFFF, 0xFFFFC0, 0xFFFFC0, 0xFFFF00, 0xFFFFF000, 0xFFFFF000, 0xFFFFF000]
_OPERAND += [0xFFF00000, 0xFE000F80, 0xFFF00000, 0xFE000F80, 0x2FFF07FF, 0x1FFC, 0xFFF000, 0xFE000F80]
OPERAND = np.array(_OPERAND, np.int64)
"""The bits of each kind that hold its target."""


@jit("int64(int64, int64)")
def signed(value: int, bits: int) -> int:
    """The low `bits` of `value` as a two's complement number."""
    value &= (1 << bits) - 1
    return value - (value >> (bits - 1) << bits)


@jit("int64(uint8[::1], int64, int64)")
def load(data: np.ndarray, at: int, size: int) -> int:
    """`size` (0..4) bytes at `at` as a little-endian integer."""
    word = 0
    for i in range(size):
        word |= np.int64(data[at + i]) << (8 * i)
    return word


@jit("int64(int64, int64, int64, int64, int64, int64)")
def put(kind: int, word: int, target: int, pc: int, high_pc: int, base: int) -> int:
    """`word` with `target` in its operand, for an instruction at `pc`.

    `high_pc` is the address of the auipc that a low half belongs to. Bits of the target that the operand
    cannot hold are dropped.
    """
    v = target + base
    if kind == X_CALL:
        v = (target - ((pc & ~3) + 4)) >> 2 << 6
    elif kind == X_JUMP:
        v = (target - pc - 4) << 6
    elif kind == X_BRANCH:
        v = (target - pc - 4) << 12
    elif kind == X_L32R:
        v = (target - ((pc + 3) & ~3)) >> 2 << 8
    elif kind == R_JAL:
        v = target - pc
        v = (v >> 20 & 1) << 31 | (v >> 1 & 0x3FF) << 21 | (v >> 11 & 1) << 20 | (v & 0xFF000)
    elif kind == R_BRANCH:
        v = target - pc
        v = (v >> 12 & 1) << 31 | (v >> 5 & 63) << 25 | (v >> 1 & 15) << 8 | (v >> 11 & 1) << 7
    elif kind == R_HI or kind == R_HI_PC:
        v = target + 0x800 + (-pc if kind == R_HI_PC else base)
    elif kind == R_LOW_I or kind == R_LOW_I_PC:
        v = (target - (high_pc if kind == R_LOW_I_PC else 0)) << 20
    elif kind == R_LOW_S or kind == R_LOW_S_PC:
        v = target - (high_pc if kind == R_LOW_S_PC else 0)
        v = (v >> 5 & 0x7F) << 25 | (v & 31) << 7
    elif kind == C_JUMP:
        v = target - pc
        v = (v >> 11 & 1) << 12 | (v >> 4 & 1) << 11 | (v >> 8 & 3) << 9 | (v >> 10 & 1) << 8
        w = target - pc
        v |= (w >> 6 & 1) << 7 | (w >> 7 & 1) << 6 | (w >> 1 & 7) << 3 | (w >> 5 & 1) << 2
    elif kind == T_BL:
        w = target - pc - 4
        sign = w >> 24 & 1
        v = sign << 10 | (w >> 12 & 0x3FF)
        v |= ((w >> 23 & 1) ^ 1 ^ sign) << 29 | ((w >> 22 & 1) ^ 1 ^ sign) << 27 | (w >> 1 & 0x7FF) << 16
    return (word & ~OPERAND[kind]) | (v & OPERAND[kind])


@jit("int64(int64, int64, int64, int64)")
def read(kind: int, word: int, pc: int, base: int) -> int:
    """The target in a complete operand (no high or low half) of an instruction at `pc`."""
    t = word - base
    if kind == X_CALL:
        t = (pc & ~3) + 4 + (signed(word >> 6, 18) << 2)
    elif kind == X_JUMP:
        t = pc + 4 + signed(word >> 6, 18)
    elif kind == X_BRANCH:
        t = pc + 4 + signed(word >> 12, 12)
    elif kind == X_L32R:
        t = ((pc + 3) & ~3) + ((word >> 8) << 2) - 0x40000
    elif kind == R_JAL:
        v = (word >> 31 & 1) << 20 | (word & 0xFF000) | (word >> 20 & 1) << 11 | (word >> 21 & 0x3FF) << 1
        t = pc + signed(v, 21)
    elif kind == R_BRANCH:
        v = (word >> 31 & 1) << 12 | (word >> 7 & 1) << 11 | (word >> 25 & 63) << 5 | (word >> 8 & 15) << 1
        t = pc + signed(v, 13)
    elif kind == C_JUMP:
        v = (word >> 12 & 1) << 11 | (word >> 11 & 1) << 4 | (word >> 9 & 3) << 8 | (word >> 8 & 1) << 10
        v |= (word >> 7 & 1) << 6 | (word >> 6 & 1) << 7 | (word >> 3 & 7) << 1 | (word >> 2 & 1) << 5
        t = pc + signed(v, 12)
    elif kind == T_BL:
        sign = word >> 10 & 1
        v = sign << 24 | (word & 0x3FF) << 12 | (word >> 16 & 0x7FF) << 1
        v |= ((word >> 29 & 1) ^ 1 ^ sign) << 23 | ((word >> 27 & 1) ^ 1 ^ sign) << 22
        t = pc + 4 + signed(v, 25)
    return t


@jit("int64(int64)")
def low_half(word: int) -> int:
    """The 12-bit immediate of a load, addi, jalr or (opcodes 0x23, 0x27) store."""
    if word & 0x7B == 0x23:
        return signed((word >> 25) << 5 | (word >> 7 & 31), 12)
    return signed(word >> 20, 12)


@jit("int64(int64, uint8[::1], int64, uint8[::1], int64, int64, int64, int64, int64)")
def get(
    kind: int,
    old: np.ndarray,
    p: int,
    new: np.ndarray,
    q: int,
    pc: int,
    target: int,
    apart: int,
    base: int,
) -> int:
    """The target that new[q:] refers to where old[p:] refers to `target`, or UNLIKE.

    `pc` is the address of q; `apart` the bytes between a high half and its low half. A high half is read
    together with its low half; of a low half alone, the target nearest to the old one is taken.
    """
    word = load(new, q, SIZE[kind])
    if (word ^ load(old, p, SIZE[kind])) & ~OPERAND[kind]:
        return UNLIKE
    if kind == R_HI or kind == R_HI_PC:
        low = load(new, q + apart, 4)
        was = load(old, p + apart, 4)
        if (low ^ was) & ~OPERAND[R_LOW_S if was & 0x7B == 0x23 else R_LOW_I]:
            return UNLIKE
        high = word & 0xFFFFF000
        return (pc + signed(high, 32) if kind == R_HI_PC else high - base) + low_half(low)
    if LOW[kind]:
        high_pc = pc - apart if kind == R_LOW_I_PC or kind == R_LOW_S_PC else 0
        return target + signed(low_half(word) + high_pc - target, 12)
    return read(kind, word, pc, base)
