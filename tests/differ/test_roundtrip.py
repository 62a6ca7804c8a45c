"""What the encoder writes, the device's decoder reads: programs of our own making, then real firmware."""

import json
import random
import struct
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


def esp(*segments: tuple[int, bytes], chip: int = 0) -> bytes:
    """An ESP image without checksum and hash."""
    head = struct.pack("<BBBBIBBBBH", 0xE9, len(segments), 2, 0x20, 0x40080000, 0, 0, 0, 0, chip)
    return head.ljust(24, b"\0") + b"".join(struct.pack("<II", a, len(d)) + d for a, d in segments)


CODE = (0x400D0020, bytes(range(256)) * 5)
HEADERS = {
    "a segment far above, in the new image only": esp(CODE, (0x600FE000, b"rtc!" * 20)),
    "an address that no patch can name": esp(CODE, (0xFFFFFFF0, b"wrap" * 20)),
    "code at an odd address": esp((0x400D0021, CODE[1])),
    "segments without bytes": esp((0x3FFB0000, b""), CODE, (0x40080000, b"")),
    "seventeen segments": esp(*[(0x3FFB0000 + 64 * i, bytes(8)) for i in range(17)]),
    "a segment that ends behind the image": esp(CODE)[:-4],
    "another processor": esp(CODE, chip=5),
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_may_say_anything(name: str) -> None:
    check(esp(CODE), HEADERS[name])
    check(HEADERS[name], esp(CODE))


def test_a_section_may_end_in_many_zeros() -> None:
    """Of which at most 8 are left out (PATCH.md 3)."""
    rng = random.Random(3)
    for n in range(12):
        old = rng.randbytes(64)
        check(old, old[:n] + rng.choice((b"\0", b"\xff", b"\x80")) * rng.randrange(3000), mix=n % 2 == 1)


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
