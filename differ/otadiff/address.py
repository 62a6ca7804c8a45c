"""The address-aware encoder (codec 3): two images in, the smallest patch it can find out.

Rounds: a first cover with operands put out of the way, a map fitted to it, then covers against what
that map predicts. The last rounds try several beliefs of what things cost and keep what came out smallest.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from . import addressmap, costs, cover, forms, literals, patchfile, suffix
from .addressmap import AddressMap
from .cover import Cover, Settings
from .image import (
    Cpu,
    Image,
    References,
    base_of,
    code_ends,
    cut,
    describable,
    find_references,
    in_code,
    parse,
)
from .jit import BIT
from .operands import POINTER

CODEC = 3
PARAM_VERSION, PARAM_FEATURES = 1, 2
SMALL, NORMAL = "small", "normal"
RAM = {SMALL: 18432, NORMAL: 24576}
"""Most bytes of decoder data, by profile."""

_WORTH = 512, 32
"""More memory than the small profile's is taken for so many bytes less, and so many times less than all."""

Progress = Callable[[float, str], None]
"""Called with the share of the work that is done (0..1) and what comes next."""

_ROUNDS = 2
_FIRST = Settings(reference=11 * BIT, reference_recent=BIT, keep=8)
_TRIES = (
    Settings(),
    Settings(literal=780, enter_literal=5 * BIT),
    Settings(literal=960, blend=True),
    Settings(new_diagonal=26 * BIT, known_diagonal=14 * BIT, literal=973, miss=13 * BIT, reference=13 * BIT),
    Settings(new_diagonal=32 * BIT, known_diagonal=18 * BIT, miss=14 * BIT),
)
_LARGE = 3  # where so much changed that the map does not fit, the first of these are tried again
_MIXED = 2  # candidates that are written with mixed literals, too: the best without
_MOSTLY_NEW = (
    8  # where so many-th of the image are literals, mixing wins: one try with the larger map is enough
)


class Patch(NamedTuple):
    """A patch and what a manifest and a report need to know of it."""

    data: bytes
    params: dict[int, int]
    ram: int  # bytes of decoder data
    written: patchfile.Written
    again: Callable[[], patchfile.Written]  # the same with the record of which bytes cost how much
    image: Image  # the new one, as it was understood


class Candidate(NamedTuple):
    """A cover and the map that goes with it."""

    cover: Cover
    map: AddressMap


class Written(NamedTuple):
    """A candidate as a patch; `mix`: with mixed literals."""

    candidate: Candidate
    mix: bool
    patch: patchfile.Written


class Pair:
    """Two images, and everything that can be known before a cover is chosen."""

    def __init__(self, old: bytes, new: bytes, cpu: Cpu | None = None, base: int | None = None) -> None:
        self.old = parse(old, cpu, base)
        self.new = parse(new, cpu, base)
        if self.new.cpu is not self.old.cpu or not describable(self.old, self.new):
            self.old = parse(old, Cpu.NONE)
            self.new = parse(new, Cpu.NONE)
        if self.old.cpu is Cpu.RISCV:
            self._cut()
        self.base = base_of(self.old)
        self.references = find_references(self.old, self.base)
        found = find_references(self.new, self.base)
        self.new_kind, self.new_target, self.new_address = found.kind, found.target, found.address
        self.old_bytes = np.frombuffer(old, np.uint8).copy()
        self.new_bytes = np.frombuffer(new, np.uint8).copy()

    def _cut(self) -> None:
        """Cuts segments of code and data; the new image's where the old one's are cut."""
        codes = code_ends(self.old)
        found = [*code_ends(self.new), *[0] * len(codes)]
        wanted = [
            0 if not code else found[i] or 1 + s.size // 4
            for i, (code, s) in enumerate(zip(codes, self.new.segments, strict=False))
        ]
        wanted += [0] * (len(self.new.segments) - len(wanted))
        old, new = cut(self.old, codes), cut(self.new, tuple(wanted))
        if not describable(old, new):
            old = cut(self.old, (0,) * len(codes))
            new = self.new
        self.old, self.new = old, new

    def inputs(self) -> patchfile.Inputs:
        """What a patch is written from, besides cover and map."""
        return patchfile.Inputs(self.old, self.new, self.references, self.new_address, self.base)


class _Search:
    """Rounds of covers and maps over one pair."""

    def __init__(self, pair: Pair, most: int) -> None:
        self.pair = pair
        self.most = most
        order, new_order = suffix.sort_together(pair.old_bytes, pair.new_bytes)
        earlier = suffix.earlier_matches(pair.new_bytes, new_order)
        self.near = (order.old, order.slot, _shapes(pair), earlier)
        self.literal = costs.literals(pair.old_bytes, pair.new_bytes)
        adaptive = literals.adaptive_costs(pair.new_bytes, in_code(pair.old, pair.new), int(pair.old.cpu))
        self.blend = (adaptive + self.literal * Settings().literal // 1024) // 2
        self.pointers = _pointer_index(pair.references, len(pair.old_bytes))
        self.form = self._blank_form()
        self.map = addressmap.EMPTY
        self.moved = np.zeros(len(pair.references.kind), np.int32)

    def _form(self, old: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, ...]:
        order, _ = suffix.sort_together(old, new)
        return old, new, order.old, order.slot, _shapes(self.pair)

    def _blank_form(self) -> tuple[np.ndarray, ...]:
        p = self.pair
        return self._form(
            forms.blank(p.old_bytes, p.references.kind, len(p.old_bytes)),
            forms.blank(p.new_bytes, p.new_kind, len(p.new_bytes)),
        )

    def use_map(self) -> None:
        """From now on, moved code is matched by its absolute new targets."""
        p = self.pair
        r = p.references
        still = np.zeros(0, np.int32)
        self.form = ()  # its memory, before more is taken
        self.form = self._form(
            forms.absolute(p.old_bytes, r.kind, r.target, self.moved, len(p.old_bytes), p.base),
            forms.absolute(p.new_bytes, p.new_kind, p.new_target, still, len(p.new_bytes), p.base),
        )

    def round(self, settings: Settings, *, first: bool = False) -> Candidate:
        """One cover, and the map fitted to it; later rounds predict with that map."""
        p = self.pair
        r = p.references
        view = (
            p.old_bytes,
            p.new_bytes,
            r.kind,
            r.target,
            r.apart,
            self.moved,
            r.address,
            p.new_address,
            p.base,
        )
        literal = (self.blend if settings.blend else self.literal) * settings.literal // 1024
        nodes, last = cover.search(view, self.near, self.form, literal, self.pointers, settings, first)
        found = cover.trace(nodes, last, len(p.old_bytes), len(p.new_bytes))
        del nodes  # tens of megabytes
        self.map = addressmap.fit(addressmap.samples(view, *found), self.most)
        self.moved = self.map.displacements(r.kind, r.target)
        return Candidate(found, self.map)


def _shapes(pair: Pair) -> np.ndarray:
    return np.zeros(len(pair.new_bytes), np.uint16)


def _pointer_index(references: References, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Targets of the pointers, rising, and their positions."""
    positions = np.flatnonzero(references.kind[:size] == POINTER)
    targets = references.target[positions].astype(np.int64)
    order = np.lexsort((positions, targets))
    return targets[order], positions[order]


def candidates(pair: Pair, sizes: Sequence[int], progress: Progress) -> Iterator[Candidate]:
    """Covers and maps worth writing out, for maps of at most so many entries: sizes, falling."""
    steps = 2 + _ROUNDS + len(_TRIES) + _LARGE * (len(sizes) - 1)
    progress(0.0, "sorting")
    search = _Search(pair, sizes[0])
    progress(1 / steps, "first cover")
    search.round(_FIRST, first=True)
    for i in range(_ROUNDS):
        progress((2 + i) / steps, "cover")
        search.use_map()
        search.round(_TRIES[0])
    largest = 0
    for i, most in enumerate(sizes):
        if i and largest <= most:
            return
        if i:
            search.most = most
            search.round(_TRIES[0])
            search.use_map()
        for j, settings in enumerate(_TRIES[:_LARGE] if i else _TRIES):
            progress((2 + _ROUNDS + i * len(_TRIES) + j) / steps, "refining")
            candidate = search.round(settings)
            largest = max(largest, len(candidate.map.keys))
            yield candidate
            literal = int(candidate.cover.literals.sum())
            if i + 1 < len(sizes) and largest > sizes[i + 1] and literal * _MOSTLY_NEW > len(pair.new_bytes):
                break


def _entries(ram: int, mix: bool) -> int:
    """How many entries a map may have; below 0: not even none."""
    return (ram - patchfile.decoder_ram(0, mix=mix)) // 8


def _best(found: list[Written]) -> Written:
    """The smallest patch, unless one for the small profile is nearly as small."""
    best, lean = (
        min(some, key=lambda each: len(each.patch.data), default=None)
        for some in (found, [each for each in found if each.patch.ram <= RAM[SMALL]])
    )
    assert best is not None
    if lean is None:
        return best
    size = len(lean.patch.data)
    return best if len(best.patch.data) + max(_WORTH[0], size // _WORTH[1]) < size else lean


def encode(
    old: bytes,
    new: bytes,
    *,
    profile: str = NORMAL,
    mix: bool | None = None,
    blocks: bool = False,
    ram: int | None = None,
    progress: Progress = lambda _share, _what: None,
) -> Patch:
    """The smallest patch from `old` to `new` for a board with RAM[profile] bytes for the decoder.

    `mix`: whether literals mix three models (normal profile only); None: where that pays for its memory.
    `blocks`: 64 KB of the new image can be decoded at a time, for boards that cannot stage the patch.
    `ram`: other than RAM[profile]; ValueError where it is too little for any patch.
    """
    pair = Pair(old, new)
    block = 16 if blocks else 0
    forms = [mix] if mix is not None else [False, True] if profile == NORMAL else [False]
    most = RAM[profile] if ram is None else ram
    rooms = {form: room for form in forms if (room := _entries(most, form)) >= 0}
    if not rooms:
        raise ValueError(f"{most} bytes are too little for a decoder")

    def write(candidate: Candidate, mix: bool, record: bool = False) -> patchfile.Written:
        return patchfile.write(pair.inputs(), *candidate, mix=mix, block=block, record=record)

    made = list(candidates(pair, sorted(rooms.values(), reverse=True), progress))
    found: list[Written] = []
    for form, room in rooms.items():
        fit = [each for each in made if len(each.map.keys) <= room]
        if found:
            plain = {id(each.candidate): len(each.patch.data) for each in found}
            fit = sorted(fit, key=lambda each: plain[id(each)])[:_MIXED]
        found += [Written(each, form, write(each, form)) for each in fit]
    best = _best(found)
    progress(1.0, "done")
    params = {PARAM_VERSION: patchfile.VERSION, PARAM_FEATURES: patchfile.MIX if best.mix else 0}
    patch = best.patch
    return Patch(
        patch.data, params, patch.ram, patch, lambda: write(best.candidate, best.mix, record=True), pair.new
    )
