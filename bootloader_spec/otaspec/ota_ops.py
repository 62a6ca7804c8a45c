"""What the application's calls do to otadata: esp_ota_ops.c with rollback on, as pure functions.

For the simulator's esp32.Partition, and to know beforehand which entry a call will erase.
They act on the active entry (the highest valid one), never on the running slot. set_boot and mark_valid
also know the reference variant's entries and write their like.
Each answers (error, writes); errors are ESP-IDF's numbers.
"""

from . import otadata

OK = 0
FAIL = -1
INVALID_ARG = 0x102
NOT_FOUND = 0x105
VALIDATE_FAILED = 0x1503
ROLLBACK_FAILED = 0x1505


def set_boot(entries: tuple, slots: int, slot: int, verifies: bool = True) -> tuple:
    """esp_ota_set_boot_partition. slot -1 is factory: both sectors are erased.

    Rewrites the active entry in place where it names `slot` already, otherwise the other entry.
    """
    if not verifies:
        return VALIDATE_FAILED, []
    if slot < 0:
        return OK, [("E", 0), ("E", 1)]
    if slot >= slots:
        return INVALID_ARG, []
    whole = otadata.is_whole(entries)
    k, raw = otadata.armed(entries, slots, slot, whole)
    return OK, otadata.writes(k, raw, whole)


def mark_valid(entries: tuple, slots: int) -> tuple:
    """esp_ota_mark_app_valid_cancel_rollback: the active entry becomes VALID, in place."""
    return _set_active_state(entries, slots, otadata.VALID, otadata.is_whole(entries))


def mark_invalid(entries: tuple, slots: int, verifies: "callable", factory: bool = False) -> tuple:
    """esp_ota_mark_app_invalid_rollback (stock): the active entry becomes INVALID if another can boot."""
    if otadata.active(entries) >= 0 and slots and not rollback_possible(entries, slots, verifies, factory):
        return ROLLBACK_FAILED, []
    return _set_active_state(entries, slots, otadata.INVALID, False)


def _set_active_state(entries: tuple, slots: int, state: int, whole: bool) -> tuple:
    k = otadata.active(entries, whole)
    if k < 0 or slots == 0:
        return FAIL, []
    if state == otadata.VALID and otadata.state_of(entries[k]) == state:
        return OK, []
    return OK, otadata.writes(k, otadata.with_state(entries[k], state, whole), whole)


def rollback_possible(entries: tuple, slots: int, verifies: "callable", factory: bool = False) -> bool:
    """esp_ota_check_rollback_is_possible: the other entry and image are sound, or factory is."""
    k = otadata.active(entries)
    if k < 0 or slots == 0:
        return False
    if otadata.is_valid(entries[1 - k]):
        return verifies(otadata.slot_of(entries[1 - k], slots))
    return factory and verifies(-1)


def get_boot(entries: tuple, slots: int, factory: bool = False) -> int:
    """esp_ota_get_boot_partition: what it believes will boot next. It does not know of B2, so it may err."""
    k = otadata.active(entries)
    if k < 0 or slots == 0:
        return -1 if factory else 0
    return otadata.slot_of(entries[k], slots)


def state(entries: tuple, slots: int, slot: int) -> tuple:
    """esp_ota_get_state_partition: (error, state word) of the first entry that names `slot`."""
    for raw in entries:
        if slots and otadata.slot_of(raw, slots) == slot and otadata.crc_ok(raw):
            return OK, otadata.state_of(raw)
    return NOT_FOUND, 0


def last_invalid(entries: tuple, slots: int, verifies: "callable") -> "int | None":
    """esp_ota_get_last_invalid_partition: the slot that failed last, if its image still verifies."""
    failed = [raw for raw in entries if _failed(raw)]
    if not failed or slots == 0:
        return None
    slot = otadata.slot_of(min(failed, key=otadata.seq_of), slots)
    return slot if verifies(slot) else None


def _failed(raw: bytes) -> bool:
    return (
        otadata.seq_of(raw) != otadata.NO_SEQ
        and otadata.crc_ok(raw)
        and otadata.state_of(raw) in (otadata.INVALID, otadata.ABORTED)
    )


def invalidate_inactive(entries: tuple, slots: int, running: int) -> tuple:
    """esp_ota_invalidate_inactive_ota_data_slot: erases the other entry if it names a slot that rests."""
    k = otadata.active(entries)
    if k < 0 or slots == 0:
        return FAIL, []
    raw = entries[1 - k]
    named = otadata.seq_of(raw) != otadata.NO_SEQ and otadata.crc_ok(raw)
    if not named or otadata.slot_of(raw, slots) == running:
        return FAIL, []
    return OK, [("E", 1 - k)]
