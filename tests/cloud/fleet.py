"""Boards that speak PROTOCOL.md over real HTTP take a release in phases, while the service is killed.

`make fleet` runs a thousand of them and writes docs/benchmarks/fleet.json; test_server runs a hundred.
"""

import asyncio
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.cloud.kit import Board, image
from tests.cloud.wire import Wire

OUT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks" / "fleet.json"
PK = "/products/thermostat"
STATES = ("downloading", "rebooting", "confirmed")  # what each board reports on its way
T = TypeVar("T")


@dataclass
class Fleet:
    """Boards that go on by themselves, whatever happens to the service."""

    boards: list[Board]
    new: str  # SHA-256 of the image that they are to run
    seq: int
    interval: float
    accepted: dict[str, list[int]] = field(default_factory=dict)
    confirmed: int = 0  # boards whose last report was taken
    many: asyncio.Event = field(default_factory=asyncio.Event)  # of them: time to kill the service
    kill_at: int = 0
    interrupted: int = 0
    service_cpu: float = 0  # seconds of the service that was killed

    async def insist(self, act: Callable[[], Awaitable[T]]) -> T:
        """Does `act` until the service answers it, as a board on a bad network does."""
        while True:
            try:
                return await act()
            except (OSError, EOFError):
                self.interrupted += 1
                await asyncio.sleep(0.2 + random.random())

    async def live(self, board: Board) -> None:
        """Polls until it runs the new image and the service has taken its last report."""
        await asyncio.sleep(random.random() * self.interval)
        while board.says["image_sha256"] != self.new:
            update = (await self.insist(board.poll))["update"]
            if update:
                await self.update(board, update)
            else:
                await asyncio.sleep(self.interval * random.uniform(0.8, 1.2))

    async def update(self, board: Board, update: dict[str, Any]) -> None:
        data = await self.insist(lambda: board.http.get(update["url"]))
        assert f'"{hashlib.sha256(data.content).hexdigest()}"' == update["etag"]
        for state in STATES:
            if state == "confirmed":
                await self.insist(lambda: board.poll(image_sha256=self.new, state="pending-verify"))
            told = board.new_report(update, state, step=100 if state == "confirmed" else 50)
            ids = await self.insist(lambda told=told: board.report(told))
            self.accepted.setdefault(board.dn, []).extend(ids)
        board.says |= {"image_sha256": self.new, "version": "1.1.0", "seq": self.seq}
        self.confirmed += 1
        if self.confirmed == self.kill_at:
            self.many.set()


async def join(service: Any, count: int, old: str) -> list[Board]:
    """Boards from a factory's list, each with a secret of its own, logged in."""
    url = str(service.http.base_url)
    wires = [Wire(url, f"10.0.{n >> 8}.{n & 255}") for n in range(count)]  # each from an address of its own
    boards = [Board(wire, "thermostat", f"board-{n:04}", os.urandom(32)) for n, wire in enumerate(wires)]
    rows = "".join(f"{board.dn},{board.ds.hex()}\n" for board in boards)
    await service.call("POST", f"{PK}/devices/import", content=f"dn,ds\n{rows}")
    turn = asyncio.Semaphore(32)

    async def come(board: Board) -> None:
        board.says |= {"image_sha256": old, "seq": 1}
        async with turn:
            assert (await board.login()).status_code == 200
            await board.poll()

    await asyncio.gather(*(come(board) for board in boards))
    return boards


async def release(service: Any, version: str, data: bytes) -> dict[str, Any]:
    """The release, once its packages are made by the real differ."""
    await service.call("POST", f"{PK}/releases?version={version}", content=data)
    while True:
        shown: dict[str, Any] = await service.call("GET", f"{PK}/releases/{version}")
        if all(job["state"] in ("done", "failed") for job in shown["jobs"]):
            assert shown["state"] == "ready", shown
            return shown
        await asyncio.sleep(1)


async def lost(service: Any, fleet: Fleet) -> int:
    """Reports that were accepted, or must have been made, and that no timeline has."""
    missing = 0
    for board in fleet.boards:
        shown = await service.call("GET", f"{PK}/devices/{board.dn}")
        kept = [report["id"] for report in shown["reports"]]
        assert len(kept) == len(set(kept))
        missing += len(set(fleet.accepted[board.dn]) - set(kept))
        missing += len(set(STATES) - {report["state"] for report in shown["reports"]})
    return missing


def cpu_seconds(service: Any) -> float:
    """What the process has run so far, user and system."""
    fields = Path(f"/proc/{service.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def say(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


async def story(folder: Path, count: int, interval: float, kill: bool) -> dict[str, Any]:
    """Registers `count` boards, rolls a release out in phases, kills the service in the middle."""
    from tests.cloud.test_server import serving

    async with serving(folder) as first:
        token = first.token
        await first.call("POST", "/products", json={"pk": "thermostat"})
        old = await release(first, "1.0.0", image(b"old", 65_536))
        say(f"{count} boards come in")
        joined = time.monotonic()
        boards = await join(first, count, old["image_sha256"])
        new = await release(first, "1.1.0", image(b"new", 65_536))
        fleet = Fleet(boards, new["image_sha256"], new["seq"], interval, kill_at=count * 3 // 10)
        started, cpu_before = time.monotonic(), cpu_seconds(first)
        say(f"the rollout starts, {time.monotonic() - joined:.0f} s later")
        body = {"version": "1.1.0", "phases": [{"percent": 1}, {"percent": 10}]}
        await first.call("POST", f"{PK}/rollouts", json=body)
        living = [asyncio.create_task(fleet.live(board)) for board in boards]
        if not kill:
            fleet.service_cpu = -cpu_before
            return await end(first, fleet, living, started, None)
        watching = asyncio.create_task(wait_for(first, living, count))
        await asyncio.wait({asyncio.create_task(fleet.many.wait()), watching}, return_when="FIRST_COMPLETED")
        if watching.done():
            watching.result()  # a board has failed
        watching.cancel()
        killed_at = fleet.confirmed
        fleet.service_cpu = cpu_seconds(first) - cpu_before
        await first.end(signal.SIGKILL)
        say(f"SIGKILL after {killed_at} confirmed, {time.monotonic() - started:.0f} s")
    async with serving(folder, token, "--port", str(first.http.base_url.port)) as second:
        say("the service is back")
        return await end(second, fleet, living, started, killed_at)


async def wait_for(service: Any, living: list[asyncio.Task[None]], confirmed: int) -> int:
    said = -1
    while True:
        now: int = (await service.call("GET", f"{PK}/rollouts/1"))["counts"]["confirmed"]
        if now >= confirmed:
            return now
        for task in living:
            if task.done():
                task.result()
        if now != said:
            say(f"{now} confirmed")
        said = now
        await asyncio.sleep(0.5)


async def end(
    service: Any, fleet: Fleet, living: list[asyncio.Task[None]], started: float, killed_at: int | None
) -> dict[str, Any]:
    watching = asyncio.create_task(wait_for(service, living, len(living)))
    await asyncio.gather(*living)
    watching.cancel()
    for board in fleet.boards:
        board.http.close()
    took = time.monotonic() - started
    rollout = await service.call("GET", f"{PK}/rollouts/1")
    return {
        "boards": len(fleet.boards),
        "seconds": round(took, 1),
        "service_cpu_seconds": round(fleet.service_cpu + cpu_seconds(service), 1),
        "boards_cpu_seconds": round(time.process_time(), 1),
        "state": rollout["state"],
        "confirmed": rollout["counts"]["confirmed"],
        "lost_reports": await lost(service, fleet),
        "accepted_reports": sum(len(ids) for ids in fleet.accepted.values()),
        "killed_at": killed_at,
        "interrupted_requests": fleet.interrupted,
    }


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(story(Path(folder), count, 5.0, kill=True))
    result |= {"cpus": os.cpu_count()}
    print(json.dumps(result, indent=2))
    good = result["state"] == "done" and result["confirmed"] == count and result["lost_reports"] == 0
    if count == 1000:
        OUT.parent.mkdir(parents=True, exist_ok=True)
        OUT.write_text(json.dumps(result, indent=2) + "\n")
    sys.exit(0 if good and result["seconds"] < 300 else 1)


if __name__ == "__main__":
    main()
