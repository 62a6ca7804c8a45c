"""heatshrink with the window and lookahead that pack best, and the encoder of codec 1 (PATCH.md part B)."""

from collections.abc import Callable

import heatshrink2
from otaspec import full
from otaspec.heatshrink import MAX_WINDOW, VERSION

from otadiff.codecs import Encoded

_START = (11, 4)  # best or nearly so on most firmware pairs
_LEAST = (4, 3)
_PARTS = {1: "compressed image", 2: "compressed records"}


def encode_image(new: bytes, ram: int) -> Encoded | None:
    """The image compressed, within a decoder of `ram` bytes of data; None if `ram` is too little."""
    return encode(1, new, ram, full.ram_needed)


def encode(codec: int, data: bytes, ram: int, ram_needed: Callable[[int], int]) -> Encoded | None:
    """`data` packed for `codec`; `ram_needed(window bits)` says what its decoder takes."""
    largest = max((w for w in range(_LEAST[0], MAX_WINDOW + 1) if ram_needed(w) <= ram), default=0)
    if not largest:
        return None
    payload, (window, lookahead) = _best(data, largest)
    params = {1: VERSION, 2: window, 3: lookahead}
    return Encoded(codec, params, payload, ram_needed(window), parts={_PARTS[codec]: len(payload)})


def _best(data: bytes, largest: int) -> tuple[bytes, tuple[int, int]]:
    """Climbs from the usual setting to where no neighbour packs better: some 8 of 66 are tried."""
    tried: dict[tuple[int, int], bytes] = {}

    def packed(shape: tuple[int, int]) -> bytes:
        if shape not in tried:
            tried[shape] = heatshrink2.compress(data, window_sz2=shape[0], lookahead_sz2=shape[1])
        return tried[shape]

    best = min(_START[0], largest), 0
    best = best[0], min(_START[1], best[0] - 1)
    while True:
        window, lookahead = best
        around = [
            (window + 1, lookahead),
            (window - 1, lookahead),
            (window, lookahead + 1),
            (window, lookahead - 1),
        ]
        near = [(w, look) for w, look in around if _LEAST[0] <= w <= largest and _LEAST[1] <= look < w]
        better = min([best, *near], key=lambda shape: (len(packed(shape)), shape))
        if len(packed(better)) == len(packed(best)):
            return packed(best), best
        best = better
