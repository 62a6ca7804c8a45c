"""Small ESP app images and pairs of them, for tests of the differ."""

import random
from typing import Any

from otaspec import image_file


def image(seed: int = 1, size: int = 20_000, chip: int = 0, **desc: Any) -> bytes:
    """A sound app image with a random body."""
    body = random.Random(seed).randbytes(size)
    return bytes(image_file.build([(0x3F400020, image_file.pack_desc(**desc) + body)], chip))


def pair(size: int = 20_000, chip: int = 0) -> tuple[bytes, bytes]:
    """Two images that differ as releases do: a few bytes changed, some put in, some moved."""
    body = bytearray(random.Random(7).randbytes(size))
    desc = image_file.pack_desc()
    old = image_file.build([(0x3F400020, desc + bytes(body))], chip)
    for at in range(100, size, size // 40):
        body[at] = body[at] + 4 & 0xFF
    body[size // 2 : size // 2] = b"sixteen new ones" * 3
    body = body[size // 8 :] + body[: size // 8]
    new = image_file.build([(0x3F400020, desc + bytes(body))], chip)
    return bytes(old), bytes(new)
