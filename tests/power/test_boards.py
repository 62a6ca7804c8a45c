"""Layer 2 of the proof: whole boards, each its own processes, flash file, HTTP and log-in, killed at a point.

Every cut is a SIGKILL of the board's process in the middle of a flash operation, before or after it; the
server is a real one on a socket. test_surroundings has the faults of network, clock and server.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from otaboards import loader, runtime
from otasim import files
from otasim.board import Board, Event, Options
from otasim.faults import KINDS, Cut, Faults
from otaspec.partition import APP, find

from tests.agent.service import Service
from tests.agent.station import PUBLIC, delta, full, image

pytestmark = pytest.mark.slow

HOST = loader.load("LINUX_HOST")
AT_ONCE = 6
SECONDS = 120.0  # for one board to be done


@dataclass
class Lamp:
    """One board that updates, and what was seen of it."""

    name: str
    cuts: Sequence[Cut] = ()
    events: list[Event] = field(default_factory=list)
    operations: int = 0
    slots: list[bytes] = field(default_factory=list)

    def states(self) -> list[str]:
        return [e.data["state"] for e in self.events if e.kind == "report"]

    def exits(self) -> list[str]:
        return [e.data["why"] for e in self.events if e.kind == "exit"]

    def story(self) -> str:
        told = [e.data["line"] if e.kind == "console" else f"-- {e.kind} {e.data}" for e in self.events[-60:]]
        return "\n".join([f"{self.name} {self.cuts}", *told])


@dataclass
class Bench:
    """A server with one release, and boards that run `old`."""

    folder: Path
    old: bytes
    new: bytes
    package: bytes
    url: str

    async def update(self, lamp: Lamp, options: Options) -> Lamp:
        """Runs the board until it has confirmed; AssertionError with its story where it does not."""
        settings = {"pk": "thermostat", "dn": lamp.name, "ps": b"p" * 32, "server": self.url, "keys": PUBLIC}
        times = {
            "dev": 1,
            "poll": 1,
            "timeout": 3,
            "wdt": 30_000,
            "soak": 0,
            "checkin": 60,
            "board": HOST.name,
        }
        made = files.create(
            self.folder / lamp.name / "board.bin",
            flash_size=HOST.flash_size,
            rows=HOST.rows,
            images={0: self.old},
            chip_id=HOST.chip_id,
            settings=settings | times,
        )
        done = asyncio.Event()

        def see(event: Event) -> None:
            lamp.events.append(event)
            if event.kind == "report" and event.data["state"] == "confirmed" and not done.is_set():
                lamp.operations = board.operations
                done.set()

        board = Board(made, runtime.find(), options, Faults(lamp.cuts), see)
        life = asyncio.create_task(board.run())
        try:
            await asyncio.wait_for(done.wait(), SECONDS)
        except TimeoutError:
            raise AssertionError(lamp.story()) from None
        finally:
            board.switch_off()
            await life
        chip = made.flash.read_bytes()
        rows = [find(list(HOST.rows), APP, 0x10 + n) for n in (0, 1)]
        sizes = (len(self.old), len(self.new))
        lamp.slots = [chip[row.offset : row.offset + n] for row, n in zip(rows, sizes, strict=True) if row]
        made.flash.unlink()
        return lamp

    async def update_all(self, lamps: Sequence[Lamp]) -> None:
        """All of them, AT_ONCE at a time; every one must end on the new image with the old one untouched."""
        code = self.folder / "code"
        code.mkdir(exist_ok=True)
        options = Options(unpack_into=code, watchdog_ms=40_000)
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(lamp: Lamp) -> None:
            async with gate:
                await self.update(lamp, options)

        await asyncio.gather(*(one(lamp) for lamp in lamps))
        for lamp in lamps:
            assert lamp.slots == [self.old, self.new], lamp.story()


def points(operations: int, count: int, seed: int) -> list[Cut]:
    """`count` cuts: half spread over the operations, half on the last 30, where slots are switched."""
    dice = random.Random(seed)
    early = [1 + (operations - 30) * i // (count // 2) for i in range(count // 2)]
    late = [operations - 29 + i % 30 for i in range(count - count // 2)]
    return [
        Cut(at, KINDS[(i + dice.randrange(7)) % 7], dice.getrandbits(16)) for i, at in enumerate(early + late)
    ]


@pytest.mark.parametrize(("codec", "count"), [("full", 165), ("delta", 165)])
async def test_boards_killed_at_points_of_their_update(tmp_path: Path, codec: str, count: int) -> None:
    old, new = image("1.0.0"), image("1.1.0")
    package = full(new) if codec == "full" else delta(old, new)
    with Service() as service:
        service.release(package)
        bench = Bench(tmp_path, old, new, package, service.url)
        uncut = Lamp("uncut")
        await bench.update_all([uncut])
        lamps = [Lamp(f"lamp-{i}", [cut]) for i, cut in enumerate(points(uncut.operations, count, 1))]
        await bench.update_all(lamps)
    kills = [lamp.exits().count("power-cut") for lamp in lamps]
    assert max(kills) == 1
    assert sum(kills) >= 150  # the last operation is not the same in each run: reports are timed
