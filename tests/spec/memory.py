"""OLD, patch and NEW in memory, as a decoder asks for them; what it must not do ends in AssertionError."""

from otaspec import patch as patches

SECTOR = 4096


class Old:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def readinto(self, offset: int, buf: bytearray | memoryview) -> None:
        assert 0 <= offset <= offset + len(buf) <= self.size
        buf[:] = self.data[offset : offset + len(buf)]


class Source:
    """A patch that comes in pieces of at most `most` bytes."""

    def __init__(self, data: bytes, most: int = 1 << 20) -> None:
        self.data = data
        self.size = len(data)
        self.at = 0
        self.most = most

    def readinto(self, buf: bytearray | memoryview) -> int:
        piece = self.data[self.at : self.at + min(len(buf), self.most)]
        buf[: len(piece)] = piece
        self.at += len(piece)
        return len(piece)

    def seek(self, offset: int) -> None:
        self.at = offset


class New:
    """`there`: what was written in an earlier life."""

    def __init__(self, size: int, there: bytes = b"") -> None:
        self.size = size
        self.data = bytearray(there)

    def write(self, data: bytes | memoryview) -> None:
        assert len(self.data) % SECTOR == 0
        assert len(data) == min(SECTOR, self.size - len(self.data))
        self.data += data

    def readinto(self, offset: int, buf: bytearray | memoryview) -> None:
        assert 0 <= offset <= offset + len(buf) <= len(self.data)
        buf[:] = self.data[offset : offset + len(buf)]


def decode(
    old: bytes,
    patch: bytes,
    size: int,
    *,
    params: dict[int, int] | None = None,
    ram: int = 1 << 20,
    most: int = 999,
) -> bytes:
    """NEW, decoded by codec 3; the manifest's parameters are the patch's own unless they are given."""
    new = New(size)
    own = {1: patch[0], 2: patch[1]} if len(patch) > 1 else {}
    for done in patches.decode(3, own if params is None else params, Old(old), Source(patch, most), new, ram):
        assert done == len(new.data)
    assert len(new.data) == size
    return bytes(new.data)
