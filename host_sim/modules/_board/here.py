"""The board that this process belongs to: its flash and RTC memory, mapped once.

The environment names the two files; the names are then taken out of it, so that firmware sees none.
"""

import os

from _board import gate, layout, libc, nor, table


def _take(name: str) -> str:
    value = os.getenv(name)
    if not value:
        raise RuntimeError(name + " is not set: this module belongs to a simulated board")
    os.unsetenv(name)
    return value


def _map_rtc(path: str):
    size = os.stat(path)[6]
    found = libc.words(libc.map_file(path, size), size // 4)
    if found[layout.W_MAGIC] != layout.MAGIC or found[layout.W_VERSION] != layout.VERSION:
        raise RuntimeError(path + " is not the RTC memory of this simulator")
    return found


libc.die_with_parent()
_flash_path = _take("DRIBLET_SIM_FLASH")
rtc = _map_rtc(_take("DRIBLET_SIM_RTC"))
_size = rtc[layout.W_FLASH_SIZE]
the_gate = gate.Gate(rtc, _size)
flash = nor.Nor(libc.map_file(_flash_path, _size), _size, the_gate, rtc[layout.W_WRITE_UNIT])
partitions = table.rows(lambda at, size: bytes(flash.window(at, size)))


def leave(why: int) -> None:
    """Ends the process as a reset does: at once. `why` is one of layout.EXIT_*."""
    rtc[layout.W_EXIT] = why
    libc.exit_now(0)


def first(kind: int, subtype: int):
    """The first partition of that type and subtype, or None (esp_partition_find_first)."""
    for row in partitions:
        if row[0] == kind and row[1] == subtype:
            return row
    return None
