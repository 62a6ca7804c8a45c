"""Who plays in the demo: two images, and three boards that begin on the first one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import otaagent
from otaboards import linux_host, loader
from otaboards.loader import Board as BoardKind
from otaboards.runtime import Runtime
from otasim import files
from otasim.board import Board, Event, Options
from otasim.faults import NONE, Cut, Faults
from otaspec import image_file
from otaspec.errors import InputError, error
from otaspec.image import chip_name

FIRMWARE = Path(otaagent.__file__).resolve().parent.parent
BAD = ("self-test", "import", "hang", "hang-late", "offline")
NAMES = ("north", "east", "west")
BOOTLOADER_WATCHDOG_MS = 2500  # shorter than the 9 s of a chip, so that a hang does not bore anybody

# Times of a demo. On a product they are minutes: firmware/README.md, "Settings".
PACE: Mapping[str, int] = {"dev": 1, "poll": 1, "wdt": 3000, "soak": 1, "checkin": 6, "timeout": 5}


@dataclass(frozen=True)
class Play:
    """What is rolled out: from `old` to `new` on boards of `kind`.

    bundle: the agent's code for boards whose image is not ours; None: it is in the image.
    """

    kind: BoardKind
    old: bytes
    new: bytes
    old_version: str
    new_version: str
    bundle: Path | None
    bad: str = ""


def own_play(build: Path, bad: str) -> Play:
    """Two releases of LINUX_HOST around the example application; the second one bad, if so wished."""
    blink = FIRMWARE / "examples" / "blink"
    versions = ("1.1.0", "1.1.1") if bad else ("1.0.0", "1.1.0")
    extra = linux_host.folder_files(FIRMWARE / "examples" / "bad" / bad) if bad else {}
    old = linux_host.build_image(blink, version=versions[0], out=build / f"{versions[0]}.bin")
    new = linux_host.build_image(
        blink,
        version=versions[1],
        out=build / f"{versions[1]}.bin",
        extra_files={"release.txt": f"blink {versions[1]}\n".encode(), **extra},
    )
    kind = loader.load("LINUX_HOST")
    return Play(kind, old.read_bytes(), new.read_bytes(), *versions, None, bad)


def given_play(old: Path, new: Path, build: Path, runtime: Runtime) -> Play:
    """Two images of the user's, on the smallest board of their chip that takes both."""
    images, chips = zip(*(_app_image(path) for path in (old, new)), strict=True)
    if chips[0] != chips[1]:
        raise error(606, f"{old.name} is for {chip_name(chips[0])}, {new.name} for {chip_name(chips[1])}")
    kind = loader.smallest_for(chips[0], max(map(len, images)))
    bundle = build / "agent"
    for name, data in linux_host.agent_files(runtime.arch).items():
        _write(bundle / name, data)
    for name, data in linux_host.folder_files(FIRMWARE / "examples" / "blink").items():
        _write(bundle / name, data)
    return Play(kind, images[0], images[1], "1.0.0", "1.1.0", bundle)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _app_image(path: Path) -> tuple[bytes, int]:
    """The bytes of an app image and its chip; a combined, raw or broken file is refused."""
    try:
        image = path.read_bytes()
    except OSError as problem:
        raise error(610, f"{path}: {problem.strerror}"[:120]) from problem

    def read(offset: int, buffer: bytearray) -> None:
        buffer[:] = image[offset : offset + len(buffer)]

    try:
        return image, image_file.check(read, len(image)).chip
    except InputError as problem:
        raise error(problem.code, f"{path.name}: {problem.evidence}"[:120]) from problem


def board(
    play: Play,
    folder: Path,
    runtime: Runtime,
    name: str,
    settings: Mapping[str, str | bytes | int],
    *,
    on_event: Callable[[Event], None],
    faults: Faults = NONE,
    heap: str = "",
    max_boots: int = 0,
) -> Board:
    """A board called `name` on the old image, with a fresh flash file in `folder`."""
    unpacked = folder / "unpacked"
    unpacked.mkdir(parents=True, exist_ok=True)
    options = Options(
        bundle=play.bundle,
        unpack_into=unpacked,
        heap=heap or str(play.kind.heap),
        watchdog_ms=BOOTLOADER_WATCHDOG_MS,
        max_boots=max_boots,
    )
    flash = files.create(
        folder / f"{name}.bin",
        flash_size=play.kind.flash_size,
        rows=play.kind.rows,
        images={0: play.old},
        chip_id=play.kind.chip_id,
        settings={**PACE, **settings, "dn": name, "version": play.old_version},
    )
    return Board(flash, runtime, options, faults, on_event)


def cut_in_the_middle(play: Play) -> Faults:
    """The power goes when about half of the new image is written, and tears the page being programmed."""
    pages = len(play.new) // 256
    return Faults(cuts=[Cut(max(8, pages // 2), "prefix")])
