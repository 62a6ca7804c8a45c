"""One attack: what the hostile server or package does, and the one error that ends it."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from otaspec import manifest as manifests
from otaspec.errors import code

from tests.attack.bench import app, delta, full, records

Reply = list[tuple[bytes, int, int]]  # (bytes, times, ms before each)


@dataclass(frozen=True)
class Case:
    """`row`: the attack of docs/security.md that it belongs to. later: seen only once the payload came."""

    row: str
    name: str
    error: str
    what: str
    package: bytes = b""
    later: bool = False
    nvs: dict[str, str] = field(default_factory=records)
    replies: dict[str, Reply] = field(default_factory=dict)
    offer: dict[str, Any] = field(default_factory=dict)
    answer: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    proof: str = "right"
    rounds: int = 1
    roots: bytes = b""  # the key set built into the firmware
    keysets: dict[str, bytes] = field(default_factory=dict)  # what the server has, by number
    cut: tuple[int, int] = (0, 0)  # operation and kind of a power cut
    dump: int = 0  # bytes of the other slot that the result is to show

    @property
    def code(self) -> int:
        return int(code(self.error))

    def line(self) -> dict[str, Any]:
        """For device/hostile.py."""
        replies = {
            name: [(raw.hex(), times, ms) for raw, times, ms in pieces]
            for name, pieces in self.replies.items()
        }
        names = ("name", "nvs", "offer", "answer", "settings", "proof", "rounds", "cut", "dump")
        found = {name: getattr(self, name) for name in names}
        etag = hashlib.sha256(self.package).hexdigest()
        keysets = {number: signed.hex() for number, signed in self.keysets.items()}
        return found | {
            **{"replies": replies, "package": self.package.hex(), "etag": etag},
            **{"roots": self.roots.hex(), "keysets": keysets},
        }


GOOD = full()
PATCH = delta()
HEAD = manifests.HEAD_SIZE + manifests.size_of(GOOD[:8])
PATCH_HEAD = manifests.HEAD_SIZE + manifests.size_of(PATCH[:8])
OTHER = app("of another release")


def flip(data: bytes, at: int, mask: int = 1) -> bytes:
    at %= len(data)
    return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]


def http(body: bytes, *headers: str, status: str = "200 OK", length: bool = True) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, *([f"Content-Length: {len(body)}"] if length else [])]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def sends(*pieces: bytes | tuple[bytes, int, int]) -> Reply:
    return [piece if isinstance(piece, tuple) else (piece, 1, 0) for piece in pieces]


def downloads(*pieces: bytes | tuple[bytes, int, int]) -> dict[str, Any]:
    """The package as the server sends it, whatever was asked for."""
    return {"package": GOOD, "replies": {"packages": sends(*pieces)}}


def _etag(package: bytes = GOOD) -> str:
    return f'ETag: "{hashlib.sha256(package).hexdigest()}"'
