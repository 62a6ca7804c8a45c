"""Releases that are bad in every way that a release can be: the board goes back by itself."""

from pathlib import Path

import pytest
from otaboards import linux_host

from .service import Service
from .station import EXAMPLES, Station, full, image, reported

pytestmark = pytest.mark.slow

CRASH = {"app.py": b"import asyncio\nasync def main(agent):\n    await asyncio.sleep(0.3)\n    1 / 0\n"}


def case(code: int, app: dict[str, bytes], trials: int, name: str) -> object:
    return pytest.param(app, code, trials, id=name, marks=pytest.mark.codes(code, 211))


def bad(name: str) -> dict[str, bytes]:
    return linux_host.folder_files(EXAMPLES / "bad" / name)


@pytest.mark.parametrize(
    ("app", "code", "trials"),
    [
        case(501, bad("self-test"), 1, "self-test"),
        case(503, bad("import"), 1, "import"),
        case(503, CRASH, 1, "crash"),
        case(502, bad("hang"), 3, "hang"),
        case(502, bad("hang-late"), 3, "hang-late"),
    ],
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


@pytest.mark.codes(504)
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
