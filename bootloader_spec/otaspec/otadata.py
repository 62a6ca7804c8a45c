"""otadata: two 32-byte entries that say which slot boots. SLOTS.md section 2.

ESP-IDF: esp_ota_select_entry_t (esp_flash_partitions.h), bootloader_common_loader.c.
An entry is `<I20sII`: seq, label, state, crc. It lies at the start of its own 4 KB sector.

Two kinds of CRC, told apart by the argument `whole`:
stock (False), over seq alone, as ESP-IDF; whole (True), over seq, label and state, as our reference.
"""

from binascii import crc32
from struct import pack as _pack
from struct import unpack as _unpack

SIZE = 32
SECTOR = 4096
BLANK = b"\xff" * SIZE
NO_SEQ = 0xFFFFFFFF
# set_boot counts upwards from 0 in a loop and wraps at 2^32: stay far below.
MAX_SEQ = 1 << 30

NEW = 0
PENDING = 1
VALID = 2
INVALID = 3
ABORTED = 4
UNDEFINED = 0xFFFFFFFF
_NO_LABEL = b"\xff" * 20


def crc(raw: bytes, whole: bool = False) -> int:
    """CRC-32 that an entry should carry (bootloader_common_ota_select_crc where not `whole`)."""
    return crc32(raw[:28] if whole else raw[:4], 0xFFFFFFFF) & 0xFFFFFFFF


def pack(seq: int, state: int, whole: bool = False, label: bytes = _NO_LABEL) -> bytes:
    """The 32 bytes of an entry with a right CRC."""
    raw = _pack("<I20sI", seq, label, state)
    return raw + _pack("<I", crc(raw, whole))


def unpack(raw: bytes) -> tuple:
    """(seq, label, state, crc) of 32 bytes."""
    return _unpack("<I20sII", raw)


def seq_of(raw: bytes) -> int:
    return _unpack("<I", raw[:4])[0]


def state_of(raw: bytes) -> int:
    return _unpack("<I", raw[24:28])[0]


def with_state(raw: bytes, state: int, whole: bool = False) -> bytes:
    """The entry with another state. The stock CRC is left alone, even a wrong one: it covers seq only."""
    head = raw[:24] + _pack("<I", state)
    return head + (_pack("<I", crc(head, True)) if whole else raw[28:])


def crc_ok(raw: bytes, whole: bool = False) -> bool:
    return _unpack("<I", raw[28:])[0] == crc(raw, whole)


def is_whole(entries: tuple) -> bool:
    """Whether these were written by the reference variant: so the agent knows its bootloader."""
    return any([raw != BLANK and crc_ok(raw, True) and not crc_ok(raw) for raw in entries])


def is_invalid(raw: bytes) -> bool:
    """bootloader_common_ota_select_invalid: no look at the CRC."""
    return seq_of(raw) == NO_SEQ or state_of(raw) in (INVALID, ABORTED)


def is_valid(raw: bytes, whole: bool = False) -> bool:
    """bootloader_common_ota_select_valid."""
    return not is_invalid(raw) and crc_ok(raw, whole)


def active(entries: tuple, whole: bool = False) -> int:
    """Index of the valid entry with the larger seq (equal: 0), -1 without one.

    bootloader_common_get_active_otadata.
    """
    a, b = is_valid(entries[0], whole), is_valid(entries[1], whole)
    if a and b:
        return 0 if seq_of(entries[0]) >= seq_of(entries[1]) else 1
    return 0 if a else 1 if b else -1


def slot_of(raw: bytes, slots: int) -> int:
    """The slot that an entry names: (seq - 1) mod slots, unsigned (seq 0 names a slot too)."""
    return ((seq_of(raw) - 1) & 0xFFFFFFFF) % slots


def active_slot(entries: tuple, slots: int, whole: bool = False) -> int:
    """The slot of the active entry, -1 without one."""
    k = active(entries, whole)
    return -1 if k < 0 else slot_of(entries[k], slots)


def next_seq(seq: int, slot: int, slots: int) -> int:
    """The least number >= seq that names `slot`: what esp_rewrite_ota_data counts to, without counting.

    Past 2^32 its 32-bit sum wraps: it then finds the next number >= seq of another residue, and so may
    name another slot (seq FFFFFFFE and up). The agent stays below MAX_SEQ.
    """
    found = seq + (slot + 1 - seq) % slots
    while found > 0xFFFFFFFF:
        slot = (slot - (1 << 32)) % slots
        found = seq + (slot + 1 - seq) % slots
    return found


def armed(entries: tuple, slots: int, slot: int, whole: bool = False) -> tuple:
    """(index, bytes) of the entry that makes `slot` the next to boot, on trial (esp_rewrite_ota_data).

    In place where the active entry names `slot` already, else the other entry, with a higher seq.
    """
    a = active(entries, whole)
    if a < 0:
        return 0, pack(slot + 1, NEW, whole, entries[0][4:24])
    seq, k = seq_of(entries[a]), a
    if slot_of(entries[a], slots) != slot:
        seq, k = next_seq(seq, slot, slots), 1 - a
    return k, pack(seq, NEW, whole, entries[k][4:24])


def writes(k: int, raw: bytes, split: bool = False) -> list:
    """Flash operations that put `raw` into entry k: ("E", k) erases, ("P", k, offset, bytes) programs.

    `split`: seq last, in a program of its own, so that a torn write names no slot.
    """
    if split:
        return [("E", k), ("P", k, 4, raw[4:]), ("P", k, 0, raw[:4])]
    return [("E", k), ("P", k, 0, raw)]


def blot(k: int) -> tuple:
    """The operation that spoils entry k before its erase: zeros over the CRC.

    A torn erase raises bits. If it hits the state word alone, ABORTED becomes a word that boots
    (SLOTS.md, hole T2). Any bit of the CRC cleared first, and no tear of the erase can do that.
    """
    return ("P", k, 28, b"\0\0\0\0")


def replace(entries: tuple, k: int, raw: bytes, split: bool = True) -> list:
    """Operations that turn entry k into `raw` (BLANK: erased only), with as few holes as the flash allows."""
    ops = []
    if entries[k] != BLANK:
        ops = [blot(k)] if split else []
        ops.append(("E", k))
    elif not split:
        ops = [("E", k)]
    return ops if raw == BLANK else ops + writes(k, raw, split)[1:]
