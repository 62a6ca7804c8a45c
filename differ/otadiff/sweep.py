"""The reference sweep: every reference of an image, found by a pure function of its bytes (PATCH.md).

Fills, by position: `unit` (type of the unit that starts there, 0 where none does), `kind` and `target`
of references, and `apart` (bytes between a high half and its low half). Executable segments are swept
in blocks of 1,024 bytes, each with 48 bytes of warm-up, so that a board can sweep any block on demand.
Addresses are less `base`.
"""

import numpy as np

from .jit import jit
from .operands import (
    C_JUMP,
    POINTER,
    R_BRANCH,
    R_HI,
    R_HI_PC,
    R_JAL,
    R_LOW_I,
    R_LOW_I_PC,
    R_LOW_S,
    R_LOW_S_PC,
    T_BL,
    X_BRANCH,
    X_CALL,
    X_JUMP,
    X_L32R,
    load,
    low_half,
    read,
    signed,
)

BLOCK = 1024
WARM_UP = 48
_FAR = 512  # bytes from a high half to its farthest low half

# Types of units that are no reference.
DATA = 13
PADDING = 14
UNSYNCED = 15

# Columns of the table of segments.
ADDRESS, END, REACH, OFFSET, EXECUTABLE = range(5)


@jit("int64(int64[:,::1], int64)")
def segment_of(segments: np.ndarray, value: int) -> int:
    """The first segment in whose span `value` lies, or -1."""
    for i in range(len(segments)):
        if segments[i, ADDRESS] <= value < segments[i, REACH]:
            return i
    return -1


@jit("boolean(uint8[::1], int64)")
def is_entry(data: np.ndarray, at: int) -> bool:
    """Whether a windowed function starts at `at`: `entry a1, n`."""
    return data[at] == 0x36 and data[at + 1] & 15 == 1


@jit("boolean(uint8[::1], int64[:,::1], int64, boolean)")
def is_function(data: np.ndarray, segments: np.ndarray, target: int, windowed: bool) -> bool:
    """Whether `target` may be called: executable, and `entry` stands there where the ABI has it."""
    if windowed and target & 3:
        return False
    for i in range(len(segments)):
        s = segments[i]
        if s[EXECUTABLE] and s[ADDRESS] <= target and target + 3 <= s[END]:
            return not windowed or is_entry(data, s[OFFSET] + target - s[ADDRESS])
    return False


@jit("boolean(uint8[::1], int64[:,::1], int64, boolean)")
def is_code_pointer(data: np.ndarray, segments: np.ndarray, value: int, windowed: bool) -> bool:
    """Whether an aligned word inside code is a pointer; if it points into code, then to a function."""
    i = segment_of(segments, value)
    if i >= 0 and windowed and segments[i, EXECUTABLE]:
        return is_function(data, segments, value, True)
    return i >= 0


@jit("boolean(uint8[::1], int64[:,::1], int64, int64, int64, int64, boolean)")
def word_counts(
    data: np.ndarray, segments: np.ndarray, base: int, at: int, o: int, length: int, windowed: bool
) -> bool:
    """Whether the word at offset o of a segment (`at` in the image) is inside it and a pointer."""
    return o + 4 <= length and is_code_pointer(data, segments, load(data, at, 4) - base, windowed)


@jit("void(uint8[::1], int64[:,::1], int64, int64, uint8[::1], uint8[::1], int32[::1])")
def sweep_data(data, segments, base, index, unit, kind, target):
    """Aligned words of a data segment."""
    s = segments[index]
    start = s[OFFSET]
    for p in range(start, start + ((s[END] - s[ADDRESS]) & ~3), 4):
        value = load(data, p, 4) - base
        unit[p] = DATA
        if segment_of(segments, value) >= 0:
            unit[p] = POINTER
            kind[p] = POINTER
            target[p] = value


@jit("int64(uint8[::1], int64, int64)")
def ends_flow(data: np.ndarray, p: int, size: int) -> bool:
    """Whether an Xtensa instruction never goes on to the next: j, jx, ret, retw, ret.n, retw.n."""
    a = data[p]
    b = data[p + 1]
    if a & 0x3F == 6:
        return True
    if size == 2:
        return (a == 0x0D or a == 0x1D) and b == 0xF0
    c = data[p + 2]
    if a == 0x80 or a == 0x90:
        return b == 0 and c == 0
    return a == 0xA0 and b & 0xF0 == 0 and c == 0


@jit()
def _xtensa_unit(data, segments, s, p, pc, windowed, unit, kind, target):
    """Type and reference of the instruction at p."""
    op0 = data[p] & 15
    unit[p] = 16 + op0
    word = load(data, p, 3)
    found = 0
    if op0 == 5:
        if is_function(data, segments, read(X_CALL, word, pc, 0), windowed):
            found = X_CALL
            unit[p] = X_CALL
    elif op0 == 6 and data[p] & 0x30 == 0:
        found = X_JUMP
    elif op0 == 6 and data[p] & 0x30 == 0x10:
        found = X_BRANCH
    elif op0 == 1 and s[ADDRESS] <= read(X_L32R, word, pc, 0) < pc:
        found = X_L32R
        unit[p] = X_L32R
    if found:
        kind[p] = found
        target[p] = read(found, word, pc, 0)


@jit("void(uint8[::1], int64[:,::1], int64, int64, boolean, uint8[::1], uint8[::1], int32[::1])")
def sweep_xtensa(data, segments, base, index, windowed, unit, kind, target):
    """An executable segment of Xtensa code."""
    s = segments[index]
    length = s[END] - s[ADDRESS]
    for block in range(0, length, BLOCK):
        o = max(block - WARM_UP, 0)
        end = min(block + BLOCK, length)
        while o < end:
            p = s[OFFSET] + o
            size = 2 if 8 <= data[p] & 15 < 14 else 3
            ahead = -o & 3
            if ahead < size:
                if word_counts(data, segments, base, p + ahead, o + ahead, length, windowed):
                    if ahead == 0 and o >= block:
                        unit[p] = POINTER
                        kind[p] = POINTER
                        target[p] = load(data, p, 4) - base
                    if ahead == 0:
                        o += 4
                        continue
                elif ahead == 0 or not windowed or not is_entry(data, p + ahead):
                    ahead = 0
                if ahead:
                    for i in range(ahead):
                        if block <= o + i < end:
                            unit[p + i] = PADDING
                    o += ahead
                    continue
            if o >= block and o + size <= length:
                _xtensa_unit(data, segments, s, p, s[ADDRESS] + o, windowed, unit, kind, target)
            o += size
            if ends_flow(data, p, size):
                for _ in range(4):
                    if o >= end or data[s[OFFSET] + o]:
                        break
                    if o >= block:
                        unit[s[OFFSET] + o] = PADDING
                    o += 1


@jit("boolean(int64)")
def uses_immediate(word: int) -> bool:
    """Whether a 4-byte RISC-V instruction adds a 12-bit immediate to rs1: addi, load, jalr or store."""
    op = word & 0x7F
    return (op == 0x13 and word >> 12 & 7 == 0) or op == 0x67 or op & 0x5B == 0x03


@jit("int64(int64)")
def writes(word: int) -> int:
    """The register that a RISC-V instruction writes, or 0."""
    r = word >> 7 & 31
    f = word >> 13 & 7
    if word & 3 == 3:
        op = word & 0x7F
        return 0 if op == 0x63 or op == 0x07 or op & 0x7B == 0x23 else r
    if word & 3 == 0:
        return 8 + (word >> 2 & 7) if f == 0 or f == 2 or (f == 4 and word >> 10 & 7 < 2) else 0
    if word & 3 == 1:
        if f == 1:
            return 1
        if f == 4:
            return 8 + (r & 7)
        return r if f < 4 else 0
    return r if f == 0 or f == 2 or (f == 4 and word >> 2 & 31) else 0


@jit("int64(uint8[::1], int64, int64, int64, int64)")
def first_use(data: np.ndarray, start: int, o: int, length: int, register: int) -> int:
    """Bytes from the high half at offset o to the first use of its register as an address, or 0."""
    at = o + 4
    for _ in range(24):
        if at + 4 > length:
            return 0
        size = 4 if data[start + at] & 3 == 3 else 2
        word = load(data, start + at, size)
        if size == 4 and uses_immediate(word) and word >> 15 & 31 == register:
            return at - o
        if writes(word) == register:
            return 0
        at += size
    return 0


@jit()
def _riscv_high(data, segments, base, s, o, word, halves):
    """lui, auipc: what the register holds now, and the reference (kind or 0, target, bytes apart)."""
    rd = word >> 7 & 31
    relative = word & 0x7F == 0x17
    immediate = signed(word & 0xFFFFF000, 32)
    if relative:
        valid = -(1 << 29) <= immediate < 1 << 29
        high = s[ADDRESS] + o + immediate
    else:
        high = (word & 0xFFFFF000) - base
        valid = -4096 <= high <= 1 << 30
    valid = valid and rd != 0
    halves[rd, 0] = (2 if relative else 1) if valid else 0
    halves[rd, 1] = high
    halves[rd, 2] = o
    if not valid:
        return 0, np.int64(0), np.int64(0)
    apart = first_use(data, s[OFFSET], o, s[END] - s[ADDRESS], rd)
    if not apart:
        return 0, np.int64(0), np.int64(0)
    t = high + low_half(load(data, s[OFFSET] + o + apart, 4))
    if relative:
        return R_HI_PC, t, apart
    return (R_HI if segment_of(segments, t) >= 0 else 0), t, apart


@jit()
def _riscv_low(segments, o, word, halves):
    """The use of a tracked high half: the reference (kind or 0, target, bytes apart)."""
    rs1 = word >> 15 & 31
    apart = o - halves[rs1, 2]
    if not uses_immediate(word) or halves[rs1, 0] == 0 or apart >= _FAR:
        return 0, np.int64(0), np.int64(0)
    t = halves[rs1, 1] + low_half(word)
    store = word & 0x7B == 0x23
    if halves[rs1, 0] == 2:
        return (R_LOW_S_PC if store else R_LOW_I_PC), t, apart
    if segment_of(segments, t) < 0:
        return 0, t, apart
    return (R_LOW_S if store else R_LOW_I), t, apart


@jit()
def _riscv_reference(data, segments, base, s, o, word, size, halves):
    """The reference of the instruction at offset o (kind or 0, target, bytes apart); tracks registers."""
    pc = s[ADDRESS] + o
    none = np.int64(0)
    if size == 2:
        halves[writes(word), 0] = 0
        if word & 3 == 1 and (word >> 13 == 1 or word >> 13 == 5):
            return C_JUMP, read(C_JUMP, word, pc, 0), none
        return 0, none, none
    op = word & 0x7F
    if op == 0x6F:
        return R_JAL, read(R_JAL, word, pc, 0), none
    if op == 0x63:
        return R_BRANCH, read(R_BRANCH, word, pc, 0), none
    if op == 0x37 or op == 0x17:
        return _riscv_high(data, segments, base, s, o, word, halves)
    found = _riscv_low(segments, o, word, halves)
    halves[writes(word), 0] = 0
    return found


@jit("void(uint8[::1], int64[:,::1], int64, int64, uint8[::1], uint8[::1], int32[::1], int16[::1])")
def sweep_riscv(data, segments, base, index, unit, kind, target, apart):
    """An executable segment of RISC-V code."""
    s = segments[index]
    length = s[END] - s[ADDRESS]
    halves = np.zeros((32, 3), np.int64)  # of each register: 1 lui or 2 auipc, its value, where
    for block in range(0, length, BLOCK):
        o = max(block - WARM_UP, 0)
        end = min(block + BLOCK, length)
        halves[:, 0] = 0
        while o < end:
            p = s[OFFSET] + o
            size = 4 if data[p] & 3 == 3 else 2
            if o + size <= length:
                word = load(data, p, size)
                k, t, far = _riscv_reference(data, segments, base, s, o, word, size, halves)
                if o >= block:
                    unit[p] = 16 + (data[p] >> 2 & 7) if size == 4 else 24 + (data[p + 1] >> 5)
                    if k:
                        kind[p] = k
                        target[p] = t
                        apart[p] = far
                        if k != C_JUMP and k != R_BRANCH:
                            unit[p] = k
            o += size


@jit("void(uint8[::1], int64[:,::1], int64, int64, uint8[::1], uint8[::1], int32[::1])")
def sweep_thumb(data, segments, base, index, unit, kind, target):
    """An executable segment of Thumb code."""
    s = segments[index]
    length = s[END] - s[ADDRESS]
    for block in range(0, length, BLOCK):
        o = max(block - WARM_UP, 0)
        end = min(block + BLOCK, length)
        while o < end:
            p = s[OFFSET] + o
            high = data[p + 1]
            size = 4 if high >> 3 >= 29 else 2
            found = 0
            if o & 3 == 0 and word_counts(data, segments, base, p, o, length, False):
                size = 4
                found = POINTER
            elif size == 4 and high >> 3 == 30 and data[p + 3] & 0x90 == 0x90:
                found = T_BL
            if o >= block and o + size <= length:
                unit[p] = found or (16 + (high >> 3 & 3) if size == 4 else 24 + (high >> 5))
                if found:
                    kind[p] = found
                    target[p] = read(found, load(data, p, 4), s[ADDRESS] + o, base)
            o += size
