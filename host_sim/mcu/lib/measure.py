"""Counts the instructions of the agent's heavy work on the emulated microcontroller; prints a line of JSON.

QEMU counts an instruction as a nanosecond (-icount shift=0); mtime counts 100 of them.
"""

import gc
import sys

import machine
import uctypes

_MTIME = 0x0200BFF8
_THRESHOLD = 8192  # as in otaagent.boot
_spare = None  # keeps memory from everybody else


def now() -> int:
    return machine.mem32[_MTIME]


def since(start: int) -> int:
    """Instructions since `start`."""
    return ((now() - start) & 0xFFFFFFFF) * 100


def limit(heap: int) -> None:
    """Leaves `heap` bytes of the heap free, so that a larger need is a MemoryError."""
    global _spare
    gc.collect()
    _spare = bytearray(max(gc.mem_free() - heap, 0)) if heap else None


def say(result: dict) -> None:
    import json

    print("@measured " + json.dumps(result))


def rom(address: int, size: int) -> None:
    """Modules of a ROM file system in memory come before the frozen ones."""
    import vfs

    vfs.mount(vfs.VfsRom(uctypes.bytearray_at(address, size)), "/rom")
    sys.path.insert(0, "/rom")


def signature(public: bytes, digest: bytes, signed: bytes) -> None:
    """P-256 with and without the table of the key."""
    from otaspec import comb, p256

    start = now()
    table = comb.make_table(public)
    made = since(start)
    start = now()
    good = p256.verify(public, digest, signed, table)
    with_table = since(start)
    start = now()
    good = good and p256.verify(public, digest, signed)
    without = since(start)
    wrong = bytes([signed[0] ^ 1]) + signed[1:]
    say({
        "good": good, "bad": p256.verify(public, digest, wrong, table),
        "p256 verify with table": with_table,
        "p256 verify without table": without,
        "p256 table of a key": made,
    })  # fmt: skip


def cbor(raw: bytes) -> None:
    """A manifest's CBOR, and the same refused where a byte is missing."""
    from otaspec import cbor, manifest
    from otaspec.errors import OtaError

    start = now()
    cbor.decode(raw)
    decoded = since(start)
    start = now()
    found = manifest.decode(raw)
    checked = since(start)
    try:
        cbor.decode(raw[:-1])
        refused = False
    except OtaError:
        refused = True
    say({
        "version": found.version, "refused": refused,
        "cbor decode of a manifest": decoded, "manifest decode and checks": checked,
    })  # fmt: skip


class _Clock:
    """Counts what a part takes of the whole."""

    def __init__(self) -> None:
        self.spent = 0

    def hashlib(self) -> object:
        """A hashlib whose SHA-256 is counted here: chips have it in hardware."""
        import hashlib

        clock = self

        class Sha256:
            def __init__(self, data: bytes = b"") -> None:
                self.state = hashlib.sha256(data)

            def update(self, data: bytes) -> None:
                start = now()
                self.state.update(data)
                clock.spent += since(start)

            def digest(self) -> bytes:
                return self.state.digest()

        class Module:
            sha256 = Sha256

        return Module


class _Sink:
    """The agent's writer, its time counted apart from the decoder's."""

    def __init__(self, writer: object) -> None:
        self.writer = writer
        self.size = writer.size
        self.readinto = writer.readinto
        self.spent = 0

    def write(self, data: bytes) -> None:
        start = now()
        self.writer.write(data)
        self.spent += since(start)


def update(package: tuple, key: tuple, heap: int = 0, decoder: bool = False) -> None:
    """The package from slot 0 into slot 1, by the agent's own code.

    package, key: (address, size) in memory; a key is X || Y and its comb table.
    heap: bytes that the update may take above the agent at rest, but for the agent's two buffers of a
    sector, which are made when it starts; 0: what there is.
    decoder: count the decoder's own instructions too, which costs heap.
    """
    from otaagent import apply, journal, slots, staging  # noqa: F401 - the agent at rest
    from otaspec import cbor, cose, keyset, manifest, p256, patch, verify  # noqa: F401

    stored = memoryview(uctypes.bytearray_at(*key))
    keys = keyset.KeySet([keyset.Key(bytes(stored[:64]), "", bytes(stored[64:]))])
    book = journal.Journal()
    gc.threshold(_THRESHOLD)
    limit(heap)
    try:
        say(_update(package, keys, book, decoder))
    except MemoryError as e:
        limit(0)
        gc.collect()
        say({"memory": str(e)})


def _update(package: tuple, keys: object, book: object, decoder: bool) -> dict:
    from otaagent import slots, staging
    from otaagent.apply import Writer
    from otaagent.journal import Hints
    from otaspec import manifest, verify

    result = {}
    running, other = slots.pair()
    whole = memoryview(uctypes.bytearray_at(*package))
    start = now()
    head = bytes(whole[: manifest.HEAD_SIZE + manifest.size_of(whole[:8])])
    m = verify.open_package(head, keys)
    result["manifest"] = since(start)
    head = None
    hints = Hints(book, m.digest, False)
    stage = staging.SlotStage(other, staging.in_slot(m.image_size, 0))
    start = now()
    writer = Writer(stage, m.payload_size, 0, hints, "staged")
    at = m.payload_offset
    while not writer.done:
        room = writer.room()
        room[:] = whole[at : at + len(room)]
        at += len(room)
        writer.filled(len(room))
    for digest in slots.hash_of(stage, m.payload_size):
        pass
    if digest != m.payload_sha256:
        raise ValueError("the payload is another one")
    result["stage"] = since(start)
    result.update(_decode(m, running, stage, other, hints, decoder))
    return result


def _decode(m: object, running: object, stage: object, other: object, hints: object, decoder: bool) -> dict:
    from otaagent import slots, staging
    from otaagent.apply import Writer
    from otaspec import patch

    sha = _Clock()
    if decoder:
        from otaspec import address

        address.hashlib = sha.hashlib()
    other.erase(0)
    writer = Writer(other, m.image_size, 32, hints, "written", 0, True)
    sink = _Sink(writer) if decoder else writer
    source = staging.Source(stage, m.payload_size)
    old = staging.Image(running, m.base_size)
    gc.collect()
    start = now()
    for _ in patch.decode(m.payload_codec, m.payload_params, old, source, sink, m.payload_ram):
        pass
    spent = since(start)
    result = {"decode and write": spent}
    if decoder:
        result["sha256"] = sha.spent
        result["decoder"] = spent - sha.spent - sink.spent
    gc.collect()
    start = now()
    for digest in slots.hash_of(other, m.image_size, writer.head):
        pass
    result["read back"] = since(start)
    if digest != m.image_sha256:
        raise ValueError("the slot holds another image")
    other.program(0, memoryview(writer.head))
    return result
