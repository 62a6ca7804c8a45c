"""Which codec a package gets: every one that the board has is tried, the smallest payload wins.

A codec is one row of CODECS; nothing else knows how many there are.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from otaboards.loader import Board
from otaspec.errors import InputError, code
from otaspec.manifest import CHUNK_ROOM, IMAGE, IMAGE_HEAD, KEPT, MAX_SIZE

from otadiff import bsdiff, heatshrink
from otadiff.codecs import Encoded, Progress, stage

_MOST_CHUNKS = MAX_SIZE - 1024  # bytes of hashes in a manifest, beside everything else in it

# (old or None, new, bytes for the decoder's data, progress) -> the smallest payload, None if there is none
Encode = Callable[[bytes | None, bytes, int, Progress], Encoded | None]


@dataclass(frozen=True)
class Codec:
    """`number` and `name` as in PATCH.md. With `has_base` it needs an old image.

    params: what to call the parameters that people may want to see. work: how long it takes, next to others.
    """

    number: int
    name: str
    has_base: bool
    encode: Encode
    params: dict[int, str] = field(default_factory=dict)
    work: int = 1


def _plain(_: bytes | None, new: bytes, ram: int, progress: Progress) -> Encoded:  # noqa: ARG001
    body = new[IMAGE_HEAD:]
    return Encoded(IMAGE, {}, body, 0, new[:IMAGE_HEAD], parts={"image": len(body)})


def _heatshrink(_: bytes | None, new: bytes, ram: int, progress: Progress) -> Encoded | None:
    progress("Compressing the image", None)
    return heatshrink.encode_image(new, ram)


def _bsdiff(old: bytes | None, new: bytes, ram: int, progress: Progress) -> Encoded | None:
    progress("Comparing the images with bsdiff", None)
    return bsdiff.encode(old or b"", new, ram)


def _address(
    old: bytes | None, new: bytes, ram: int, progress: Progress, blocks: bool = False
) -> Encoded | None:
    """Codec 3. `blocks`: for boards that fetch chunks and decode them one by one."""
    from otadiff import account, address  # late: they load compiled code

    beside = CHUNK_ROOM if blocks else 0
    room = min(address.RAM[address.NORMAL], ram - beside)
    if room < address.RAM[address.SMALL]:
        return None

    def say(share: float, what: str) -> None:
        progress(f"Following addresses: {what}", share)

    made = address.encode(old or b"", new, ram=room, blocks=blocks, progress=say)
    return Encoded(
        address.CODEC,
        made.params,
        made.data,
        made.ram + beside,
        parts=account.parts(made.written),
        regions=lambda: account.regions(made.again(), made.image),
        chunked=blocks,
        in_blocks=lambda: None if blocks else _address(old, new, ram, progress, blocks=True),
    )


_LZ = {2: "window", 3: "lookahead"}
CODECS = [
    Codec(0, "image", False, _plain),
    Codec(1, "heatshrink", False, _heatshrink, _LZ),
    Codec(2, "bsdiff", True, _bsdiff, _LZ),
    Codec(3, "address", True, _address, work=8),
]


def name_of(number: int) -> str:
    """The name of a codec, for people."""
    if number == KEPT:
        return "kept"
    return next((codec.name for codec in CODECS if codec.number == number), f"codec {number}")


def params_of(number: int, params: dict[int, int]) -> str:
    """The parameters of a payload in words: "window 11, lookahead 4"."""
    names = next((codec.params for codec in CODECS if codec.number == number), {})
    return ", ".join(f"{names[key]} {params[key]}" for key in sorted(params) if key in names)


def candidates(
    old: bytes | None,
    new: bytes,
    board: Board,
    only: Sequence[str],
    progress: Progress,
) -> Iterator[Encoded]:
    """Each payload that `board` can take: one per codec of the board, or of those named in `only`."""
    usable = [c for c in _chosen(only) if c.number in board.codecs and not (c.has_base and old is None)]
    work = sum(codec.work for codec in usable)
    done = 0
    for codec in usable:
        step = stage(progress, done / work, (done + codec.work) / work)
        done += codec.work
        made = codec.encode(old, new, board.decoder_ram, step)
        if made and not _fits(made, board, old, new):
            made = made.in_blocks()
        if made and _fits(made, board, old, new):
            yield made


def _chosen(only: Sequence[str]) -> list[Codec]:
    known = {codec.name: codec for codec in CODECS}
    for name in only:
        if name not in known:
            raise InputError(code("NOT_FOUND"), f"codec {name}; there are {', '.join(known)}")
    return [known[name] for name in only] or CODECS


def _fits(made: Encoded, board: Board, old: bytes | None, new: bytes) -> bool:
    """A plain image streams into the slot, blocks are decoded as they come; any other payload is staged."""
    if made.chunked:
        return len(made.chunks) <= _MOST_CHUNKS
    return made.codec == IMAGE or len(made.payload) <= board.staging_for(len(new), len(old or b""))
