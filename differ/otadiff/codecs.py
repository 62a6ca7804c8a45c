"""What every encoder hears and returns."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

# progress(what is being done, share of it that is done: 0..1, None where that is not known)
Progress = Callable[[str, float | None], None]


@dataclass(frozen=True)
class Encoded:
    """A payload and what its decoder must be told (PACKAGE.md section 3, `payload`).

    ram: bytes of data that the decoder takes. head: for codec 0 only. details: what an encoder can say about
    where its bytes went, for people.
    """

    codec: int
    params: dict[int, int]
    payload: bytes
    ram: int
    head: bytes = b""
    details: dict[str, Any] = field(default_factory=dict)
