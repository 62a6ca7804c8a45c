"""The application's side of its updates, from an application that runs on the board."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from otaboards import linux_host
from otasim.faults import Cut, Faults

from .service import Service
from .station import EXAMPLES, Station, delta, full, image, reported

# Every application here says what it sees on the console: `say(name=value)`.
HEAD = """
import asyncio, json, sys, time
from otaagent.updates import Fail, Later, Updates

def say(**what):
    print("@driblet", json.dumps(what))
"""
NEW = image("1.1.0")


def app(text: str) -> dict[str, bytes]:
    return {"app.py": (HEAD + text).encode()}


def station(folder: Path, service: Service, text: str, **settings: Any) -> Station:
    old = image("1.0.0", app(text))
    service.release(full(NEW))
    return Station(folder, service, old, settings)


def said(name: str, value: Any = None) -> Callable[[Station], bool]:
    """Until the application has said it."""
    return lambda s: any(v is not None and value in (None, v) for v in s.said(name))


def polls(number: int) -> Callable[[Station], bool]:
    return lambda s: len(s.service.polls) >= number


@pytest.mark.slow
async def test_nothing_happens_before_start_and_check_now_asks_at_once(tmp_path: Path) -> None:
    text = """
ota = Updates(inventory=lambda: {"room": 7, "board": "mine"}, on_progress=lambda s: say(seen=s["state"]))
async def main(agent):
    await asyncio.sleep(0.7)
    say(calls="before")
    ota.pause()
    await ota.start()
    await asyncio.sleep(0.3)
    say(paused=ota.status["reason"])
    ota.resume()
    say(offer=(await ota.check_now())["version"])
"""
    with Service(poll_interval=60) as service:
        board = station(tmp_path, service, text, poll=60)
        await board.run(said("calls"))
        assert not service.polls
        await board.run(lambda s: reported("confirmed")(s) and bool(said("paused")(s)))
    assert said("paused", "paused")(board)
    assert said("offer", "1.1.0")(board)
    assert {"room": 7, "board": "LINUX_HOST"}.items() <= service.polls[0].items()
    assert {"downloading", "verifying", "rebooting"} <= set(board.said("seen"))


@pytest.mark.slow
async def test_stop_keeps_what_was_downloaded(tmp_path: Path) -> None:
    text = """
ota = Updates()
async def main(agent):
    await ota.start()
    while agent.status["step"] < 30:
        await asyncio.sleep_ms(1)
    await ota.stop()
    before = agent.download.received, ota.status["state"]
    say(rest=agent.status["state"])
    await asyncio.sleep(2)
    say(quiet=before == (agent.download.received, ota.status["state"]))
    await ota.start()
"""
    with Service() as service:
        board = await station(tmp_path, service, text).run(reported("confirmed"))
    assert said("quiet", True)(board)
    assert service.ranges[0] == "bytes=0-8199"
    assert int(service.ranges[-1][6:-1]) > 20_000


@pytest.mark.codes(701)
@pytest.mark.slow
async def test_a_deferral_outlives_a_reboot(tmp_path: Path) -> None:
    text = """
ota = Updates()
async def main(agent):
    await ota.start()
    while not ota.now():
        await asyncio.sleep_ms(10)
    if not ota._memory.get("defer"):
        ota.defer(ota.now() + 6)
        say(until=ota.now() + 6)
"""
    with Service() as service:
        board = station(tmp_path, service, text)
        service.offer, offer = None, service.offer
        await board.run(said("until"))
        service.offer = offer
        await board.run(reported("deferred", 701))
        until = next(v for v in board.said("until") if v)
        await board.run(reported("confirmed"))
    assert time.time() >= until
    first = next(r for r in service.reports if r["state"] == "deferred")
    assert (first["rollout"], first["seq"], first["code"]) == (3, 7, 701)
    assert [r["state"] for r in service.reports].count("deferred") <= 2  # once in each run


@pytest.mark.codes(702)
@pytest.mark.slow
async def test_force_goes_over_window_consent_and_deferral(tmp_path: Path) -> None:
    text = """
def never(about):
    say(asked=about["version"])
    return False
ota = Updates(window="%s", zone="UTC0", consent=never)
async def main(agent):
    await ota.start()
    while agent.status["state"] != "deferred":
        await asyncio.sleep_ms(10)
    say(waits=ota.status["code"], why=ota.status["reason"])
    await asyncio.sleep(1)
    ota.force()
"""
    now = time.gmtime()
    window = f"{(now.tm_hour + 5) % 24:02}:00-{(now.tm_hour + 6) % 24:02}:00"
    with Service() as service:
        board = await station(tmp_path, service, text % window).run(reported("confirmed"))
    assert said("waits", 702)(board)
    assert not said("asked")(board)
    assert any(r["code"] == 702 for r in service.reports)


@pytest.mark.slow
async def test_the_user_is_asked_once_and_may_say_no(tmp_path: Path) -> None:
    text = """
asked = []
async def ask(about):
    asked.append(about["version"])
    say(size=about["size"], full=about["full"], asked=len(asked))
    return Later(1) if len(asked) == 1 else True
ota = Updates(consent=ask)
@ota.before("verify")
def later(about):
    if "later" not in asked:
        asked.append("later")
        return Later(1)
async def main(agent):
    await ota.start()
"""
    with Service() as service:
        board = await station(tmp_path, service, text).run(reported("confirmed"))
    assert [n for n in board.said("asked") if n] == [1, 2]
    assert said("full", True)(board)


@pytest.mark.codes(703)
@pytest.mark.slow
async def test_a_metered_network_never_takes_a_full_image_by_itself(tmp_path: Path) -> None:
    text = """
ota = Updates(metered=lambda: True, budget=50_000)
async def main(agent):
    await ota.start()
    while True:
        await asyncio.sleep_ms(10)
        if "a full" in ota.status["reason"]:
            say(full=ota.status["reason"])
            await asyncio.sleep(1)
        if "used" in ota.status["reason"]:
            ota.force(metered=True)
            await asyncio.sleep(1)
"""
    with Service() as service:
        board = station(tmp_path, service, text)
        await board.run(said("full"))
        erases = board.erases()
        assert service.sent < 10_000
        await board.run(polls(len(service.polls) + 3))
        assert service.sent < 20_000  # once for each boot, not for each poll
        assert board.erases() == erases
        # A patch within the budget goes through; another beyond it does not, until it is forced.
        new = image("1.1.0", app(text))
        service.release(delta(board.old, new))
        await board.run(reported("confirmed"))
        newer = image("1.2.0", app(text), 80_000)
        service.release(delta(new, newer, seq=8, version="1.2.0"), "1.2.0", 8, 4)
        await board.run(
            lambda s: any(r["version"] == "1.2.0" and r["state"] == "confirmed" for r in s.service.reports)
        )
    assert any("of 50000 are used" in r["detail"] for r in service.reports if r["code"] == 703)


@pytest.mark.slow
async def test_no_reset_while_the_application_is_busy(tmp_path: Path) -> None:
    text = """
ota = Updates()
async def main(agent):
    async with ota.busy:
        await ota.start()
        while agent.status["state"] != "rebooting":
            await asyncio.sleep_ms(10)
        async with ota.busy:
            await asyncio.sleep(2.5)
        say(busy=1)
        await asyncio.sleep(0.5)
    say(free=1)
"""
    with Service() as service:
        board = await station(tmp_path, service, text).run(reported("confirmed"))
    kinds = ["free" if e.data.get("free") else "boot" if e.kind == "boot" else "" for e in board.events]
    assert [k for k in kinds if k] == ["boot", "free", "boot"]


@pytest.mark.slow
@pytest.mark.parametrize(("test", "state"), [("good", "confirmed"), ("bad", "reverted")])
async def test_a_self_test_of_its_own_may_take_its_time(tmp_path: Path, test: str, state: str) -> None:
    text = f"""
async def good():
    await asyncio.sleep(3)  # longer than the watchdog's time
    return True
async def bad():
    async with ota.busy:
        pass
    return False
ota = Updates(self_test={test})
async def main(agent):
    await ota.start()
"""
    with Service() as service:
        service.release(full(image("1.1.0", app(text))))
        board = Station(tmp_path, service, image("1.0.0"))
        await board.run(reported(state, 501 if test == "bad" else 0))


@pytest.mark.slow
@pytest.mark.parametrize("cut", [None, "before", "after"])
async def test_a_factory_reset_takes_the_data_and_leaves_the_board(tmp_path: Path, cut: str | None) -> None:
    text = """
import os
ota = Updates()
async def main(agent):
    await ota.start()
    if "keep.txt" not in os.listdir():
        for name in ("keep.txt", "data.txt"):
            open(name, "w").close()
        os.mkdir("photos")
        open("photos/1", "w").close()
        say(made=1)
        while not agent.now():
            await asyncio.sleep_ms(10)
        ota.defer(ota.now() + 9000)
        async with ota.busy:
            asyncio.create_task(ota.factory_reset(keep=("keep.txt",)))
            await asyncio.sleep(0.5)
            say(held=os.listdir("photos"))
    else:
        say(files=sorted(os.listdir()), deferred=ota._memory.get("defer"))
"""
    with Service() as service:
        board = station(tmp_path, service, text)
        service.offer = None
        faults = Faults([Cut(at, cut, at) for at in range(6, 20)] if cut else [])
        await board.run(lambda s: [(s.said("files") or [None])[-1], None] == [["keep.txt"], None], faults)
        polled = len(service.polls)
        await board.run(polls(polled + 1))
    assert said("held", ["1"])(board) or cut
    assert service.polls[-1]["version"] == "1.0.0"


@pytest.mark.slow
async def test_the_example_of_the_readme_passes_its_trial_and_keeps_its_window(tmp_path: Path) -> None:
    field = linux_host.folder_files(EXAMPLES / "field")
    hour = (time.gmtime().tm_hour + 12) % 24
    shut = field["app.py"].replace(b"02:00-04:30", f"{hour:02}:00-{hour:02}:30".encode())
    with Service() as service:
        service.release(full(image("1.1.0", {"app.py": shut})))
        board = Station(tmp_path, service, image("1.0.0"), {"soak": 1})
        await board.run(reported("confirmed"))
        await board.run(lambda s: "heating" in s.service.polls[-1])
        service.release(full(image("1.2.0"), 8, "1.2.0"), "1.2.0", 8, 4)
        await board.run(reported("deferred", 702))
