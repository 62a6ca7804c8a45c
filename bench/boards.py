"""`make fleet-boards`: 300 boards on this machine, each a real MicroPython process, take a rollout.

The service is a real process too; a board is a flash file, bootloader and firmware, as everywhere in the
simulator. Memory is PSS, what /proc/PID/smaps_rollup says: pages that several share are divided among them.
docs/benchmarks/boards.json.
"""

import argparse
import asyncio
import json
import os
import shutil
import sys
import time
from asyncio import to_thread
from pathlib import Path
from typing import Any

from otaboards import linux_host, loader, runtime
from otaboards.folders import build_folder
from otacloud.client import Client
from otacloud.schemas import PhaseIn, ProductIn, ProductSecret, RolloutIn
from otasim import files
from otasim.board import Board, Options
from otasim.fleet import Fleet
from otasim.parts import layout

from driblet.demo import cast, service

OUT = Path(__file__).parents[1] / "docs" / "benchmarks" / "boards.json"
COUNT, SECONDS, MEMORY = 300, 600, 1 << 30  # the promise
POLL = 20  # seconds
# All boards have one address here, which a service in the field would take for one that asks too much.
SETTINGS = {
    "DRIBLET_POLL_INTERVAL": str(POLL),
    "DRIBLET_ADDRESS_READS": "0",
    "DRIBLET_ADDRESS_WRITES": "0",
    "DRIBLET_TENANT_CALLS": "0",
}
PACE = {"dev": 1, "poll": POLL, "wdt": 60_000, "soak": 1, "checkin": 300, "timeout": 60}
KIND = loader.load("LINUX_HOST")
_FLASH = max(row.offset + row.size for row in KIND.rows)  # no file system partition: less to write


def image(folder: Path, version: str) -> Path:
    """A release of the example application."""
    more = {"release.txt": f"blink {version}\n".encode()}
    blink = cast.FIRMWARE / "examples" / "blink"
    return linux_host.build_image(blink, version=version, out=folder / f"{version}.bin", extra_files=more)


def board(folder: Path, number: int, old: bytes, settings: dict[str, Any]) -> Board:
    name = f"board-{number:03}"
    made = files.create(
        folder / f"{name}.bin",
        flash_size=_FLASH,
        rows=KIND.rows,
        images={0: old},
        chip_id=KIND.chip_id,
        settings={**PACE, **settings, "dn": name, "version": "1.0.0"},
    )
    options = Options(unpack_into=folder / "unpacked", heap=str(KIND.heap), watchdog_ms=60_000)
    return Board(made, runtime.find(), options)


def memory(boards: Path) -> tuple[int, int]:
    """(bytes of PSS, processes) of the boards whose file systems are in a folder, their bootloaders too."""
    found = processes = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().parent != boards:
                continue
            lines = (process / "smaps_rollup").read_text().splitlines()
        except (OSError, ValueError):
            continue  # it has ended meanwhile
        found += sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))
        processes += 1
    return found, processes


def own_memory() -> int:
    """PSS of the simulator, this process."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))


def cpu(of: Path) -> float:
    """Seconds that a process and those that it has waited for ran, by its /proc/PID/stat."""
    fields = of.read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def cpu_now() -> dict[str, float]:
    """CPU seconds of boards (once they are switched off), simulator, and service with its jobs."""
    used = os.times()
    mine = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    services = [Path("/proc") / pid / "stat" for pid in mine]
    return {
        "boards": used.children_user + used.children_system,
        "simulator": used.user + used.system,
        "service": sum(cpu(stat) for stat in services),
    }


async def release(client: Client, product: ProductSecret, path: Path) -> None:
    version = path.stem
    await to_thread(client.upload_release, product.pk, version, path)
    await to_thread(client.wait_release, product.pk, version)


async def run(folder: Path, count: int) -> dict[str, Any]:
    """Boards come in, the release is rolled out in three phases; what it took."""
    async with service.running(folder / "cloud", **SETTINGS) as (client, _):
        product = await to_thread(client.create_product, ProductIn(pk="blink", board=KIND.name))
        old = image(folder, "1.0.0")
        await release(client, product, old)
        settings = {
            **{"pk": product.pk, "ps": bytes.fromhex(product.ps), "server": client.server},
            **{"keys": bytes.fromhex(product.public_key), "board": KIND.name},
        }
        (folder / "boards" / "unpacked").mkdir(parents=True)
        boards = [board(folder / "boards", n, old.read_bytes(), settings) for n in range(count)]
        peak = [0, 0]
        began, before = time.monotonic(), cpu_now()
        async with Fleet(boards[:1]) as first, Fleet(boards[1:], stagger=0.1) as fleet:
            # (Packages are made from what is in use: one board is enough for that.)
            await until(first, folder, peak, lambda: client.devices(product.pk, limit=1).total > 0)
            await release(client, product, image(folder, "1.1.0"))
            await until(fleet, folder, peak, lambda: client.devices(product.pk, limit=1).total == count)
            joined = time.monotonic()
            say(f"{count} boards are registered after {joined - began:.0f} s")
            ahead = [PhaseIn(percent=1), PhaseIn(percent=10)]
            plan = RolloutIn(version="1.1.0", phases=ahead, retry_after=POLL)
            started = time.monotonic()
            rollout = await to_thread(client.create_rollout, product.pk, plan)

            def done() -> bool:
                shown = client.rollout(product.pk, rollout.id)
                say(f"{time.monotonic() - started:4.0f} s: {shown.counts.confirmed} confirmed, {shown.state}")
                return shown.state in ("done", "stopped")

            await until(fleet, folder, peak, done)
            took = time.monotonic() - started
            shown = await to_thread(client.rollout, product.pk, rollout.id)
            pss, processes = memory(folder / "boards")
            result = {
                **{"boards": count, "state": shown.state, "confirmed": shown.counts.confirmed},
                **{"registered_seconds": round(joined - began, 1), "rollout_seconds": round(took, 1)},
                **{"pss_per_board": pss // max(processes, 1), "pss_boards_peak": peak[0]},
                **{"processes_at_peak": peak[1], "pss_simulator": own_memory(), "heap": KIND.heap},
                "boots": sum(each.rtc[layout.W_BOOTS] for each in boards),
            }
        after = cpu_now()
        each = {name: round((after[name] - before[name]) / count, 2) for name in after}
        return result | {"cpu_seconds_per_board": each}


async def until(fleet: Fleet, folder: Path, peak: list[int], done: Any) -> None:
    """Looks every few seconds, and at the memory too; TimeoutError long after the promise is broken."""
    end = time.monotonic() + 2 * SECONDS
    while not await to_thread(done):
        fleet.check()
        if time.monotonic() > end:
            raise TimeoutError("the boards do not get there: see the lines above")
        found = await to_thread(memory, folder / "boards")
        if found[0] > peak[0]:
            peak[:] = found
        await asyncio.sleep(5)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--count", type=int, default=COUNT)
    count = words.parse_args().count
    folder = build_folder("fleet-boards")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    result = asyncio.run(run(folder, count)) | {"cpus": os.cpu_count(), "load": round(os.getloadavg()[1], 1)}
    shutil.rmtree(folder)
    print(json.dumps(result, indent=2))
    if count == COUNT:
        OUT.write_text(json.dumps(result, indent=1) + "\n")
    good = result["state"] == "done" and result["confirmed"] == count
    sys.exit(not (good and result["rollout_seconds"] <= SECONDS and result["pss_boards_peak"] <= MEMORY))


if __name__ == "__main__":
    main()
