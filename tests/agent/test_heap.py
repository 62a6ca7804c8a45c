"""What an update of a full-size image takes of the heap, above the imported agent at rest."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import pytest
from otaboards import loader
from otaspec import image_file

from .service import Service
from .station import Station, delta, full, reported

pytestmark = pytest.mark.slow

SIZE = 1_700_000
KIND = "ESP32_GENERIC-8M"
STEP = 2  # KB


def big(fill: int) -> bytes:
    """An image of full size, nothing of which compresses."""
    body = image_file.pack_desc() + Random(fill).randbytes(SIZE)
    return image_file.build([(0x3F400020, body)], loader.load(KIND).chip_id)


def later(old: bytes) -> bytes:
    """The release after `old`: some code inserted, and thousands of addresses moved with it."""
    body, dice = bytearray(old[32:-48]), Random(2)
    for _ in range(4000):
        at = dice.randrange(300, len(body))
        body[at] = body[at] + 4 & 0xFF
    at = len(body) // 3
    body[at:at] = dice.randbytes(2048)
    return image_file.build([(0x3F400020, bytes(body))], loader.load(KIND).chip_id)


async def smallest(works: Callable[[int], Awaitable[bool]], low: int, high: int) -> int:
    """The smallest heap in KB with which it works, to STEP KB."""
    while high - low > STEP:
        middle = (low + high) // 2
        if await works(middle):
            high = middle
        else:
            low = middle
    return high


async def test_an_update_needs_little_more_than_the_agent_at_rest(tmp_path: Path) -> None:
    old = big(1)
    new = later(old)

    async def runs(heap: int, package: bytes, until: Callable[[Station], bool]) -> bool:
        folder = tmp_path / f"{heap}-{len(package)}"
        folder.mkdir(exist_ok=True)
        with Service() as service:
            if package:
                service.release(package)
            board = Station(folder, service, old, kind=KIND, options={"heap": f"{heap}K"})
            out = "MemoryError"
            await board.run(lambda s: until(s) or bool(s.exits()) or any(out in line for line in s.console()))
            return until(board)

    at_rest = await smallest(lambda kb: runs(kb, b"", lambda s: len(s.service.polls) > 1), 100, 256)
    print(f"at rest {at_rest} KB")
    chip = loader.load(KIND).chip_id
    for package in (full(new, board=KIND, chip=chip), delta(old, new, kind=KIND)):
        whole = await smallest(lambda kb, p=package: runs(kb, p, reported("rebooting")), at_rest - 2, 256)
        print(f"a package of {len(package)} bytes for an image of {len(new)}: {whole} KB")
        assert whole - at_rest <= 40
