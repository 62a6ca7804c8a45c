"""Small images full of what the parse looks for, and patches between them: the same for the same seed."""

import random
import struct

from tests.spec.patchref import (
    CALL0,
    NONE,
    RISCV,
    THUMB,
    WINDOWED,
    NewSegment,
    Op,
    Patch,
    Segment,
    esp_checksum,
)

CPUS = (NONE, WINDOWED, CALL0, RISCV, THUMB)


def code_address(segments: list[Segment], rng: random.Random) -> int:
    s = rng.choice(segments)
    return s.address + rng.randrange(s.span) & ~3


def xtensa(rng: random.Random, pointers: list[int]) -> bytes:
    """A function, or part of one: entry, calls, literals, jumps, padding."""
    parts = [
        b"\x36\x41\x00",
        struct.pack("<I", rng.choice((0x25, 0x65, 0x05)) | (rng.randrange(-40, 40) & 0x3FFFF) << 6)[:3],
        struct.pack("<I", 0x21 | (0x10000 - rng.randrange(1, 60)) << 8)[:3],
        struct.pack("<I", rng.choice(pointers)),
        struct.pack("<I", 0x06 | (rng.randrange(-60, 60) & 0x3FFFF) << 6)[:3] + bytes(rng.randrange(4)),
        struct.pack("<I", rng.choice((0x16, 0x56, 0x26)) | (rng.randrange(-60, 60) & 0xFFF) << 12)[:3],
        b"\x1d\xf0" + bytes(rng.randrange(4)),
        rng.choice((b"\x80\x00\x00", b"\x90\x00\x00", b"\xa0\x03\x00", b"\xa0\x03\x01"))
        + bytes(rng.randrange(3)),
        rng.randbytes(rng.randrange(6)),
    ]
    return b"".join(rng.choices(parts, k=12))


def riscv(rng: random.Random, pointers: list[int]) -> bytes:
    rd, target = rng.randrange(32), rng.choice(pointers)
    high, low = target + 0x800 & 0xFFFFF000, target & 0xFFF
    auipc = rng.randrange(-0x3000, 0x3000) & 0xFFFFF000
    parts = [
        struct.pack("<I", high | rd << 7 | 0x37) + struct.pack("<I", low << 20 | rd << 15 | rd << 7 | 0x13),
        struct.pack("<I", high | rd << 7 | 0x37) + b"\x01\x00",
        struct.pack("<I", auipc | rd << 7 | 0x17),
        struct.pack(
            "<I", rng.randrange(4096) << 20 | rd << 15 | rng.randrange(8) << 12 | rng.choice((0x03, 0x67))
        ),
        struct.pack("<I", rng.randrange(1 << 25) << 7 | 0x23 | rd << 15),
        struct.pack("<I", rng.randrange(1 << 20) << 12 | 0xEF),
        struct.pack("<I", rng.randrange(1 << 25) << 7 | 0x63),
        struct.pack("<H", 0x2001 | rng.choice((0, 0x8000)) | rng.randrange(2048) << 2),
        struct.pack("<H", rng.randrange(1 << 14) << 2 | rng.randrange(3)),
        rng.randbytes(2 * rng.randrange(4)),
    ]
    return b"".join(rng.choices(parts, k=12))


def thumb(rng: random.Random, pointers: list[int]) -> bytes:
    parts = [
        struct.pack("<HH", 0xF000 | rng.randrange(2048), 0x9000 | rng.randrange(1 << 16)),
        struct.pack("<HH", 0xF7FF, 0xF800 | rng.randrange(2048)),
        struct.pack("<H", rng.randrange(0xE000)),
        struct.pack("<I", rng.choice(pointers)),
        rng.randbytes(2 * rng.randrange(4)),
    ]
    return b"".join(rng.choices(parts, k=12))


def code(cpu: int, rng: random.Random, size: int, pointers: list[int]) -> bytes:
    make = {WINDOWED: xtensa, CALL0: xtensa, RISCV: riscv, THUMB: thumb}.get(cpu)
    data = b""
    while len(data) < size:
        data += make(rng, pointers) if make else rng.randbytes(50)
    return data[:size]


def data(rng: random.Random, size: int, pointers: list[int]) -> bytes:
    words = [
        struct.pack("<I", rng.choice((rng.choice(pointers), rng.getrandbits(32))))
        for _ in range(size // 4 + 1)
    ]
    return b"".join(words)[:size]


def segments_of(cpu: int, rng: random.Random, sizes: list[int]) -> list[Segment]:
    """Segments of these sizes, code and data in turn, with gaps between them."""
    found = []
    at = rng.randrange(40)
    address = 0x3C000000 + (rng.randrange(1 << 16) << 2)
    for i, size in enumerate(sizes):
        executable = cpu != NONE and i % 2 == 0
        odd = 0 if executable else rng.choice((0, 0, 3))
        found.append(Segment(at, size, address + odd, size + rng.randrange(80), executable))
        at += size + rng.choice((0, 0, 8, 5))
        address += (size + 200 & ~3) + rng.randrange(1 << 20) * 4
    return found


def esp_image(cpu: int, rng: random.Random, sizes: list[int]) -> bytes:
    """An ESP image without its last 33 bytes; every second segment is code."""
    addresses = [(0x400D0020, 0x3FFB0004)[i % 2] + (i << 16) for i in range(len(sizes))]
    pointers = [a + rng.randrange(s + 20) & ~3 for a, s in zip(addresses, sizes, strict=True)]
    image = bytes([0xE9, len(sizes)]) + rng.randbytes(22)
    for i, (address, size) in enumerate(zip(addresses, sizes, strict=True)):
        body = data(rng, size, pointers) if i % 2 else code(cpu, rng, size, pointers)
        image += struct.pack("<II", address, size) + body
    return image + bytes(rng.randrange(5))


def raw_image(cpu: int, rng: random.Random, segments: list[Segment]) -> bytes:
    pointers = [code_address(segments, rng) for _ in range(8)]
    image = bytearray(rng.randbytes(segments[-1].offset + segments[-1].length + rng.randrange(30)))
    for s in segments:
        make = code(cpu, rng, s.length, pointers) if s.executable else data(rng, s.length, pointers)
        image[s.offset : s.offset + s.length] = make
    return bytes(image)


def news_of(rng: random.Random, segments: list[Segment], size: int) -> list[NewSegment]:
    """Segments of NEW, a little beside OLD's."""
    found, end = [], 0
    for s in segments:
        offset = max(end, s.offset + rng.choice((0, 0, 4, -8, 3)))
        length = max(0, min(s.length + rng.choice((0, 4, -12, 60)), size - offset))
        if offset + length <= size:
            found.append(NewSegment(offset, length, s.address + rng.choice((0, 0, 4, 64, -20, 2))))
            end = offset + length
    return found


def moves_of(rng: random.Random, segments: list[Segment]) -> list[tuple[int, int]]:
    keys = sorted({s.address + rng.randrange(s.span + 9) for s in segments for _ in range(rng.randrange(4))})
    return [(key, rng.choice((0, 4, -4, 8, 64, rng.randrange(-5000, 5000)))) for key in keys]


def mutated(rng: random.Random, piece: bytes) -> bytes:
    out = bytearray(piece)
    for _ in range(rng.choice((0, 0, 1, 3))):
        if out:
            out[rng.randrange(len(out))] = rng.randrange(256)
    return bytes(out)


def random_ops(rng: random.Random, old: bytes, block: int, limit: int) -> tuple[list[Op], bytes]:
    """Ops that do not cross blocks, and the image of `limit` bytes that they make, with something changed."""
    new, ops = bytearray(), []
    while len(new) < limit:
        room = min(limit - len(new), (1 << block) - len(new) % (1 << block) if block else limit)
        literals = rng.choice((0, 0, 1, rng.randrange(40)))
        if literals >= room:
            new += rng.randbytes(room)
            ops.append(Op(room, 0, 0))
            continue
        new += rng.randbytes(literals)
        q = len(new)
        length = rng.choice((1, 7, 300, rng.randrange(1, 6000)))
        length = min(length, room - literals)
        if q >= 8 and rng.random() < 0.3:
            source = rng.choice((q - 4, rng.randrange(q - 3)))
            for k in range(length):
                new.append(new[source + k])
            ops.append(Op(literals, length, len(old) + source - q))
        else:
            length = min(length, len(old))
            source = rng.randrange(len(old) - length + 1)
            if ops and rng.random() < 0.6:  # near the last one: what the candidates are for
                source = min(max(0, q + ops[-1].d + rng.choice((0, 4, -4))), len(old) - length)
            new += mutated(rng, old[source : source + length])
            ops.append(Op(literals, length, source - q))
    return ops, bytes(new)


def random_patch(
    seed: int, cpu: int, *, explicit: bool, mix: bool, elide: bool, block: int, size: int
) -> Patch:
    """A patch with everything in it, for images of about `size` bytes."""
    rng = random.Random(seed)
    sizes = [rng.randrange(4, size) & ~3 for _ in range(rng.randrange(1, 4))]
    if explicit:
        segments = segments_of(cpu, rng, sizes)
        old = raw_image(cpu, rng, segments)
        given: list[Segment] | None = [*segments, Segment(len(old), 0, 0x20000000 + 0x1C000000, 4096, False)]
    else:
        given, old = None, esp_image(cpu, rng, sizes)
    ops, new = random_ops(rng, old, block, rng.randrange(1, size))
    patch = Patch(old, new, cpu, ops, mix=mix, elide=elide, block=block, segments=given)
    known = given if given is not None else patch.old_segments()
    patch.news = news_of(rng, known, len(new))
    patch.moves = moves_of(rng, known)
    if elide:
        patch.new += esp_checksum(new, patch.news)
    return patch
