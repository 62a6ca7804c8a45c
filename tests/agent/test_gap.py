"""The application runs while an update does: the longest time for which it had to wait, in CPU time.

CPU time of the board's process and not wall time, so that a busy machine does not count. What a chip does in
C beside the loop (the TLS handshake, resolving a name) is not in it.
"""

import shutil
from pathlib import Path

import pytest
from otaboards import loader, runtime
from otasim import sim

from .service import Service
from .station import Station, delta, full, reported
from .test_heap import KIND, big, later

pytestmark = pytest.mark.slow

LONGEST = 50  # ms
BEAT = b"""
import asyncio, ffi, json
clock = ffi.open(None).func("l", "clock", "")  # microseconds of CPU time
async def main(agent):
    worst = {}
    last = clock()
    while True:
        await asyncio.sleep_ms(2)
        now = clock()
        state = agent.status["state"]
        worst[state] = max(worst.get(state, 0), now - last)
        if state in ("rebooting", "confirmed", "idle") and worst[state] == now - last:
            print("@driblet", json.dumps({"worst": worst}))
            now = clock()
        last = now
"""


async def test_the_longest_gap_of_a_full_size_update(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(sim.bundle_for(runtime.find()), bundle)
    bundle.chmod(0o755)
    (bundle / "app.py").write_bytes(BEAT)
    old = big(1)
    new = later(old)
    chip = loader.load(KIND).chip_id
    for kind, package in {
        "full": full(new, board=KIND, chip=chip),
        "delta": delta(old, new, kind=KIND),
    }.items():
        folder = tmp_path / kind
        folder.mkdir()
        with Service() as service:
            service.release(package)
            board = Station(folder, service, old, kind=KIND, options={"bundle": bundle})
            await board.run(reported("confirmed"), seconds=120)
        worst = [each for each in board.said("worst") if each]
        longest = {state: max(each.get(state, 0) for each in worst) / 1000 for state in set().union(*worst)}
        print(f"a {kind} update of {len(new)} bytes: {longest} ms")
        assert {"idle", "downloading", "verifying"} <= set(longest)
        assert max(longest.values()) <= LONGEST
