"""Bundles: the application's files beside the image, by hash: confirmed and reverted together with it."""

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .service import Service
from .station import Station, alone, bundle, full, image, reported

OLD, NEW = image("1.0.0"), image("1.1.0")
APP = """
import asyncio
from more.words import WORD
print("app says", WORD)
async def main(agent):
    pass
"""


def app(word: str, text: str = APP, ballast: int = 9000) -> bytes:
    """A bundle whose application says `word` when it is imported."""
    filler = hashlib.sha256(word.encode()).digest() * (ballast // 32)
    return bundle(text, **{"more__words.py": f"WORD = '{word}'".encode(), "data__f.bin": filler})


ONE, TWO = app("one"), app("two")


def name(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def words(board: Station) -> list[str]:
    """What the applications said, one after the other."""
    return [line[9:] for line in board.console() if line.startswith("app says ")]


def lies_there(board: Station) -> list[str]:
    folder = board.files.vfs / "bundle"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def polled(**wanted: Any) -> Callable[[Station], bool]:
    """Until a board at rest says that of itself."""
    return lambda s: bool(s.service.polls) and wanted.items() <= (s.service.polls[-1]).items()


async def confirm(board: Station, package: bytes, version: str, seq: int) -> Station:
    board.service.release(package, version, seq, seq)
    wanted = {"state": "confirmed", "seq": seq}
    await board.run(lambda s: any(wanted.items() <= r.items() for r in s.service.reports))
    return board


async def test_image_and_bundle_come_together_and_the_bundle_alone(tmp_path: Path) -> None:
    with Service() as service:
        board = Station(tmp_path, service, OLD)
        await confirm(board, full(NEW, 7, bundle=ONE), "1.1.0", 7)
        assert board.runs() == "ota_1"
        assert words(board) == ["one"]
        wear = board.wear("ota_0"), board.wear("ota_1"), board.wear("otadata")
        await confirm(board, alone(NEW, TWO, 8), "1.2.0", 8)
        await board.run(polled(bundle=hashlib.sha256(TWO).hexdigest(), seq=8, version="1.2.0", state="idle"))
        assert words(board)[-1] == "two"
        assert (board.wear("ota_0"), board.wear("ota_1"), board.wear("otadata")) == wear
        await board.run(lambda s: lies_there(s) == [name(TWO)])
    assert board.runs() == "ota_1"
    assert service.polls[-1]["stale"] == []


async def with_one(folder: Path, service: Service, **settings: Any) -> Station:
    """A board that runs OLD with bundle ONE."""
    board = await confirm(Station(folder, service, OLD, settings), alone(OLD, ONE, 6, "1.0.1"), "1.0.1", 6)
    service.reports.clear()
    board.events.clear()
    return board


HANG = APP.replace("pass", "while True:\n        pass")


def case(code: int, text: str, name: str) -> object:
    return pytest.param(code, app("bad", text), id=name, marks=pytest.mark.codes(code))


@pytest.mark.slow
@pytest.mark.codes(211)
@pytest.mark.parametrize("what", ["both", "alone"])
@pytest.mark.parametrize(
    ("code", "bad"),
    [
        case(501, APP + "def self_test():\n    return False\n", "self-test"),
        case(503, APP + "raise ValueError\n", "import"),
        case(502, HANG, "hang"),
    ],
)
async def test_a_bad_bundle_goes_back_to_the_one_before(
    tmp_path: Path, what: str, code: int, bad: bytes
) -> None:
    """With its image, if it came with one. It is not taken a second time, and its files do not stay."""
    with Service() as service:
        board = await with_one(tmp_path, service)
        package = full(NEW, 9, bundle=bad) if what == "both" else alone(OLD, bad, 9)
        service.release(package, "1.1.0", 9, 9)
        await board.run(reported("reverted", code))
        await board.run(reported("failed", 211))
        await board.run(polled(bundle=hashlib.sha256(ONE).hexdigest(), seq=6, version="1.0.1"))
    assert board.runs() == "ota_0"
    assert words(board)[0] == words(board)[-1] == "one"
    assert "bad" in words(board)
    assert lies_there(board) == [name(ONE)]


@pytest.mark.slow
@pytest.mark.codes(504)
async def test_a_bundle_that_meets_no_server_is_tried_again(tmp_path: Path) -> None:
    with Service() as service:
        board = await with_one(tmp_path, service, checkin=2)
        down = [True]

        def offline(s: Service, body: bytes) -> Any:
            return (500, {}, b"{}") if down[0] and b"pending-verify" in body else None

        service.instead["/v1/poll"] = offline
        service.release(alone(OLD, TWO, 9), "1.2.0", 9, 9)
        await board.run(reported("reverted", 504))
        assert words(board)[-1] == "one"
        down[0] = False
        await board.run(reported("confirmed"))
        assert words(board)[-1] == "two"
    assert len([each for each in service.ranges if each]) <= 3  # and not downloaded again


@pytest.mark.slow
async def test_each_image_has_its_bundle(tmp_path: Path) -> None:
    """A revert to the other slot, an undo and an image without a bundle."""
    from .test_undo import undo

    with Service() as service:
        board = await with_one(tmp_path, service)
        await confirm(board, full(NEW, 7, bundle=TWO), "1.1.0", 7)
        assert words(board)[-1] == "two"
        await confirm(board, undo(OLD, 8), "1.0.1", 8)
        assert words(board)[-1] == "one"
        assert lies_there(board) == sorted([name(ONE), name(TWO)])
        await confirm(board, undo(NEW, 9, "1.1.0"), "1.1.0", 9)
        assert words(board)[-1] == "two"
        await confirm(board, full(OLD, 10), "1.0.0", 10)
        await board.run(polled(bundle="", seq=10))
        assert words(board)[-1] == "two"  # the image's own application says nothing
        await confirm(board, full(NEW, 11, "1.1.1"), "1.1.1", 11)
        await board.run(lambda s: lies_there(s) == [])  # the next boot collects them


@pytest.mark.slow
@pytest.mark.codes(503)
async def test_an_image_whose_bundle_is_not_there_is_sent_back(tmp_path: Path) -> None:
    with Service() as service:
        board = Station(tmp_path, service, OLD, {"soak": 30})
        service.release(full(NEW, 7, bundle=ONE))
        await board.run(lambda s: "pending-verify" in s.said())
        for path in (board.files.vfs / "bundle").iterdir():
            path.rename(path.with_name("elsewhere"))
        await board.run(reported("reverted", 503))
    assert board.runs() == "ota_0"
    assert words(board) == ["one"]  # in the trial that the power ended


@pytest.mark.slow
async def test_files_that_are_never_used_are_told(tmp_path: Path) -> None:
    with Service() as service:
        board = await with_one(tmp_path, service)
        lib = board.files.vfs / "lib"
        lib.mkdir()
        for path in ("app.py", "otaspec.mpy", "more.py", "mine.py"):
            (lib / path).write_bytes(b"")
        (board.files.vfs / "app.py").write_bytes(b"raise ValueError")
        await board.run(polled(stale=["app.py", "lib/app.py", "lib/more.py", "lib/otaspec.mpy"]))
    assert words(board)[-1] == "one"


def bytes_in(folder: Path) -> int:
    """Of all files in it, while a board renames and removes some."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += (Path(path) / name).stat().st_size
    return total


@pytest.mark.slow
async def test_the_power_may_go_while_a_bundle_comes_and_is_unpacked(tmp_path: Path) -> None:
    """Whole boards, killed after each file and each 4 KB of many: what came is not fetched again."""
    files = {f"f{n}.bin": hashlib.sha256(bytes([n])).digest() * 70 for n in range(24)}
    many = bundle(APP, **{"more__words.py": b"WORD = 'many'"}, **files)
    with Service() as service:
        board = Station(tmp_path, service, OLD)
        service.release(full(NEW, 7, bundle=many))
        cuts = [0]

        def until(s: Station) -> bool:
            if cuts[0] < 12 and bytes_in(s.files.vfs / "bundle") > 9000 * cuts[0]:
                cuts[0] += 1
                s.board.cut_power()
            return reported("confirmed")(s)

        await board.run(until, seconds=60)
        report = next(r for r in service.reports if r["state"] == "confirmed")
    assert cuts[0] > 5  # how often it was looked at
    assert words(board)[-1] == "many"
    assert report["data"]["bytes_received"] < len(many) + len(NEW) + 12 * 8192
    assert lies_there(board) == [name(many)]


BREAK = """
import os
from otaagent import bundles
class Broken:
    def __getattr__(self, name):
        return getattr(os, name)
    def {call}(self, *args):
        {does}
bundles.os = Broken()
async def main(agent):
    pass
"""


def broken(code: int, call: str, does: str, name: str) -> object:
    app = {"app.py": BREAK.format(call=call, does=does).encode()}
    return pytest.param(app, code, id=name, marks=pytest.mark.codes(code))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("files", "code"),
    [
        broken(214, "statvfs", "return 4096, 4096, 100, 8", "too-large"),
        broken(214, "mkdir", "raise OSError(28)", "full"),
        broken(411, "rename", "raise OSError(5)", "input-output"),
    ],
)
async def test_a_file_system_that_fails_is_told_and_the_board_stays(
    tmp_path: Path, files: dict[str, bytes], code: int
) -> None:
    old = image("1.0.0", files)
    with Service() as service:
        board = Station(tmp_path, service, old)
        service.release(full(NEW, 7, bundle=app("large", ballast=20000)))
        await board.run(reported("failed", code))
        assert board.wear("ota_1") == [0] * len(board.wear("ota_1"))
        assert board.runs() == "ota_0"
        assert not [each for each in lies_there(board) if "." not in each]
