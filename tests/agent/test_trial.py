"""Releases that are bad in every way that a release can be: the board goes back by itself."""

from pathlib import Path

import pytest
from otaboards import linux_host

from .service import Service
from .station import EXAMPLES, Station, full, image, reported

pytestmark = pytest.mark.slow

CRASH = {"app.py": b"import asyncio\nasync def main(agent):\n    await asyncio.sleep(0.3)\n    1 / 0\n"}


def bad(name: str) -> dict[str, bytes]:
    return linux_host.folder_files(EXAMPLES / "bad" / name)


@pytest.mark.parametrize(
    ("app", "code", "trials"),
    [
        (bad("self-test"), 501, 1),
        (bad("import"), 503, 1),
        (CRASH, 503, 1),
        (bad("hang"), 502, 3),
        (bad("hang-late"), 502, 3),
    ],
    ids=["self-test", "import", "crash", "hang", "hang-late"],
)
async def test_a_bad_release_is_sent_back_for_good(
    tmp_path: Path, app: dict[str, bytes], code: int, trials: int
) -> None:
    old, new = image("1.0.0"), image("1.1.0", app)
    settings = {"wdt": 700, "soak": 2}
    with Service() as service:
        service.release(full(new))
        board = Station(tmp_path, service, old, settings, options={"watchdog_ms": 700})
        await board.run(lambda s: reported("reverted", code)(s) and len(service.logs) == 1)
        assert [e.data["slot"] for e in board.events if e.kind == "slot"].count("ota_1") == trials
        assert board.runs() == "ota_0"
        # It is blocklisted: offered again, nothing of it is written.
        erases = board.erases()
        await board.run(lambda s: reported("failed", 211)(s) and len(service.logs) == 2)
        assert board.erases() == erases

    report = next(r for r in service.reports if r["state"] == "reverted")
    assert (report["rollout"], report["seq"], report["version"]) == (3, 7, "1.1.0")
    assert len(report["data"]["causes"]) == trials - 1


async def test_a_release_that_reaches_no_server_waits_for_another_chance(tmp_path: Path) -> None:
    old, new = image("1.0.0"), image("1.1.0", bad("offline"))
    with Service() as service:
        service.release(full(new))
        board = Station(tmp_path, service, old, {"checkin": 1, "timeout": 1})
        await board.run(reported("reverted", 504))
        sent = service.sent
        # Offered again it is armed again, without another download of the image.
        boots = len(board.events)
        await board.run(
            lambda s: [e.data["slot"] for e in s.events[boots:] if e.kind == "slot"][1:] == ["ota_1"]
        )
        assert service.sent - sent < 2000


async def test_the_application_runs_while_the_update_does(tmp_path: Path) -> None:
    beat = b"""
import asyncio, time
async def main(agent):
    worst, last = 0, time.ticks_ms()
    while agent.status["state"] != "rebooting":
        await asyncio.sleep_ms(1)
        now = time.ticks_ms()
        worst, last = max(worst, time.ticks_diff(now, last)), now
        if agent.status["state"] == "verifying":
            print("@driblet", '{"gap": %d}' % worst)
"""
    old, new = image("1.0.0", {"app.py": beat}), image("1.1.0", fill=350_000)
    with Service() as service:
        service.release(full(new))
        board = await Station(tmp_path, service, old).run(reported("confirmed"))
    gaps = [gap for gap in board.said("gap") if gap is not None]
    print(max(gaps), "ms")
    assert gaps
    assert max(gaps) < 1000
