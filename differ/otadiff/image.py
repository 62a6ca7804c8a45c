"""Firmware images as the codec sees them: a processor, and segments of code and data at addresses.

ESP images name both in their headers (ESP-IDF esp_app_format.h). Raw images are one executable segment;
its processor and load address are named by the caller or found from the contents.
"""

import struct
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from . import sweep
from .operands import LOCAL, NONE, OUTSIDE, POINTER


class Cpu(IntEnum):
    """Instruction sets and calling conventions (PATCH.md)."""

    NONE = 0
    XTENSA = 1  # windowed calls
    XTENSA_CALL0 = 2
    RISCV = 3
    THUMB = 4


XTENSA_CHIPS = {0, 2, 9}
RISCV_CHIPS = {5, 12, 13, 16, 18, 20, 23, 25, 28, 31, 32}
_HEADER = 24
_SLACK = 16


@dataclass(frozen=True)
class Segment:
    """Bytes offset..offset + size of the image stand at `address` when it runs."""

    offset: int
    address: int
    size: int
    span: int  # how far from `address` pointers into it may reach: .bss follows .data
    executable: bool


@dataclass(frozen=True)
class Image:
    """An image and what is known of it."""

    data: bytes
    cpu: Cpu
    segments: tuple[Segment, ...]
    codes: tuple[int, ...] = ()  # PATCH.md H0, for each segment of the image's headers; RISC-V only

    @property
    def raw(self) -> bool:
        """Whether it has no ESP image header."""
        return self.cpu in (Cpu.XTENSA_CALL0, Cpu.THUMB, Cpu.NONE)


@dataclass
class References:
    """What the sweep found, by position in the image (with some slack behind it)."""

    unit: np.ndarray  # uint8: type of the unit that starts here, 0 for none
    kind: np.ndarray  # uint8: operands.* of the reference that starts here
    target: np.ndarray  # int32: the address it refers to, less the base
    apart: np.ndarray  # int16: bytes between its high and its low half
    limit: np.ndarray  # int32: end of the parse block that each position lies in
    code_at: np.ndarray  # bool: whether a position has the contexts of code
    address: np.ndarray  # int32: of each position, less the base, or OUTSIDE


def parse(data: bytes, cpu: Cpu | None = None, base: int | None = None) -> Image:
    """The image in `data`: an ESP image by its header, else raw code for `cpu` at `base`.

    What is not named is found from the contents; where nothing fits, the image is Cpu.NONE: plain bytes.
    """
    if cpu is None:
        chip = struct.unpack_from("<H", data, 12)[0] if len(data) >= _HEADER else -1
        known = XTENSA_CHIPS | RISCV_CHIPS
        if data[:1] == b"\xe9" and chip in known:
            segments = _esp_segments(data)
            if segments:
                return Image(data, Cpu.XTENSA if chip in XTENSA_CHIPS else Cpu.RISCV, segments)
        cpu, base = _detect_raw(data)
    if cpu in (Cpu.XTENSA, Cpu.RISCV):
        return Image(data, cpu, _esp_segments(data))
    if cpu is Cpu.NONE or base is None:
        return Image(data, Cpu.NONE, ())
    return Image(data, cpu, _raw_segments(cpu, base, len(data)))


_ESP8266_RAM = ((0x3FFE8000, 0x18000), (0x40100000, 0x8000))
_CORTEX_M_RAM = ((0x20000000, 0x20000),)


def _raw_segments(cpu: Cpu, base: int, size: int) -> tuple[Segment, ...]:
    """The image as one executable segment, and the address ranges of RAM that its words may point into."""
    span = 0xA0000 if cpu is Cpu.XTENSA_CALL0 else 0x80000
    ram = _ESP8266_RAM if cpu is Cpu.XTENSA_CALL0 else _CORTEX_M_RAM
    code = Segment(0, base, size, max(size, span), True)
    return (code, *(Segment(size, address, 0, length, False) for address, length in ram))


def _esp_segments(data: bytes) -> tuple[Segment, ...]:
    segments = []
    at = _HEADER
    for _ in range(data[1]):
        if at + 8 > len(data):
            break
        address, size = struct.unpack_from("<II", data, at)
        at += 8
        if at + size > len(data):
            break
        segments.append(_esp_segment(at, address, data[at : at + size]))
        at += size
    return tuple(segments)


_APP_DESCRIPTION = struct.pack("<I", 0xABCD5432)


def _esp_segment(offset: int, address: int, data: bytes) -> Segment:
    """PATCH.md section 6.1."""
    page, size = address >> 20, len(data)
    described = data[:4] == _APP_DESCRIPTION
    executable = (address >> 24 in (0x40, 0x42) or page == 0x4FF) and not described
    reach = 0x40
    if page in (0x3FF, 0x3FC, 0x408, 0x4FF):
        reach = 0x30000
    elif described or 0x3C0 <= page < 0x3F8:
        reach = 0x20000
    return Segment(offset, address, size, size + reach, executable)


_SEGMENTS = 16
_HIGHEST, _HALF = 1 << 30, 1 << 29


def describable(old: Image, new: Image) -> bool:
    """Whether a patch can name the segments of both (PATCH.md 5, 6.1): headers may say anything."""
    base = base_of(old)
    return (
        (old.raw or old.data[1] <= _SEGMENTS)
        and max(len(old.segments), len(new.segments)) <= _SEGMENTS
        and all(
            s.address < 1 << 31
            and s.address - base + s.span <= _HIGHEST
            and not (s.executable and s.address & 3)
            for s in old.segments
        )
        and all(s.address - base >= -_HALF and s.address - base + s.size <= _HIGHEST for s in new.segments)
    )


def cut(image: Image, codes: tuple[int, ...]) -> Image:
    """The image with each segment cut where code ends: codes[i] as in PATCH.md H0."""
    parts = []
    for s, code in zip(image.segments, codes, strict=True):
        w = 4 * (code - 1)
        if code == 0:
            parts.append(s)
            continue
        if w:
            span = w if w < s.size else s.span
            parts.append(Segment(s.offset, s.address, w, span, True))
        if w < s.size or not w:
            parts.append(Segment(s.offset + w, s.address + w, s.size - w, s.span - w, False))
    return Image(image.data, image.cpu, tuple(parts), codes)


def code_ends(image: Image) -> tuple[int, ...]:
    """H0 for a RISC-V image: where a segment of code has data behind it, found from its contents.

    Jumps and halves of addresses speak for code, aligned pointers and zero words for data; the cut is where
    both together speak loudest.
    """
    base = base_of(image)
    as_code = find_references(image, base)
    as_data = Image(image.data, image.cpu, tuple(replace(s, executable=False) for s in image.segments))
    pointers = find_references(as_data, base).kind == POINTER
    found = []
    for s in image.segments:
        words = s.size // 4
        if not s.executable or not words:
            found.append(0)
            continue
        here = slice(s.offset, s.offset + 4 * words)
        code = (as_code.kind[here] != NONE) & (LOCAL[as_code.kind[here]] == 0)
        word = np.frombuffer(image.data[here], "<u4")
        data = pointers[here][::4] | (word == 0)
        score = np.cumsum(code.reshape(-1, 4).sum(axis=1) - data.astype(np.int64))
        end = int(np.argmax(score)) + 1
        found.append(1 + end if score[end - 1] - score[-1] >= _CUT_GAIN else 0)
    return tuple(found)


_CUT_GAIN = 16


def _detect_raw(data: bytes) -> tuple[Cpu, int | None]:
    """ESP8266 flash images by their header; Cortex-M code by where its function pointers land."""
    if len(data) >= 16 and data[0] == 0xE9 and 1 <= data[1] <= 16:
        first = struct.unpack_from("<I", data, 8)[0]
        if first >> 20 in (0x401, 0x402, 0x3FF):
            return Cpu.XTENSA_CALL0, 0x40200000
    base = _thumb_base(data)
    return (Cpu.THUMB, base) if base is not None else (Cpu.NONE, None)


def _thumb_base(data: bytes) -> int | None:
    """The load address under which most odd words point at a `push {..., lr}`, if there clearly is one."""
    size = len(data) & ~3
    if size < 1024:
        return None
    halves = np.frombuffer(data[:size], "<u2")
    starts = (halves >> 8 == 0xB5) | (halves == 0xE92D)
    words = np.frombuffer(data[:size], "<u4")
    pointers = np.unique(words[(words & 1 == 1) & (words >> 28 < 4)].astype(np.int64)) - 1
    bases = np.unique(np.concatenate([pointers + d & ~0xFFF for d in range(-size, 1, 0x1000)]))
    return _best_base(bases[bases >= 0], pointers, starts, size)


_CLEARLY = 16  # pointers that must land well


def _best_base(bases: np.ndarray, pointers: np.ndarray, starts: np.ndarray, size: int) -> int | None:
    lows, highs = np.searchsorted(pointers, bases), np.searchsorted(pointers, bases + size)
    best, hits, inside = None, _CLEARLY - 1, 0
    for n in np.flatnonzero(highs - lows >= _CLEARLY):
        base, low, high = bases[n], lows[n], highs[n]
        if high - low <= hits:
            continue
        count = int(starts[(pointers[low:high] - base) >> 1].sum())
        if count > hits:
            best, hits, inside = int(base), count, int(high - low)
    return best if hits * 4 > inside else None


def base_of(image: Image) -> int:
    """PATCH.md's base B: the lowest address of its segments, rounded down to a multiple of 2^24."""
    return min((s.address for s in image.segments), default=0) >> 24 << 24


def segment_table(image: Image, base: int) -> np.ndarray:
    """One row per segment for the sweep: address, end, reach of its pointers, offset, executable."""
    rows = []
    for s in image.segments:
        address = s.address - base
        rows.append((address, address + s.size, address + s.span, s.offset, s.executable))
    return np.array(rows, np.int64).reshape(-1, 5)


def find_references(image: Image, base: int) -> References:
    """Sweeps the image (PATCH.md, reference sweep); addresses are less `base`."""
    n = len(image.data)
    data = np.zeros(n + _SLACK, np.uint8)
    data[:n] = np.frombuffer(image.data, np.uint8)
    unit, kind = (np.zeros(n + _SLACK, np.uint8) for _ in range(2))
    apart = np.zeros(n + _SLACK, np.int16)
    target = np.zeros(n + _SLACK, np.int32)
    address = np.full(n + _SLACK, OUTSIDE, np.int32)
    limit = np.zeros(n + _SLACK, np.int32)
    code_at = np.ones(n + _SLACK, np.bool_)
    table = segment_table(image, base)
    for i, s in enumerate(image.segments):
        first = s.address - base
        here = slice(s.offset, s.offset + s.size)
        address[here] = np.arange(first, first + s.size, dtype=np.int32)
        ends = (
            np.arange(s.size, dtype=np.int32) // sweep.BLOCK * sweep.BLOCK + sweep.BLOCK
            if s.executable
            else s.size
        )
        limit[here] = s.offset + np.minimum(ends, s.size)
        code_at[here] = s.executable
        if not s.executable:
            sweep.sweep_data(data, table, base, i, unit, kind, target)
        elif image.cpu is Cpu.RISCV:
            sweep.sweep_riscv(data, table, base, i, unit, kind, target, apart)
        elif image.cpu is Cpu.THUMB:
            sweep.sweep_thumb(data, table, base, i, unit, kind, target)
        else:
            sweep.sweep_xtensa(data, table, base, i, image.cpu is Cpu.XTENSA, unit, kind, target)
    return References(unit, kind, target, apart, limit, code_at, address)


def in_code(old: Image, new: Image) -> np.ndarray:
    """Which positions of the new image (with some slack) hold literals of code (PATCH.md section 9)."""
    found = np.zeros(len(new.data) + _SLACK, np.bool_)
    for was, now in zip(old.segments, new.segments, strict=False):
        found[now.offset : now.offset + now.size] = was.executable
    return found
