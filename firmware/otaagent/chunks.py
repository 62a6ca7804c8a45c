"""A patch that this board cannot stage: decoded into the slot while it comes (PATCH.md 13, SLOTS.md 7).

Each chunk is verified before the decoder sees a byte of it. After a cut the work goes on at the block of
the last hint; before that NEW is only read back.
"""

import gc

from otaspec import patch
from otaspec.chunks import Source
from otaspec.errors import OtaError
from otaspec.manifest import IMAGE_HEAD

from . import staging
from .apply import Writer
from .slots import SECTOR

_ELIDED = 33  # bytes of NEW that the decoder computes last: no block starts among them


async def decode(update: "Update") -> None:
    """The whole patch of `update`, from the block that was in work on."""
    m, hints = update.manifest, update.hints
    update.signed = b""  # several KB, and not needed any more
    source = Source(m.payload_size, m.payload_chunks)
    gc.collect()
    await _fill(update, source)
    fresh = update.open_slot()  # not before something right has come
    head, block = update.head(), source.block_size()
    start = 0
    if head and block:
        start = min(hints.at("written") * SECTOR, m.image_size - _ELIDED) // block * block
    writer = Writer(update.board.other, m.image_size, IMAGE_HEAD, hints, "written", start, fresh)
    writer.head = head if start else b""
    old = staging.Image(update.board.running, m.base_size)
    steps = patch.decode(m.payload_codec, m.payload_params, old, source, writer, m.payload_ram, start)
    try:
        await _fill(update, source)  # the head was read
        for _ in steps:
            # Before the hint says that the first block is there.
            update.keep_head(writer.head)
            await update.progress("downloading", 5 + 80 * writer.at // m.image_size)
            await _fill(update, source)
    except OtaError as e:
        writer.pause()
        raise e
    await update.expect_end()
    update.keep_head(writer.head)
    update.agent.reports.stats.erases += writer.erases


async def _fill(update: "Update", source: Source) -> None:
    """As many chunks as there is room for."""
    while True:
        at = source.wanted()
        if at < 0:
            return
        part = source.room()
        await update.read_on(at)
        await update.package.fill(part)
        update.next = update.at + at + len(part)
        update.agent.reports.stats.bytes += len(part)
        source.filled()
