"""`driblet sim`: one board for one person to watch. Files, settings, and what its events mean."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from otaboards import linux_host, loader
from otaboards.folders import build_folder
from otaboards.runtime import Runtime
from otaspec import image_file, partition
from otaspec.errors import InputError, code

from otasim import files
from otasim.board import Event, Options
from otasim.files import BoardFiles
from otasim.parts import layout, nvs

__all__ = ["layout"]

Settings = dict[str, str | bytes | int]
FINAL = ("confirmed", "reverted", "failed")
_BOOT_WATCHDOG_MS = 9000  # as ESP-IDF has it
_EXAMPLE_VERSION = "0.0.0-example"


def example_app() -> Path:
    """The application of a board that was given none."""
    return linux_host.agent_package().parent / "examples" / "blink"


def secret(text: str) -> bytes:
    """32 bytes of hex; ValueError."""
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise ValueError("not 64 hex digits")
    return bytes.fromhex(text)


def public_key(text: str) -> bytes:
    """X || Y of a signing key: 128 hex digits, or the name of a PEM file."""
    if re.fullmatch(r"[0-9a-fA-F]{128}", text):
        return bytes.fromhex(text)
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(read(Path(text)))
    except ValueError as error:
        raise InputError(code("FILE_UNREADABLE"), f"{text} holds no public key") from error
    if not isinstance(key, EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise InputError(code("FILE_UNREADABLE"), f"{text} holds no P-256 key")
    numbers = key.public_numbers()
    return numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(code("FILE_UNREADABLE"), f"{path}: {error.strerror}"[:120]) from error


def check_image(raw: bytes) -> int:
    """The chip id of a sound app image; what else it is, is said with the remedy (601 to 606)."""

    def reader(at: int, buffer: bytearray) -> None:
        buffer[:] = raw[at : at + len(buffer)]

    return int(image_file.check(reader, len(raw)).chip)


def choose_board(name: str | None, chip_id: int, size: int) -> loader.Board:
    """The named board, or the smallest of the chip that the image fits; CHIP_MISMATCH, IMAGE_TOO_LARGE."""
    if name is None:
        return loader.smallest_for(chip_id, size)
    board = loader.load(name)
    if board.chip_id != chip_id:
        raise InputError(code("CHIP_MISMATCH"), f"{board.name} has an {board.chip}")
    if size > board.slot_size:
        raise InputError(code("NO_BOARD_FITS"), f"{size} bytes, a slot of {board.name} has {board.slot_size}")
    return board


def new_board(flash: Path, board: loader.Board, image: bytes, settings: Settings) -> BoardFiles:
    """A new board with `image` in ota_0 and the settings in NVS."""
    given: Settings = {"board": board.name, "ram": board.decoder_ram, "wdt": board.wdt_ms}
    given["staging"] = board.staging
    return files.create(
        flash,
        flash_size=board.flash_size,
        rows=board.rows,
        images={0: image},
        chip_id=board.chip_id,
        settings=given | settings,
    )


def kind_of(board: BoardFiles) -> loader.Board:
    """The kind of a board that is there already: its settings say so. NOT_FOUND where they do not."""
    chip = board.flash.read_bytes()
    row = _nvs_row(board, chip)
    name = nvs.get(memoryview(chip)[row.offset : row.offset + row.size], files.SETTINGS, "board", nvs.BLOB)
    return loader.load(bytes(name or b"?").decode())


def _nvs_row(board: BoardFiles, chip: bytes) -> partition.Row:
    rows = partition.parse(chip[partition.OFFSET : partition.OFFSET + partition.MAX_SIZE], len(chip))
    row = partition.find(rows, partition.DATA, partition.NVS)
    if row is None:
        raise InputError(code("TABLE_INVALID"), f"{board.flash} has no nvs partition")
    return row


def provision(board: BoardFiles, kind: loader.Board, settings: Settings) -> None:
    """Puts settings into the NVS of a board that is there already; what else it knows stays."""
    chip = bytearray(board.flash.read_bytes())
    files.write_settings(chip, partition.find(list(kind.rows), partition.DATA, partition.NVS), settings)
    board.flash.write_bytes(chip)


def options(board: loader.Board, runtime: Runtime, watchdog_ms: int = _BOOT_WATCHDOG_MS) -> Options:
    """How a board of that kind is run: LINUX_HOST from its own image, others from the agent as it is here.

    watchdog_ms is for LINUX_HOST: a stock bootloader leaves no watchdog running.
    """
    heap = f"{board.heap // 1024}K"
    if board.chip == "LINUX_HOST":
        folder = build_folder("unpacked")
        folder.mkdir(parents=True, exist_ok=True)
        return Options(unpack_into=folder, heap=heap, watchdog_ms=watchdog_ms)
    return Options(bundle=bundle_for(runtime), heap=heap, watchdog_ms=0)


def bundle_for(runtime: Runtime) -> Path:
    """A folder with agent and example application, for boards whose slots hold other images."""
    content = linux_host.agent_files(runtime.arch) | linux_host.folder_files(example_app())
    return write_bundle(content)


def write_bundle(content: dict[str, bytes]) -> Path:
    """Files in a folder that is named by what they are."""
    key = hashlib.sha256()
    for name in sorted(content):
        key.update(name.encode() + b"\0" + hashlib.sha256(content[name]).digest())
    folder = build_folder("bundles") / key.hexdigest()[:24]
    for name, data in content.items() if not folder.is_dir() else ():
        path = folder.with_suffix(".new") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    if not folder.is_dir():
        folder.with_suffix(".new").rename(folder)
    return folder


def example_image(runtime: Runtime) -> bytes:
    """The LINUX_HOST image of agent and example application."""
    out = build_folder("images") / f"LINUX_HOST-{_EXAMPLE_VERSION}-{runtime.arch}.bin"
    return linux_host.build_image(example_app(), version=_EXAMPLE_VERSION, out=out).read_bytes()


@dataclass
class Watch:
    """What a board's events say so far."""

    on_change: Callable[["Watch"], None] = lambda _: None
    state: str = "off"
    step: int = 0
    version: str = ""
    slot: str = ""
    image: str = ""
    code: int = 0
    bytes: int = 0
    boots: int = 0
    last_exit: str = ""
    final: str = ""  # the last of FINAL that was seen
    why: str = ""
    heard: list[str] = field(default_factory=list)

    def see(self, event: Event) -> None:
        """To be given to a Board as `on_event`."""
        getattr(self, "_" + event.kind, self._nothing)(**event.data)
        self.on_change(self)

    def _nothing(self, **_: Any) -> None:
        pass

    def _boot(self, count: int, cause: str) -> None:  # noqa: ARG002
        self.boots, self.state, self.step = count, "booting", 0

    def _slot(self, slot: str, image: str, **_: Any) -> None:
        self.slot, self.image, self.state = slot, image, "running"

    def _report(self, **said: Any) -> None:
        for name in ("state", "step", "version", "code", "bytes"):
            setattr(self, name, said.get(name, getattr(self, name)))
        if self.state in FINAL:
            self.final = self.state

    def _console(self, line: str) -> None:
        self.heard = [*self.heard, line][-20:]

    def _exit(self, why: str, **_: Any) -> None:
        self.last_exit = why

    def _stopped(self, why: str) -> None:
        self.why = why
