"""`make mcu`: what verifier and decoders cost on an emulated microcontroller: RV32 instructions and heap.

Compared with docs/benchmarks/mcu.json, entry by entry: 5 % more fails. UPDATE=1 writes the file anew.
Pairs of CORPUS_DIR are measured where it is set; made-up ones always.
"""

import argparse
import contextlib
import hashlib
import io
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from mpremote import romfs
from otaboards import loader, runtime
from otaboards.loader import Board
from otadiff.build import Package, board_for, build_package
from otadiff.image import Cpu
from otadiff.sign import Signer
from otasim import mcu
from otaspec import comb, errors, image_file
from otaspec import manifest as manifests

from tests.differ import synthetic

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "docs" / "benchmarks" / "mcu.json"
TOLERANCE = 1.05
CODECS = ("address", "bsdiff")
CORPUS = ("esp32-text",)
# entry: the most it may be, whatever the file says, in instructions. (Of the decoder's, garbage collection
# counts, and reading OLD, with a copy in place of the flash driver; SHA-256 and writing do not.)
LIMITS = {
    "p256 verify with table": 30_000_000,
    "p256 verify without table": 75_000_000,
    "esp32-text, address: decoder": 400_000_000,
}
HEAP = 48 << 10
_ROM = mcu.SPARE + (16 << 20)
_KEY = mcu.SPARE + (8 << 20)
_BUFFERS = 2 * 4096
_MOST, _STEP = HEAP - _BUFFERS, 2 << 10  # bytes, in the search for the least heap

Figures = dict[str, int]


class WrongAnswerError(Exception):
    """What the board did is not what it must do."""


@dataclass(frozen=True)
class Pair:
    """Two images, and the packages that lead from one to the other, by codec."""

    name: str
    old: bytes
    new: bytes
    packages: dict[str, Package]
    signer: Signer


def made_up(signer: Signer) -> Iterator[Pair]:
    """A program of each CPU, and the same with a function that has grown: everything behind it moves."""
    for cpu in (Cpu.RISCV, Cpu.XTENSA):
        first = synthetic.program(cpu, 7, 300)
        desc = image_file.pack_desc()
        old, new = synthetic.build(first, desc), synthetic.build(synthetic.grow(first, 90, 3, 8), desc)
        yield _pair(f"made-up {cpu.name.lower()}", old, new, signer)


def real(signer: Signer) -> Iterator[Pair]:
    """Firmware of CORPUS_DIR."""
    folder = os.environ.get("CORPUS_DIR")
    if not folder:
        say("CORPUS_DIR is not set: no real firmware pairs here")
        return
    for row in json.loads(Path(folder, "pairs.json").read_text()):
        if row["name"] in CORPUS:
            old, new = (Path(folder, row[side]).read_bytes() for side in ("old", "new"))
            yield _pair(row["name"], old, new, signer)


def _pair(name: str, old: bytes, new: bytes, signer: Signer) -> Pair:
    packages = {}
    for codec in CODECS:
        say(f"{name}: making the package, {codec}")
        packages[codec] = build_package(
            old, new, board=_board(old, new), product="mcu", version="2", seq=2, signer=signer, codecs=[codec]
        )
    return Pair(name, old, new, packages, signer)


def _board(old: bytes, new: bytes) -> Board:
    """One whose slots hold both images and leave room for any patch."""
    found = board_for(max(old, new, key=len))
    return loader.load(found.name + "-8M") if found.flash_size < 8 << 20 else found


def measure(board: mcu.Mcu) -> Figures:
    """All entries. WrongAnswerError where a board's answer is wrong."""
    signer = Signer(
        ec.derive_private_key(int.from_bytes(hashlib.sha256(b"mcu").digest(), "big"), ec.SECP256R1())
    )
    figures = _signature(board)
    for pairs in (made_up(signer), real(signer)):
        for pair in pairs:
            if not figures.get("manifest decode and checks"):
                figures |= _cbor(board, pair)
            for codec in CODECS:
                figures |= _update(board, pair, codec)
    return figures


def _signature(board: mcu.Mcu) -> Figures:
    """The first of the contract's golden signatures."""
    say("P-256")
    vector = json.loads((ROOT / "bootloader_spec/vectors/p256.json").read_text())[0]
    words = [bytes.fromhex(vector[name]) for name in ("public", "digest", "signature")]
    found = board.measure(f"measure.signature(*{words!r})")
    if (found.pop("good"), found.pop("bad")) != (True, False):
        raise WrongAnswerError("a signature was judged wrongly")
    return found


def _cbor(board: mcu.Mcu, pair: Pair) -> Figures:
    say("CBOR")
    manifest = pair.packages[CODECS[0]].manifest
    found = board.measure(f"measure.cbor({manifests.encode(manifest)!r})")
    if (found.pop("version"), found.pop("refused")) != ("2", True):
        raise WrongAnswerError("a manifest was read wrongly")
    return found


def _update(board: mcu.Mcu, pair: Pair, codec: str) -> Figures:
    """Instructions of an update's parts, and the least heap that all of it needs."""
    name = f"{pair.name}, {codec}"
    say(f"{name}: update")
    found = _run(board, pair, codec, "decoder=True")
    if found is None:
        raise WrongAnswerError(f"{name}: the heap is too small")
    figures = {f"{name}: {part}": found[part] for part in ("decoder", "decode and write")}
    say(f"{name}: {found}")
    if pair.name in CORPUS:  # minutes for a search: is 48 KB enough?
        if _run(board, pair, codec, f"heap={HEAP - _BUFFERS}") is None:
            raise WrongAnswerError(f"{name}: {HEAP} bytes of heap are too few")
    else:
        say(f"{name}: least heap")
        figures[f"{name}: heap"] = _least_heap(board, pair, codec)
        say(f"{name}: plain bytecode")
        plain = _run(board, pair, codec, "decoder=True", plain=True)
        if plain is None:
            raise WrongAnswerError(f"{name}: the heap is too small for plain bytecode")
        figures[f"{name}: decoder, plain bytecode"] = plain["decoder"]
    return figures


def _least_heap(board: mcu.Mcu, pair: Pair, codec: str) -> int:
    """Above the agent at rest, with its two buffers of a sector: what is enough, and all above it."""
    enough = _MOST
    while enough > _STEP and _run(board, pair, codec, f"heap={enough - _STEP}") is not None:
        enough -= _STEP
    if enough == _MOST:
        raise WrongAnswerError(f"{pair.name}, {codec}: {enough + _BUFFERS} bytes of heap are too few")
    return enough + _BUFFERS


def _run(board: mcu.Mcu, pair: Pair, codec: str, words: str, plain: bool = False) -> dict[str, int] | None:
    """One update from slot 0 into slot 1; None where the memory was too small."""
    data = pair.packages[codec].data
    board.write(mcu.FLASH, b"\xff" * (8 << 20))
    board.write(mcu.FLASH + mcu.SLOTS[0], pair.old)
    board.write(mcu.SPARE, data)
    key = pair.signer.public + comb.make_table(pair.signer.public)
    board.write(_KEY, key)
    code = f"measure.update(({mcu.SPARE}, {len(data)}), ({_KEY}, {len(key)}), {words})"
    if plain:
        code = f"measure.rom({_ROM}, {_plain_rom(board)})\n" + code
    found = board.measure(code, timeout=900)
    if "memory" in found:
        return None
    if board.read(mcu.FLASH + mcu.SLOTS[1], len(pair.new)) != pair.new:
        raise WrongAnswerError(f"{pair.name}, {codec}: the slot holds another image")
    return found


def _plain_rom(board: mcu.Mcu) -> int:
    """The contract without machine code as a ROM file system in memory; its size."""
    tree = runtime.compile_tree([ROOT / "bootloader_spec" / "otaspec"], arch=None)
    with contextlib.redirect_stdout(io.StringIO()):  # it lists every file
        image = romfs.make_romfs(str(tree), mpy_cross=False)
    board.write(_ROM, image)
    return len(image)


def judge(found: Figures, known: Figures) -> list[str]:
    """What is wrong with the figures: above a limit, or 5 % above the file's."""
    wrong = [
        f"{name}: {found[name]:,}, at most {most:,}"
        for name, most in LIMITS.items()
        if found.get(name, 0) > most
    ]
    for name, value in found.items():
        if name.endswith(": heap") and value > HEAP:
            wrong.append(f"{name}: {value:,} bytes, at most {HEAP:,}")
        if name not in known:
            if name.startswith(CORPUS):
                continue  # shown, not gated, until UPDATE=1 was run where the pairs are
            wrong.append(f"{name}: not in {FIGURES.name}; make mcu UPDATE=1 writes it")
        elif value > known[name] * TOLERANCE:
            wrong.append(f"{name}: {value:,}, was {known[name]:,} ({value / known[name] - 1:+.1%})")
    return wrong


def table(found: Figures, known: Figures) -> str:
    """The figures for people."""
    lines = []
    for name, value in found.items():
        change = f"{value / known[name] - 1:+.1%}" if known.get(name) else "new"
        unit = f"{value / 1024:9.1f} KB" if name.endswith("heap") else f"{value / 1e6:9.2f} M "
        lines.append(f"{name:<52}{unit}{change:>8}")
    return "\n".join(lines)


def say(text: str) -> None:
    sys.stderr.write(f"[{time.monotonic() - _STARTED:5.0f} s] {text}\n")


_STARTED = time.monotonic()


def _known() -> dict[str, Any]:
    return json.loads(FIGURES.read_text()) if FIGURES.is_file() else {"figures": {}}


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--update", action="store_true", help="write the figures to the file")
    update = words.parse_args().update
    try:
        with mcu.switched_on(say) as board:
            found = measure(board)
    except errors.OtaError as error:
        skipped = error.name == "RUNTIME_MISSING"
        print(f"make mcu: {'SKIPPED' if skipped else 'FAILED'}, {error.evidence}")
        return 0 if skipped else 1
    except (mcu.McuError, WrongAnswerError) as fault:
        print(f"make mcu: FAILED, {fault}")
        return 1
    known = _known()["figures"]
    print(table(found, known))
    if update:
        merged = {name: value for name, value in known.items() if name.startswith(CORPUS)} | found
        FIGURES.write_text(json.dumps({"unit": _UNIT, "figures": merged}, indent=1) + "\n")
        known = merged
    wrong = judge(found, known)
    for line in wrong:
        print("make mcu: FAILED,", line)
    if not wrong:
        print(f"make mcu: {len(found)} figures, none above its limit or 5 % above {FIGURES.name}")
    return int(bool(wrong))


_UNIT = "RV32 instructions (rv32imac, -Os, QEMU -icount shift=0); entries that end in heap: bytes"

if __name__ == "__main__":
    sys.exit(main())
