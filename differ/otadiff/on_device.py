"""Applies a package as a board does: verify, decode, read back. One file for MicroPython and CPython.

As a script (`micropython on_device.py OLD PACKAGE OUT`) it reads one line of JSON, {"keys": [hex, ...],
"facts": {...}}, and prints one line of JSON after each step: {"done": bytes}, then {"result": ...} or
{"error": code, "evidence": ...}.
"""

import hashlib
import json
import sys
import time

from otaspec import bundle, chunks, keyset, patch, verify
from otaspec import manifest as manifests
from otaspec.errors import OtaError, error

_OUT_OF_MEMORY = 407
_PAYLOAD_HASH_WRONG = 110
_IMAGE_HASH_WRONG = 111
_BASE_WRONG = 205
_PIECE = 4096


class File:
    """A file as OLD or NEW: bytes by offset, or written in order."""

    def __init__(self, file: object, size: int) -> None:
        self.file = file
        self.size = size
        self.end = 0

    def readinto(self, offset: int, buf: bytearray) -> None:
        self.file.seek(offset)
        self.file.readinto(buf)

    def write(self, data: bytes) -> None:
        self.file.seek(self.end)
        self.file.write(data)
        self.end += len(data)

    def sha256(self) -> bytes:
        """Of the whole file, as read back."""
        state = hashlib.sha256()
        self.file.seek(0)
        piece = bytearray(_PIECE)
        while n := self.file.readinto(piece):
            state.update(memoryview(piece)[:n])
        return state.digest()


class Head:
    """The first bytes of a plain image, from the manifest: what codec 0 has for OLD."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def readinto(self, offset: int, buf: bytearray) -> None:
        buf[:] = self.data[offset : offset + len(buf)]


class Payload:
    """The payload of a package, in order."""

    def __init__(self, file: object, offset: int, size: int) -> None:
        self.file = file
        self.size = self.left = size
        file.seek(offset)

    def readinto(self, buf: bytearray) -> int:
        n: int = self.file.readinto(memoryview(buf)[: min(len(buf), self.left)])
        self.left -= n
        return n


def size_of(file: object) -> int:
    size: int = file.seek(0, 2)
    file.seek(0)
    return size


def open_package(package: object, keys: object) -> object:
    """The manifest of a package file, once its signature was checked."""
    package.seek(0)
    head = package.read(manifests.HEAD_SIZE)
    head += package.read(manifests.size_of(head))
    return verify.open_package(head, keys)


def check_policy(m: object, old: object, facts: dict) -> None:
    """The checks of PACKAGE.md section 4, for a board with these `facts`; what they leave out suits it."""
    given = {
        "product": m.product, "board": m.board, "chip": m.chip, "device": m.device, "agent": m.min_agent,
        "seq_floor": m.seq - 1, "secure_version": m.secure_version, "slot_size": m.image_size,
        "ram": m.payload_ram, "staging": m.payload_size, "codecs": patch.CODECS, "chunks": True,
    }  # fmt: skip
    given.update(facts)
    given["codecs"] = list(given["codecs"]) + [manifests.KEPT]  # noqa: RUF005 - for MicroPython
    if old:
        given.update(running_size=old.size, running_sha256=old.sha256())
    verify.check(m, verify.Board(**given))


def check_bundle(m: object, package: object) -> None:
    """The application's bundle, if there is one: its hash, then its structure."""
    if not m.bundle_size:
        return
    at = m.payload_offset - m.bundle_size

    def read(offset: int, buf: bytearray) -> None:
        package.seek(at + offset)
        package.readinto(buf)

    state = hashlib.sha256()
    bundle.extract(read, 0, m.bundle_size, state.update)
    if state.digest() != m.bundle_sha256:
        raise error(_PAYLOAD_HASH_WRONG, "the bundle's")
    for _ in bundle.files_of(read, m.bundle_size):
        pass


def check_payload(m: object, package: object, size: int) -> None:
    """Its length and hash."""
    check = verify.Payload(m)
    left = size - m.payload_offset
    package.seek(m.payload_offset)
    while left > 0:
        piece = package.read(min(_PIECE, left))
        check.feed(piece)
        left -= len(piece)
    check.finish()


def apply(old: object, package: object, out: object, publics: list, facts: dict) -> object:
    """Yields the bytes written so far, then the result: a dict. `publics`: keys that may have signed.

    old: the base, or None for a package without one. Files are binary, `out` readable too. facts: of
    verify.Board.
    """
    started = time.time()
    manifest = open_package(package, keyset.KeySet([keyset.Key(public) for public in publics]))
    base = File(old, size_of(old)) if old else None
    check_policy(manifest, base, facts)
    check_payload(manifest, package, size_of(package))
    check_bundle(manifest, package)
    if not manifest.base_size and manifest.payload_codec != manifests.KEPT:
        base = Head(manifest.payload_head)
    new = File(out, manifest.image_size)
    if manifest.payload_codec == manifests.KEPT:
        keep(manifest, base, new)
    elif manifest.payload_chunk_size:
        yield from decode_chunks(manifest, base, package, new)
    else:
        payload = Payload(package, manifest.payload_offset, manifest.payload_size)
        codec, params, ram = manifest.payload_codec, manifest.payload_params, manifest.payload_ram
        yield from patch.decode(codec, params, base, payload, new, ram)
    if new.end != manifest.image_size or new.sha256() != manifest.image_sha256:
        raise error(_IMAGE_HASH_WRONG)
    yield {"image_size": new.end, "seconds": time.time() - started}


def keep(manifest: object, base: object, new: object) -> None:
    """The image is on the board already."""
    if not base or base.sha256() != manifest.image_sha256:
        raise error(_BASE_WRONG, "the image that the package is for is another one")
    piece = bytearray(_PIECE)
    for at in range(0, base.size, _PIECE):
        part = memoryview(piece)[: min(_PIECE, base.size - at)]
        base.readinto(at, part)
        new.write(part)


def decode_chunks(manifest: object, base: object, package: object, new: object) -> object:
    """As an agent that cannot stage the patch: between two sectors it fetches chunks, and checks each."""
    source = chunks.Source(manifest.payload_size, manifest.payload_chunks)
    codec, params, ram = manifest.payload_codec, manifest.payload_params, manifest.payload_ram

    def fetch() -> None:
        while (at := source.wanted()) >= 0:
            package.seek(manifest.payload_offset + at)
            package.readinto(source.room())
            source.filled()

    fetch()
    steps = patch.decode(codec, params, base, source, new, ram)
    fetch()
    for done in steps:
        yield done
        fetch()


def main(old: str, package: str, out: str) -> None:
    given = json.loads(sys.stdin.readline())
    publics = [bytes.fromhex(key) for key in given["keys"]]
    base = None if old == "-" else open(old, "rb")
    try:
        for step in apply(base, open(package, "rb"), open(out, "w+b"), publics, given["facts"]):
            print(json.dumps({"result": step} if isinstance(step, dict) else {"done": step}))
    except OtaError as problem:
        print(json.dumps({"error": problem.code, "evidence": problem.evidence}))
    except MemoryError as problem:
        print(json.dumps({"error": _OUT_OF_MEMORY, "evidence": str(problem)}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
