"""Bytes as the reader that otaspec asks for."""

from collections.abc import Callable


def reader(raw: bytes | bytearray) -> Callable[[int, bytearray | memoryview], None]:
    def read(offset: int, buffer: bytearray | memoryview) -> None:
        part = raw[offset : offset + len(buffer)]
        buffer[:] = part + b"\xff" * (len(buffer) - len(part))

    return read
