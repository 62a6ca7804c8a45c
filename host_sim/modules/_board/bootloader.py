"""The second-stage bootloader of a simulated board: otaspec.boot over the flash file, in its own process.

Verifies images for real, writes otadata through the counted flash (so the power can be cut here
too), leaves the watchdog running, says on stdout what it chose: one line of JSON.
Argument: the variant, "stock" or "reference". DRIBLET_SIM_UNPACK names a folder: the code bundle of
the chosen image is put there (board LINUX_HOST).
"""

import json
import os
import sys
from binascii import hexlify

from _board import here, layout
from _board.otaspec import boot, image, otadata, partition
from _board.otaspec.errors import OtaError

_BUFFER = bytearray(65536)


def run(variant: str, watchdog_ms: int, unpack_into: str) -> None:
    rtc = here.rtc
    try:
        rows = partition.parse(here.flash.window(partition.OFFSET, partition.MAX_SIZE), here.flash.size)
    except OtaError as error:
        _nothing_boots(str(error))
    table = partition.Layout(rows)
    seen = {}  # slot: image, of those that verify

    def verifies(slot: int) -> bool:
        if slot not in seen:
            seen[slot] = _verified(table.slot(slot), rtc[layout.W_CHIP_ID])
        return seen[slot] is not None

    choice, writes = boot.decide(
        _entries(table), table.app_count, bool(table.factory), verifies, variant, bool(table.test)
    )
    _write(table, writes)
    if choice == boot.RESET:
        _nothing_boots("no image verifies")
    row = table.slot(choice)
    rtc[layout.W_RUNNING] = [r.offset for r in rows].index(row.offset)
    found = {"slot": row.label, "image": _digest(row, seen[choice]), "writes": len(writes)}
    if unpack_into:
        found["bundle"] = _unpack(row, seen[choice], unpack_into, found["image"])
    print(json.dumps(found))
    rtc[layout.W_WDT_TIMEOUT] = watchdog_ms
    here.leave(layout.EXIT_BOOT)


def _reader(row):
    return lambda at, buffer: here.flash.read_into(row.offset + at, buffer)


def _verified(row, chip: int):
    if row is None:
        return None
    try:
        return image.verify(_reader(row), row.size, chip, _BUFFER)
    except OtaError:
        return None


def _digest(row, found) -> str:
    return hexlify(image.digest(_reader(row), found.size, b"", _BUFFER)).decode()


def _entries(table):
    if table.otadata is None:
        return None
    entries = []
    for i in (0, 1):
        entry = bytearray(otadata.SIZE)
        here.flash.read_into(table.otadata.offset + i * layout.SECTOR, entry)
        entries.append(bytes(entry))
    return entries


def _write(table, writes) -> None:
    for write in writes:
        at = table.otadata.offset + write[1] * layout.SECTOR
        if write[0] == "E":
            here.flash.erase(at)
        else:
            here.flash.program(at + write[2], write[3])


def _nothing_boots(why: str) -> None:
    print(json.dumps({"error": why}))
    here.leave(layout.EXIT_NOTHING_BOOTS)


def _unpack(row, found, folder: str, digest: str) -> str:
    """Puts the image's code bundle into folder/digest, read-only; another board may have done it before."""
    target = folder + "/" + digest[:32]
    try:
        os.stat(target)
        return target
    except OSError:
        pass
    from _board.otaspec import bundle

    fresh = "%s.%s" % (target, hexlify(os.urandom(6)).decode())
    os.mkdir(fresh)
    bundle.unpack(_reader(row), found, fresh)
    try:
        os.rename(fresh, target)
    except OSError:
        pass  # another board was faster; its bundle is the same
    return target


run(sys.argv[1], int(sys.argv[2]), os.getenv("DRIBLET_SIM_UNPACK") or "")
