"""What the flash files say at the end: nobody's word is taken for it."""

import hashlib
from pathlib import Path
from typing import Any

import otaagent
import otaspec
from otaboards.mpy import HOST_ONLY, compile_tree
from otasim.board import Board
from otasim.parts import layout as layout_words
from otaspec import otadata, partition

from driblet.demo.cast import Play
from driblet.demo.service import Service
from driblet.demo.summary import BoardResult

CODECS = {0: "full image", 1: "heatshrink", 2: "bsdiff-heatshrink", 3: "address-aware"}


def digest(image: bytes) -> str:
    """SHA-256 of an image, as the manifest names it."""
    return hashlib.sha256(image).hexdigest()


def codec_name(number: int) -> str:
    return CODECS.get(number, f"codec {number}")


def read_board(board: Board, play: Play, said: dict[str, Any]) -> BoardResult:
    """Slot and image from the flash file; state and error from what the service heard (`said`)."""
    chip = board.files.flash.read_bytes()
    layout = partition.Layout(partition.parse(chip[partition.OFFSET :][: partition.MAX_SIZE], len(chip)))
    if layout.otadata is None:
        raise AssertionError("a table of ours has otadata")
    places = [layout.otadata.offset + k * otadata.SECTOR for k in (0, 1)]
    entries = tuple(chip[at : at + otadata.SIZE] for at in places)
    number = otadata.active_slot(entries, 2)
    slot = layout.slot(max(number, 0))
    if slot is None:
        raise AssertionError("a table of ours has two slots")
    state = otadata.state_of(entries[otadata.active(entries)])
    content = chip[slot.offset : slot.offset + slot.size]
    found = next((digest(image) for image in (play.old, play.new) if content.startswith(image)), "")
    confirmed = found == digest(play.new) and state == otadata.VALID and said["state"] == "confirmed"
    problem = said["error"] or {}
    return BoardResult(
        name=board.name,
        state="confirmed" if confirmed else said["state"],
        version={digest(play.old): play.old_version, digest(play.new): play.new_version}.get(found, "?"),
        slot=slot.label,
        image_sha256=found,
        power_cuts=board.rtc[layout_words.W_POWER_CUTS],
        error=problem.get("name", ""),
    )


async def last_end(service: Service, pk: str, name: str) -> dict[str, Any]:
    """The figures that a board sent with its last final report."""
    for report in await service.timeline(pk, name):
        if report["state"] in ("confirmed", "reverted", "failed"):
            data: dict[str, Any] = report["data"]
            return data
    return {}


def agent_size() -> int:
    """Bytes of .mpy that a board carries: the agent and the contract."""
    packages = [Path(str(package.__file__)).parent for package in (otaspec, otaagent)]
    tree = compile_tree(packages, arch=None)
    host = {Path(name).with_suffix(".mpy").as_posix() for name in HOST_ONLY}
    files = (path for path in tree.rglob("*.mpy") if path.relative_to(tree).as_posix() not in host)
    return sum(path.stat().st_size for path in files)
