"""What the flash files say at the end: nobody's word is taken for it."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import otaagent
import otaspec
from otaboards.mpy import compile_tree
from otaboards.runtime import Runtime
from otaboards.slices import sizes
from otacloud.schemas import DeviceOut, JobOut
from otasim.board import Board
from otasim.parts import layout as rtc_words
from otaspec import names, otadata, partition

from driblet.demo.cast import Play
from driblet.demo.summary import BoardResult

CODECS = {0: "full image", 1: "heatshrink", 2: "bsdiff-heatshrink", 3: "address-aware"}


def digest(image: bytes) -> str:
    """SHA-256 of an image, as the manifest names it."""
    return hashlib.sha256(image).hexdigest()


def codec_name(number: int | None) -> str:
    return CODECS.get(number if number is not None else -1, f"codec {number}")


def best_job(jobs: Sequence[JobOut], play: Play) -> JobOut:
    """The package that a board on the old image gets."""
    base = digest(play.old)
    done = [job for job in jobs if job.state == "done" and job.base_sha256 in (None, base)]
    return max(done, key=lambda job: job.base_sha256 is not None)


def read_board(board: Board, play: Play, said: DeviceOut) -> BoardResult:
    """Slot and image from the flash file; state and error from what the service heard (`said`)."""
    chip = board.files.flash.read_bytes()
    layout = partition.Layout(partition.parse(chip[partition.OFFSET :][: partition.MAX_SIZE], len(chip)))
    entries = _entries(chip, layout)
    slot = layout.slot(max(otadata.active_slot(entries, 2), 0))
    if slot is None:
        raise AssertionError("a table of ours has two slots")
    content = chip[slot.offset : slot.offset + slot.size]
    versions = {digest(play.old): play.old_version, digest(play.new): play.new_version}
    found = next((digest(image) for image in (play.old, play.new) if content.startswith(image)), "")
    return BoardResult(
        name=board.name,
        state=_state(said.state, otadata.state_of(entries[otadata.active(entries)])),
        version=versions.get(found, "?"),
        slot=slot.label,
        image_sha256=found,
        power_cuts=board.rtc[rtc_words.W_POWER_CUTS],
        error=said.error.name if said.error else "",
    )


def _entries(chip: bytes, layout: partition.Layout) -> tuple[bytes, ...]:
    if layout.otadata is None:
        raise AssertionError("a table of ours has otadata")
    places = [layout.otadata.offset + k * otadata.SECTOR for k in (0, 1)]
    return tuple(chip[at : at + otadata.SIZE] for at in places)


def _state(said: str, word: int) -> str:
    """A confirmation counts only with the state word on flash."""
    if said == "confirmed" and word != otadata.VALID:
        return f"confirmed, but {names.STATE_NAMES.get(word, word)} on flash"
    return said


def agent_sizes(runtime: Runtime) -> dict[str, int]:
    """Bytes of .mpy that a board carries, slice by slice."""
    packages = [Path(str(package.__file__)).parent for package in (otaspec, otaagent)]
    return sizes(compile_tree(packages, arch=runtime.arch))
