"""Applies a package with the device's own decoder, under MicroPython (or under CPython where asked for)."""

import contextlib
import json
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import otaspec
from otaboards import runtime
from otaspec import errors
from otaspec.errors import InputError, code

from otadiff import on_device

# What MicroPython has beside the decoder's data: the modules themselves, the verifier, files.
_HEAP = 128 << 10
_RAM = 64 << 10  # of those data, where nothing is said
_TIMEOUT = 600  # seconds
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Applied:
    """The image's size in bytes, the seconds that verifying and decoding took, and who did it."""

    image_size: int
    seconds: float
    decoder: str


def apply_files(
    old: Path | None,
    package: Path,
    out: Path,
    publics: Sequence[bytes],
    *,
    cpython: bool = False,
    facts: Mapping[str, Any] = MappingProxyType({}),
    progress: Progress = lambda _: None,
) -> Applied:
    """Writes the image to `out`, which holds it only if everything was right: else there is no such file.

    publics: X || Y of the keys that may have signed. facts: of the board, as otaspec.verify.Board has them;
    what is left out suits the package. MicroPython gets a heap of no more than its `ram` beside a fixed part.
    Raises every error that a board would (PACKAGE.md section 4).
    """
    path = out.with_name(out.name + ".part")
    try:
        path.touch()  # a folder that is missing or not ours is said before any work
        if cpython:
            steps, who = _in_process(old, package, path, publics, facts), "CPython"
        else:
            found = runtime.find()
            steps = _in_micropython(found, old, package, path, publics, facts)
            who = f"MicroPython {found.version}"
        result = _follow(steps, progress)
        path.replace(out)
    except OSError as error:
        raise InputError(code("FILE_UNREADABLE"), f"{error.filename}: {error.strerror}"[:120]) from error
    finally:
        path.unlink(missing_ok=True)
    return Applied(result["image_size"], result["seconds"], who)


def _follow(steps: Iterator[Any], progress: Progress) -> dict[str, Any]:
    for step in steps:
        if isinstance(step, dict):
            return step
        progress(step)
    raise errors.error(code("INTERNAL_ERROR"), "the decoder ended without an answer")


def _in_process(
    old: Path | None, package: Path, out: Path, publics: Sequence[bytes], facts: Mapping[str, Any]
) -> Iterator[Any]:
    with contextlib.ExitStack() as stack:
        base = stack.enter_context(old.open("rb")) if old else None
        files = stack.enter_context(package.open("rb")), stack.enter_context(out.open("w+b"))
        steps: Any = on_device.apply(base, *files, list(publics), dict(facts))
        yield from steps


def _in_micropython(
    found: runtime.Runtime,
    old: Path | None,
    package: Path,
    out: Path,
    publics: Sequence[bytes],
    facts: Mapping[str, Any],
) -> Iterator[Any]:
    for file in (old, package):
        if file:
            file.stat()  # a missing one is said here, in words
    tree = runtime.compile_tree([Path(otaspec.__file__).parent], arch=found.arch)
    given = json.dumps({"keys": [public.hex() for public in publics], "facts": dict(facts)})
    words = [on_device.__file__, str(old or "-"), str(package), str(out)]
    command = found.command(words, heap=str(_HEAP + facts.get("ram", _RAM)), path=[tree])
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        limit = threading.Timer(_TIMEOUT, process.kill)
        limit.start()
        try:
            with contextlib.suppress(BrokenPipeError):  # it may have ended for want of memory
                process.stdin.write(given + "\n")
                process.stdin.close()
            yield from _answers(process.stdout)
        finally:
            limit.cancel()
            process.kill()
        complaint = (process.stderr.read().strip().splitlines() or ["no answer"])[-1]
    name = "OUT_OF_MEMORY" if complaint.startswith("MemoryError") else "INTERNAL_ERROR"
    raise errors.error(code(name), complaint[:120])


def _answers(lines: IO[str]) -> Iterator[Any]:
    for line in lines:
        answer = json.loads(line)
        if "error" in answer:
            raise errors.error(answer["error"], answer["evidence"])
        yield answer.get("result") or answer["done"]
