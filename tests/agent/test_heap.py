"""What an update of a full-size image takes of the heap, above the imported agent at rest."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import pytest
from otaboards import loader
from otaspec import image_file

from .service import Service
from .station import Station, full, reported

pytestmark = pytest.mark.slow

SIZE = 1_700_000
KIND = "ESP32_GENERIC-8M"
STEP = 2  # KB


def big(fill: int) -> bytes:
    body = image_file.pack_desc() + Random(fill).randbytes(SIZE)
    return image_file.build([(0x3F400020, body)], loader.load(KIND).chip_id)


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
    old, new = big(1), big(2)

    async def runs(heap: int, package: bytes, until: Callable[[Station], bool]) -> bool:
        folder = tmp_path / f"{heap}-{len(package)}"
        folder.mkdir(exist_ok=True)
        with Service() as service:
            if package:
                service.release(package)
            board = Station(folder, service, old, kind=KIND, options={"heap": f"{heap}K"})
            await board.run(lambda s: until(s) or bool(s.exits()) or reported("failed", 407)(s))
            return until(board)

    at_rest = await smallest(lambda kb: runs(kb, b"", lambda s: len(s.service.polls) > 1), 100, 256)
    package = full(new, board=KIND, chip=loader.load(KIND).chip_id)
    whole = await smallest(lambda kb: runs(kb, package, reported("rebooting")), at_rest - 2, 256)
    print(f"at rest {at_rest} KB, a full image of {SIZE} bytes {whole} KB")
    assert whole - at_rest <= 40
