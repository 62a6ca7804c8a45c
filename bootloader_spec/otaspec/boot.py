"""The boot decision: which slot runs, and what is written to otadata before it does. SLOTS.md section 4.

Pure: it gets the two entries and a question "does the image in slot s verify?", and answers with a
choice and an ordered list of flash operations. STOCK is ESP-IDF's own second-stage bootloader with
rollback on, bit for bit (bootloader_utility.c); REFERENCE is what a bootloader should do: a CRC over
the whole entry, and seq programmed last.
"""

from . import otadata

STOCK = "stock"
REFERENCE = "reference"

FACTORY = -1
TEST = -2
RESET = -99  # nothing boots: bootloader_reset, over and over


def decide(
    entries: "tuple | None",
    slots: int,
    factory: bool,
    verifies: "callable",
    variant: str = STOCK,
    test: bool = False,
) -> tuple:
    """(choice, writes) of one boot.

    entries: the two raw otadata entries, or None where the table has no otadata row.
    slots: OTA rows in the table, 0..16. factory, test: there is such a row.
    verifies(slot): the image in that slot (FACTORY, TEST) passes the bootloader's check.
    choice: a slot, FACTORY, TEST or RESET. writes: as otadata.writes, done even where choice is RESET.
    """
    whole = variant == REFERENCE
    if entries is None:
        start, initial, writes = FACTORY, False, []
    else:
        start, initial, writes = _select(list(entries), slots, factory, whole)
    choice = _first_bootable(start, slots, factory, test, verifies)
    if initial and choice >= 0:  # set_actual_ota_seq
        writes += otadata.writes(0, otadata.pack(choice + 1, otadata.VALID, whole), whole)
    return choice, writes


def residual(agent: bool, write: tuple, before: bytes) -> str:
    """The name in SLOTS.md section 8 of a write to otadata, should it tear out of order.

    agent: else the bootloader's. write: as otadata.writes. before: the raw entry that it changes.
    """
    if agent:
        return "R5" if write[0] == "E" else "R6"
    if write[0] == "E":
        return "R1" if otadata.state_of(before) == otadata.NEW else "R3"
    at, data = write[2], write[3]
    state = data[24 - at] if at <= 24 < at + len(data) else otadata.state_of(before)
    return {otadata.PENDING: "R2", otadata.ABORTED: "R4"}.get(state, "R0")


def _select(entries: list, slots: int, factory: bool, whole: bool) -> tuple:
    """(where the search starts, otadata is in its initial state, writes).

    bootloader_utility_get_selected_boot_partition.
    """
    writes = []
    for k in (0, 1):  # B2: a trial that was not confirmed has ended
        if otadata.state_of(entries[k]) == otadata.PENDING and not (whole and _spoilt(entries[k], whole)):
            _set_state(entries, k, otadata.ABORTED, whole, writes)
    if _all_invalid(entries, whole) or slots == 0:  # B3
        spoilt = _spoilt(entries[0], whole) and _spoilt(entries[1], whole)
        return (FACTORY, False, writes) if factory else (0, spoilt, writes)
    k = otadata.active(entries, whole)
    if k < 0:
        return FACTORY, False, writes
    slot = otadata.slot_of(entries[k], slots)
    if otadata.state_of(entries[k]) == otadata.NEW:
        _set_state(entries, k, otadata.PENDING, whole, writes)
    return slot, False, writes


def _set_state(entries: list, k: int, state: int, whole: bool, writes: list) -> None:
    """write_otadata: erase, then program."""
    entries[k] = otadata.with_state(entries[k], state, whole)
    writes += otadata.writes(k, entries[k], whole)


def _spoilt(raw: bytes, whole: bool) -> bool:
    return otadata.seq_of(raw) == otadata.NO_SEQ or not otadata.crc_ok(raw, whole)


def _all_invalid(entries: list, whole: bool) -> bool:
    """Stock asks without a look at the CRC, so one blank entry beside a torn one is not "invalid"."""
    if whole:
        return otadata.active(entries, True) < 0
    return otadata.is_invalid(entries[0]) and otadata.is_invalid(entries[1])


def _first_bootable(start: int, slots: int, factory: bool, test: bool, verifies: "callable") -> int:
    """B4: downwards from `start` to factory, then upwards, then test (bootloader_utility_load_boot_image).

    INVALID and ABORTED do not matter here: anything that verifies is better than nothing.
    """
    for slot in range(start, FACTORY - 1, -1):
        if (factory if slot == FACTORY else slot < slots) and verifies(slot):
            return slot
    for slot in range(start + 1, slots):
        if verifies(slot):
            return slot
    return TEST if test and verifies(TEST) else RESET
