"""What every encoder hears and returns."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

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
    """

    codec: int
    params: dict[int, int]
    payload: bytes
    ram: int
    head: bytes = b""
    parts: dict[str, int] = field(default_factory=dict)
    regions: Callable[[], list[Region]] = list
