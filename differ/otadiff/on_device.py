"""Applies a package as a board does: verify, decode, read back. One file for MicroPython and CPython.

As a script (`micropython on_device.py OLD PACKAGE OUT KEYS`) it prints one line of JSON after each step:
{"done": bytes}, then {"result": ...} or {"error": code, "evidence": ...}.
"""

import hashlib
import json
import sys
import time

from otaspec import chunks, keyset, patch, verify
from otaspec import manifest as manifests
from otaspec.errors import OtaError, error

_OUT_OF_MEMORY = 407
_BASE_WRONG = 205
_IMAGE_HASH_WRONG = 111
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


def open_verified(package: object, keys: object) -> object:
    """The manifest of a package file, once its signature and the hash of its payload were checked."""
    size = size_of(package)
    head = package.read(manifests.HEAD_SIZE)
    head += package.read(manifests.size_of(head))
    manifest = verify.open_package(head, keys)
    check = verify.Payload(manifest)
    left = size - manifest.payload_offset
    while left > 0:
        piece = package.read(min(_PIECE, left))
        check.feed(piece)
        left -= len(piece)
    check.finish()
    return manifest


def apply(old: object, package: object, out: object, publics: list) -> object:
    """Yields the bytes written so far, then the result: a dict. `publics`: keys that may have signed.

    old: the base, or None for a package without one. Files are binary, `out` readable too.
    """
    started = time.time()
    manifest = open_verified(package, keyset.KeySet([keyset.Key(public) for public in publics]))
    base = Head(manifest.payload_head)
    if manifest.base_size:
        base = File(old, size_of(old) if old else 0)
        if base.size != manifest.base_size or base.sha256() != manifest.base_sha256:
            raise error(_BASE_WRONG, "OLD is not the image that this patch starts from")
    new = File(out, manifest.image_size)
    if manifest.payload_chunk_size:
        yield from decode_chunks(manifest, base, package, new)
    else:
        payload = Payload(package, manifest.payload_offset, manifest.payload_size)
        codec, params, ram = manifest.payload_codec, manifest.payload_params, manifest.payload_ram
        yield from patch.decode(codec, params, base, payload, new, ram)
    if new.end != manifest.image_size or new.sha256() != manifest.image_sha256:
        raise error(_IMAGE_HASH_WRONG)
    yield {"image_size": new.end, "seconds": time.time() - started}


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


def main(old: str, package: str, out: str, keys: str) -> None:
    publics = [bytes.fromhex(key) for key in keys.split(",")]
    base = None if old == "-" else open(old, "rb")
    try:
        for step in apply(base, open(package, "rb"), open(out, "w+b"), publics):
            print(json.dumps({"result": step} if isinstance(step, dict) else {"done": step}))
    except OtaError as problem:
        print(json.dumps({"error": problem.code, "evidence": problem.evidence}))
    except MemoryError as problem:
        print(json.dumps({"error": _OUT_OF_MEMORY, "evidence": str(problem)}))


if __name__ == "__main__":
    main(*sys.argv[1:5])
