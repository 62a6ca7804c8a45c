"""Small programs with everything that the codec models, laid out anew after every change.

A program is a list of functions; each calls others, loads literals and jumps inside itself. `build` lays
it out as an ESP image (or raw code) with a data segment that points into it. A function that grows moves
everything behind it: the references change though the program hardly did.
"""

import hashlib
import random
import struct
from dataclasses import dataclass, field

from otadiff import operands
from otadiff.image import Cpu

CODE, DATA = 0x400D0020, 0x3FFB0000


@dataclass
class Function:
    """Filler instructions with calls (indices of functions) and loads (indices of words) among them."""

    filler: list[bytes]
    calls: list[tuple[int, int]]
    loads: list[tuple[int, int]]


@dataclass
class Program:
    """What `build` lays out."""

    cpu: Cpu
    functions: list[Function]
    pointers: list[int]
    text: bytes = b""
    moved: dict[str, int] = field(default_factory=dict)


def _filler(cpu: Cpu, rng: random.Random) -> bytes:
    """One instruction without an address."""
    if cpu is Cpu.XTENSA:
        if rng.random() < 0.4:
            return bytes((rng.choice((0x8, 0x9, 0xA, 0xB)) | rng.randrange(16) << 4, rng.randrange(256)))
        return bytes(
            (rng.choice((0x0, 0x2, 0x3)) | rng.randrange(1, 16) << 4, rng.randrange(256), rng.randrange(256))
        )
    if cpu is Cpu.RISCV:
        if rng.random() < 0.5:
            return struct.pack("<H", 0x4000 | rng.randrange(0x400) << 2)
        return struct.pack("<I", 0x33 | rng.randrange(1 << 25) << 7)
    return struct.pack("<H", 0x1800 | rng.randrange(0x200))


def program(cpu: Cpu, seed: int, functions: int = 120) -> Program:
    """A random program, the same for the same arguments on every machine."""
    rng = random.Random(seed)
    made = []
    for _ in range(functions):
        filler = [_filler(cpu, rng) for _ in range(rng.randrange(20, 60))]
        places = [rng.randrange(len(filler)) for _ in range(6)]
        calls = [(p, rng.randrange(functions)) for p in sorted(set(places[:3]))]
        loads = [(p, rng.randrange(functions)) for p in sorted(set(places[3:]))]
        made.append(Function(filler, calls, loads))
    pointers = [rng.randrange(functions) for _ in range(functions // 2)]
    return Program(cpu, made, pointers, rng.randbytes(600))


def grow(made: Program, index: int, seed: int, instructions: int = 7) -> Program:
    """The program with some instructions added to one function."""
    rng = random.Random(seed)
    functions = list(made.functions)
    f = functions[index]
    at = len(f.filler) // 2
    added = [_filler(made.cpu, rng) for _ in range(instructions)]
    functions[index] = Function([*f.filler[:at], *added, *f.filler[at:]], f.calls, f.loads)
    return Program(made.cpu, functions, made.pointers, made.text)


def build(made: Program, first: bytes = b"") -> bytes:
    """The image: an ESP image with checksum and hash for Xtensa and RISC-V, else raw code.

    first: what its data begins with, such as an app description.
    """
    starts: list[int] = []
    base = CODE if made.cpu in (Cpu.XTENSA, Cpu.RISCV) else 0x08020000
    lowest = base
    for f in made.functions:
        at = sum(map(len, _body(made.cpu, f, base, [base] * len(made.functions))))
        starts.append(base)
        base += at
    code = b"".join(
        b"".join(_body(made.cpu, f, start, starts)) for f, start in zip(made.functions, starts, strict=True)
    )
    odd = 1 if made.cpu is Cpu.THUMB else 0
    data = first + b"".join(struct.pack("<I", starts[i] + odd) for i in made.pointers) + made.text
    if made.cpu is Cpu.THUMB:
        return code + data
    assert lowest + len(code) == base
    return _esp(0 if made.cpu is Cpu.XTENSA else 5, [(DATA, data), (CODE, code)])


def _body(cpu: Cpu, f: Function, start: int, starts: list[int]) -> list[bytes]:
    """The function's literals, instructions and padding, at address `start` (Xtensa: after its literals)."""
    parts: list[bytes] = []
    at = start
    if cpu is Cpu.XTENSA:
        parts.append(b"\x36\x41\x00")
    elif cpu is Cpu.THUMB:
        parts.append(b"\x10\xb5")
    at += len(b"".join(parts))
    calls, loads = dict(f.calls), dict(f.loads)
    for i, filler in enumerate(f.filler):
        for piece in (filler, *_references(cpu, at + len(filler), calls.get(i), loads.get(i), starts)):
            parts.append(piece)
            at += len(piece)
    parts.append({Cpu.XTENSA: b"\x1d\xf0", Cpu.RISCV: b"\x82\x80", Cpu.THUMB: b"\x10\xbd"}[cpu])
    at += 2
    parts.append(bytes(-at & 3))
    return parts


def _references(cpu: Cpu, at: int, call: int | None, load: int | None, starts: list[int]) -> list[bytes]:
    made = []
    if call is not None:
        kind = {Cpu.XTENSA: operands.X_CALL, Cpu.RISCV: operands.R_JAL, Cpu.THUMB: operands.T_BL}[cpu]
        word = {Cpu.XTENSA: 0x25, Cpu.RISCV: 0xEF, Cpu.THUMB: 0xD000F000}[cpu]
        size = int(operands.SIZE[kind])
        made.append(int(operands.put(kind, word, starts[call], at, 0, 0)).to_bytes(size, "little"))
        at += size
    if load is not None and cpu is Cpu.RISCV:
        high = operands.put(operands.R_HI, 0x537, starts[load], at, 0, 0)
        low = operands.put(operands.R_LOW_I, 0x50513, starts[load], at + 4, 0, 0)
        made += [int(high).to_bytes(4, "little"), int(low).to_bytes(4, "little")]
    return made


def _esp(chip: int, segments: list[tuple[int, bytes]]) -> bytes:
    """An ESP image: header, segments, checksum, SHA-256."""
    image = bytearray(
        struct.pack(
            "<BBBBIBBBBHBHH4xB", 0xE9, len(segments), 2, 0x20, CODE, 0xEE, 0, 0, 0, chip, 0, 0, 0xFFFF, 1
        )
    )
    checksum = 0xEF
    for address, data in segments:
        data += bytes(-len(data) & 3)
        image += struct.pack("<II", address, len(data)) + data
        for byte in data:
            checksum ^= byte
    image += bytes(15 - len(image) % 16) + bytes([checksum])
    return bytes(image) + hashlib.sha256(image).digest()
