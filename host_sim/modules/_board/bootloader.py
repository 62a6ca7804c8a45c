"""The bootloader process of a simulated board. Says on stdout what it chose: one line of JSON.

Arguments: the variant ("stock" or "reference"), and the milliseconds of the watchdog that it leaves
running. DRIBLET_SIM_UNPACK names a folder: the code bundle of the chosen image is put there (LINUX_HOST).
"""

import json
import os
import sys
from binascii import hexlify

from _board import here, layout
from _board.otaspec import bundle
from _board.otaspec.image import DESC_SIZE
from _board.second_stage import Bootloader, NothingBoots


def run(variant: str, watchdog_ms: int, unpack_into: str) -> None:
    rtc = here.rtc
    loader = Bootloader(here.flash, rtc[layout.W_CHIP_ID], variant, bytearray(65536))
    try:
        row, image = loader.run()
    except NothingBoots as error:
        print(json.dumps({"error": str(error)}))
        here.leave(layout.EXIT_NOTHING_BOOTS)
    rtc[layout.W_RUNNING] = loader.rows.index(row)
    digest = hexlify(loader.digest(row, image.size)).decode()
    found = {"slot": row.label, "image": digest, "writes": loader.writes}
    if unpack_into:
        found["bundle"] = _unpack(loader.reader(row), image, unpack_into + "/" + digest[:32])
    print(json.dumps(found))
    rtc[layout.W_WDT_TIMEOUT] = watchdog_ms
    here.leave(layout.EXIT_BOOT)


def _unpack(read, image, target: str) -> str:
    """Puts the image's code bundle into the folder `target`; another board may have done it before."""
    try:
        os.stat(target)
        return target
    except OSError:
        pass
    fresh = "%s.%s" % (target, hexlify(os.urandom(6)).decode())
    os.mkdir(fresh)
    _, at, size = image.segments[0]
    at, size = at + DESC_SIZE, size - DESC_SIZE
    for name, where, length in bundle.entries(read, at, size):
        _make_folders(fresh, name.split("/")[:-1])
        with open(fresh + "/" + name, "wb") as file:
            bundle.extract(read, where, length, file.write)
    try:
        os.rename(fresh, target)
    except OSError:
        pass  # another board was faster; its bundle is the same
    return target


def _make_folders(base: str, parts) -> None:
    for part in parts:
        base += "/" + part
        try:
            os.mkdir(base)
        except OSError:
            pass  # is there already


run(sys.argv[1], int(sys.argv[2]), os.getenv("DRIBLET_SIM_UNPACK") or "")
