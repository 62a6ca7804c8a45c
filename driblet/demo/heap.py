"""How much heap an update takes: boards with ever smaller heaps, all at once, take the same update."""

import asyncio
import time
from asyncio import to_thread
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from otaboards.runtime import Runtime
from otacloud.client import Client
from otacloud.schemas import RolloutIn
from otasim.board import Event
from otasim.fleet import Fleet

from driblet.demo import cast
from driblet.demo.cast import Play

COARSE = range(96, 321, 16)  # KB of heap: where does the agent begin to run at all?
FINE_STEP, FINE_REACH = 2, 56  # KB: from there on, how much more does the update take?
REST_SECONDS = 15  # to boot, log in and poll
UPDATE_SECONDS = 30


@dataclass
class Bench:
    """Where the boards are made. `updated`: those that came to the reset into the new image."""

    play: Play
    client: Client
    pk: str
    folder: Path
    runtime: Runtime
    settings: Mapping[str, str | bytes | int]
    updated: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)

    def on_event(self, event: Event) -> None:
        if event.kind == "report" and event.data.get("state") == "rebooting":
            self.updated.add(event.board)
        if event.kind == "exit":
            self.gone.add(event.board)

    def fleet(self, sizes: Mapping[str, int]) -> Fleet:
        """One board for each {name: KB of heap}; each gets one boot, the reset of the update ends it."""
        place = (self.play, self.folder, self.runtime)
        return Fleet(
            [
                cast.board(*place, name, self.settings, heap=f"{kb}K", max_boots=1, on_event=self.on_event)
                for name, kb in sizes.items()
            ]
        )

    async def rested(self, sizes: Mapping[str, int]) -> set[str]:
        """The boards that have polled, once each has either polled or ended."""
        deadline = time.monotonic() + REST_SECONDS
        while True:
            page = await to_thread(self.client.devices, self.pk)
            polled = {device.dn for device in page.devices if device.dn in sizes and device.version}
            if set(sizes) <= polled | self.gone or time.monotonic() > deadline:
                return polled
            await asyncio.sleep(0.3)

    async def update(self, names: Collection[str]) -> None:
        """Until every board has either the update, or a failure, or ended."""
        given = RolloutIn(
            version=self.play.new_version, canary=0, stop_after_failures=0, devices=sorted(names)
        )
        await to_thread(self.client.create_rollout, self.pk, given)
        deadline = time.monotonic() + UPDATE_SECONDS
        while time.monotonic() < deadline:
            page = await to_thread(self.client.devices, self.pk)
            failed = {device.dn for device in page.devices if device.state == "failed"}
            if set(names) <= failed | self.updated | self.gone:
                return
            await asyncio.sleep(0.3)


async def working_heap(bench: Bench) -> int:
    """Bytes between the smallest heap in which the agent polls and the smallest that completes the update.

    0 where no board completed it.
    """
    sizes = _names(COARSE)
    async with bench.fleet(sizes):
        start = _least(sizes, await bench.rested(sizes)) - COARSE.step
    sizes = _names(range(start, start + COARSE.step + FINE_REACH, FINE_STEP))
    async with bench.fleet(sizes) as fleet:
        rested = await bench.rested(sizes)
        if rested:
            await bench.update(rested)
        fleet.check()
    if not bench.updated:
        return 0
    return (_least(sizes, bench.updated) - _least(sizes, rested)) * 1024


def _names(sizes: Sequence[int]) -> dict[str, int]:
    return {f"heap-{sizes[0]}-{kb}": kb for kb in sizes}


def _least(sizes: Mapping[str, int], worked: Collection[str]) -> int:
    """The smallest heap from which on all worked, in KB."""
    least = max(sizes.values())
    for name, kb in sorted(sizes.items(), key=lambda item: -item[1]):
        if name not in worked:
            break
        least = kb
    return least
