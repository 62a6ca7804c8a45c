"""A patch that no board stages: decoded while it comes, each chunk verified first (PATCH.md 13).

No I/O: a transport asks what is `wanted` between two sectors of NEW, brings those bytes into `room`, and
says `filled`. The decoder reads from the same object, and never meets a byte whose chunk was not right.
"""

import hashlib

from .errors import error
from .manifest import CHUNK_AHEAD, CHUNK_ROOM, CHUNK_SIZE

_PATCH_INVALID = 112
_CHUNK_HASH_WRONG = 115


class Source:
    """The patch of `size` bytes whose chunks have these `hashes` (32 bytes each), as a decoder reads it."""

    def __init__(self, size: int, hashes: bytes) -> None:
        self.size = size
        self._hashes = hashes
        self._buf = memoryview(bytearray(CHUNK_ROOM))
        self._at = 0  # buf[at:end] is verified and was not read yet
        self._end = 0
        self._next = 0  # what follows it in the patch: a multiple of CHUNK_SIZE, or `size`
        self._skip = 0  # bytes of the next chunk that lie before what is sought

    def wanted(self) -> int:
        """Where in the patch the next chunk starts; -1 where enough is here, or all of it."""
        return -1 if self._next == self.size or self._end - self._at > CHUNK_AHEAD else self._next

    def room(self) -> memoryview:
        """Where that chunk belongs, as long as it is."""
        n = self._end - self._at
        if self._at:
            self._buf[:n] = self._buf[self._at : self._end]
            self._at, self._end = 0, n
        return self._buf[n : n + min(CHUNK_SIZE, self.size - self._next)]

    def filled(self) -> None:
        """The chunk is in room(). CHUNK_HASH_WRONG unless it is the one that was signed."""
        part = self.room()
        k = self._next // CHUNK_SIZE
        if hashlib.sha256(part).digest() != self._hashes[32 * k : 32 * k + 32]:
            raise error(_CHUNK_HASH_WRONG, "chunk %d" % k)
        self._next += len(part)
        self._end += len(part)
        self._at += self._skip
        self._skip = 0

    def block_size(self) -> int:
        """Bytes of NEW in a block, once the first chunk is here; 0: the patch is in one piece."""
        n = self._buf[3] if self._end > 3 else 0
        return 1 << n if 16 <= n <= 20 else 0

    # What a decoder asks for.

    def readinto(self, buf: memoryview) -> int:
        """The next bytes, 0 at the end. PATCH_INVALID where the patch needs more for a sector than it may."""
        n = min(len(buf), self._end - self._at)
        if not n and self._next < self.size:
            raise error(_PATCH_INVALID, "PATCH.md 13")
        buf[:n] = self._buf[self._at : self._at + n]
        self._at += n
        return n

    def seek(self, at: int) -> None:
        """Go on at byte `at` of the patch, which lies ahead."""
        behind = self._next - self._end + self._at
        if behind <= at <= self._next:
            self._at += at - behind
        else:
            self._at = self._end = 0
            self._skip = at % CHUNK_SIZE
            self._next = at - self._skip
