"""Undo: a signed manifest without a payload. The image that was confirmed before this one stands in the other
slot still; nothing is downloaded, it goes on trial under a seq of its own (SLOTS.md section 7)."""

import asyncio

from micropython import const
from otaspec import image
from otaspec.errors import error

from .journal import TRIAL
from .slots import hash_of

_SECURE_VERSION_TOO_OLD = const(208)
_NOTHING_TO_UNDO = const(213)


async def check(update: "Update") -> None:
    """NOTHING_TO_UNDO unless that very image was confirmed here, stands there whole, and boots.

    Nothing is written before, and nothing of a slot after.
    """
    m, board = update.manifest, update.board
    if board.kept() != m.image_sha256 or board.journal.get(TRIAL)["home_size"] != m.image_size:
        raise error(_NOTHING_TO_UNDO, "another image was confirmed before this one, or none")
    await update.progress("verifying", 86)
    for digest in hash_of(board.other, m.image_size):
        await asyncio.sleep_ms(0)
    if digest != m.image_sha256 or not board.other_boots():
        raise error(_NOTHING_TO_UNDO, "the other slot does not hold it any more")
    secure = image.read_desc(board.other.readinto, m.image_size).get("secure_version", 0)
    if secure < board.secure_version:
        raise error(_SECURE_VERSION_TOO_OLD, "%d, this is %d" % (secure, board.secure_version))
    board.raise_floor()  # the record of the last trial, which holds it, makes room for this one's
