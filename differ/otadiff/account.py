"""Where the bytes of a patch of codec 3 went: by part of the format, and by region of the new image.

The coder counts in 1/1024 bit; a patch has whole bytes. Every table here is in whole bytes and adds up.
"""

import itertools

import numpy as np

from .codecs import Region
from .coding import CELL
from .image import Image, Segment
from .patchfile import PARTS, Written

HEADER = "header"
TOP = 10
_ELSEWHERE = "none"


def parts(written: Written) -> dict[str, int]:
    """Bytes of the patch by part; their sum is the patch's size."""
    coded = apportion(len(written.data) - written.header, np.array(list(written.parts.values())))
    return {HEADER: written.header} | dict(zip(written.parts, coded, strict=True))


def apportion(total: int, weights: np.ndarray) -> list[int]:
    """`total` in whole shares like `weights` (>= 0): rounded down, the largest remainders get one more."""
    most = int(weights.sum())
    if not most:
        return [total, *[0] * (len(weights) - 1)]
    shares = [divmod(int(w) * total, most) for w in weights]
    missing = total - sum(share for share, _ in shares)
    first = sorted(range(len(shares)), key=lambda i: -shares[i][1])[:missing]
    return [share + (i in first) for i, (share, _) in enumerate(shares)]


def regions(written: Written, image: Image, top: int = TOP) -> list[Region]:
    """The regions that cost most, the dearest first. `written` has a record.

    A region is a run of rows of the record in one segment; each costs at least a quarter of the average of
    those that cost anything.
    """
    spent = written.record.sum(1)
    hot = (spent > 0) & (4 * spent * np.count_nonzero(spent) >= spent.sum())
    edges = np.flatnonzero(np.diff(np.concatenate(([False], hot, [False]))))
    size = len(image.data)
    runs = [(a * CELL, min(b * CELL, size)) for a, b in edges.reshape(-1, 2).tolist()]
    cuts = sorted({s.offset // CELL * CELL for s in image.segments})
    pieces = [piece for run in runs for piece in _split(*run, cuts)]
    scale = (len(written.data) - written.header) / max(sum(written.parts.values()), 1)
    made = [_region(written.record, image, piece, scale) for piece in pieces]
    return sorted((r for r in made if r.size), key=lambda r: (-r.size, r.offset))[:top]


def _split(start: int, end: int, cuts: list[int]) -> list[tuple[int, int]]:
    inside = [start, *(cut for cut in cuts if start < cut < end), end]
    return list(itertools.pairwise(inside))


def _region(record: np.ndarray, image: Image, piece: tuple[int, int], scale: float) -> Region:
    start, end = piece
    costs = record[start // CELL : -(-end // CELL)].sum(0)[: len(PARTS)]
    size = round(int(costs.sum()) * scale)
    by_part = {name: n for name, n in zip(PARTS, apportion(size, costs), strict=True) if n}
    index, segment = _segment_at(image, start, end)
    if segment is None:
        return Region(start, end, None, _ELSEWHERE, size, by_part)
    start, end = max(start, segment.offset), min(end, segment.offset + segment.size)
    name = f"{index} {'code' if segment.executable else 'data'}"
    return Region(start, end, segment.address + start - segment.offset, name, size, by_part)


def _segment_at(image: Image, start: int, end: int) -> tuple[int, Segment | None]:
    """The segment that has most of new[start : end]."""
    common = [min(end, s.offset + s.size) - max(start, s.offset) for s in image.segments]
    best = max(range(len(common)), key=lambda i: common[i], default=-1)
    return (best, image.segments[best]) if best >= 0 and common[best] > 0 else (-1, None)
