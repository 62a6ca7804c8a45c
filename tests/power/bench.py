"""Updates of 128 KB for the fault lab: both directions, full and delta."""

import random
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from otaboards import loader, runtime
from otaboards.loader import Board
from otadiff.build import build_package
from otadiff.sign import Signer
from otasim import bench
from otasim.lab import Update
from otasim.points import Regions
from otaspec import image, image_file

SIZE = 128 * 1024
BOARD = loader.load("LINUX_HOST")
REGIONS = Regions(BOARD.rows)
SIGNER = Signer(ec.derive_private_key(0xD21B, ec.SECP256R1()))


@cache
def images() -> tuple[bytes, bytes]:
    """Two releases of 128 KB; a tenth of the second's 4 KB stretches are new."""
    dice = random.Random(7)
    old = bytearray(dice.randbytes(SIZE - 400))
    new = bytearray(old)
    for at in range(0, len(new), 40_000):
        new[at : at + 900] = dice.randbytes(900)
    return _image(bytes(old), "1.0.0"), _image(bytes(new), "1.1.0")


def _image(body: bytes, version: str) -> bytes:
    return image_file.build([(0x3F400020, image_file.pack_desc(version) + body)], image.LINUX_HOST)


@cache
def package(codec: str) -> bytes:
    old, new = images()
    base = None if codec == "image" else old
    made = build_package(
        base, new, board=BOARD, product="lab", version="1.1.0", seq=7, signer=SIGNER, codecs=[codec]
    )
    return made.data


def update(
    folder: Path, codec: str = "image", slot: int = 0, board: Board = BOARD, **options: object
) -> Update:
    """`codec`: "image" (full) or "bsdiff" (delta). `slot`: where the old image runs."""
    old, _ = images()
    return bench.update_of(
        folder, runtime.find(), board, old, package(codec), SIGNER.public, slot=slot, **options
    )
