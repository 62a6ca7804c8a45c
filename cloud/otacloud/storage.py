"""Images and packages: immutable objects named by their SHA-256, in a folder or a bucket."""

import hashlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

import obstore
from obstore.store import LocalStore, ObjectStore, from_url
from otaspec.errors import OtaError

from otacloud.errors import refuse

CHUNK = 256 * 1024
KINDS = ("images", "packages", "bundles")


@dataclass(frozen=True)
class Blob:
    sha256: str
    size: int


class Upload:
    """Bytes on their way in: hashed and counted as they come, and refused above `limit`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._hash = hashlib.sha256()
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self.size = 0

    def __enter__(self) -> "Upload":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self._limit:
            raise refuse("REQUEST_TOO_LARGE", f"an image may have {self._limit} bytes")
        self._hash.update(data)
        self._file.write(data)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def read_into(self, offset: int, buffer: bytearray | memoryview) -> None:
        """Fills `buffer` from `offset` on: the way in which otaspec reads images."""
        self._file.seek(offset)
        buffer[:] = self._file.read(len(buffer))

    def read(self) -> bytes:
        self._file.seek(0)
        return self._file.read()


class Storage:
    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    @classmethod
    def open(cls, url: str, folder: Path) -> "Storage":
        """The store at `url`, or a local folder where `url` is empty."""
        if url:
            return cls(from_url(url))
        return cls(LocalStore(folder, automatic_cleanup=True, mkdir=True))

    async def put(self, kind: str, data: bytes) -> Blob:
        """Keeps `data`; the same bytes twice are one object. LocalStore renames into place."""
        blob = Blob(hashlib.sha256(data).hexdigest(), len(data))
        await obstore.put_async(self._store, f"{kind}/{blob.sha256}", data)
        return blob

    async def get(self, kind: str, sha256: str) -> bytes:
        """All bytes; NOT_FOUND."""
        try:
            result = await obstore.get_async(self._store, f"{kind}/{sha256}")
            return bytes(await result.bytes_async())
        except FileNotFoundError:
            raise _missing(kind, sha256) from None

    async def names(self, kind: str) -> AsyncIterator[str]:
        """The hashes of all objects of a kind."""
        async for page in obstore.list(self._store, f"{kind}/"):
            for entry in page:
                yield entry["path"].rsplit("/", 1)[1]

    async def size(self, kind: str, sha256: str) -> int:
        try:
            return (await obstore.head_async(self._store, f"{kind}/{sha256}"))["size"]
        except FileNotFoundError:
            raise _missing(kind, sha256) from None

    async def stream(self, kind: str, sha256: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Bytes start..end (end excluded) in chunks."""
        for at in range(start, end, CHUNK):
            data = await obstore.get_range_async(
                self._store, f"{kind}/{sha256}", start=at, end=min(at + CHUNK, end)
            )
            yield bytes(data)


def _missing(kind: str, sha256: str) -> OtaError:
    return refuse("NOT_FOUND", f"{kind} {sha256}")
