"""What every encoder hears and returns."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from otaspec.manifest import CHUNK_SIZE

# progress(what is being done, share of it that is done: 0..1, None where that is not known)
Progress = Callable[[str, float | None], None]


def stage(progress: Progress, start: float, end: float) -> Progress:
    """The progress of one stage, which goes from `start` to `end` of the whole."""
    return lambda what, share: progress(what, start + (end - start) * (share or 0.0))


@dataclass(frozen=True)
class Region:
    """Bytes offset..end of the new image and what they cost.

    address: of the first of them when the image runs; None outside segments. size: bytes of the patch.
    parts: those bytes by part.
    """

    offset: int
    end: int
    address: int | None
    segment: str
    size: int
    parts: dict[str, int]

    @property
    def dominant(self) -> str:
        """The part that costs most."""
        return max(self.parts, key=lambda part: self.parts[part])

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        last = None if self.address is None else self.address + self.end - self.offset
        return {
            "offset": self.offset,
            "end": self.end,
            "address": self.address,
            "address_end": last,
            "segment": self.segment,
            "bytes": self.size,
            "dominant": self.dominant,
            "parts": self.parts,
        }


@dataclass(frozen=True)
class Encoded:
    """A payload and what its decoder must be told (PACKAGE.md section 3, `payload`).

    ram: bytes of data that the decoder takes. head: for codec 0 only. parts: where the payload's bytes went;
    they add up to it. regions: finds out which regions of the new image cost most, the dearest first.
    chunked: blocks, for boards that cannot stage the payload: they verify and decode it chunk by chunk.
    in_blocks: makes that of it, None where there is no such form.
    """

    codec: int
    params: dict[int, int]
    payload: bytes
    ram: int
    head: bytes = b""
    parts: dict[str, int] = field(default_factory=dict)
    regions: Callable[[], list[Region]] = list
    chunked: bool = False
    in_blocks: "Callable[[], Encoded | None]" = lambda: None

    @property
    def chunks(self) -> bytes:
        """The hashes of the chunks, one after the other."""
        step = CHUNK_SIZE if self.chunked else max(len(self.payload), 1)
        parts = (self.payload[at : at + step] for at in range(0, len(self.payload), step))
        return b"".join(hashlib.sha256(part).digest() for part in parts) if self.chunked else b""

    @property
    def size(self) -> int:
        """What it adds to the package, in bytes."""
        return len(self.payload) + len(self.head) + len(self.chunks)
