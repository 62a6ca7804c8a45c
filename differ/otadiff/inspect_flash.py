"""A flash file: its table, what is in its slots, what boots next, and what the agent remembers."""

import re
from typing import Any

from otaspec import boot, cbor, image, journal, names, otadata, partition
from otaspec.errors import OtaError
from otaspec.partition import Layout, Row

from otadiff.build import reader
from otadiff.inspect_image import Found, printable, row_facts, table_lines

_TABLE_AT = 0x8000
_LEAST = 1 << 20  # bytes of a flash chip
_BANK = re.compile(rb"dNVS(....)", re.DOTALL)  # the simulator's NVS: two banks, the higher counter counts


_PHASES = {
    journal.READY: "is ready to boot, or on trial",
    journal.INTENT: "passed its trial and is being confirmed",
    journal.DONE: "is confirmed",
    journal.REJECTED: "failed its trial",
    journal.OFFLINE: "did not reach the server in its trial; it is tried again",
    journal.REVERTED: "was given up; the image before it runs",
}


def is_flash(data: bytes) -> bool:
    """The size of a flash chip, with a partition table that fits it."""
    if len(data) < _LEAST or len(data) & (len(data) - 1):
        return False
    try:
        return bool(partition.parse(data[_TABLE_AT : _TABLE_AT + partition.MAX_SIZE], len(data)))
    except OtaError:
        return False


def flash(data: bytes) -> Found:
    """Explains the flash of a board."""
    rows = partition.parse(data[_TABLE_AT : _TABLE_AT + partition.MAX_SIZE], len(data))
    layout = Layout(rows)
    lines = [f"Flash of {len(data) >> 20} MB", *table_lines(rows)]
    partitions = [row_facts(row) for row in rows]
    facts: dict[str, Any] = {"size": len(data), "partitions": partitions, "slots": []}
    records = _journal(data, rows)
    for number, row in sorted(layout.ota.items()):
        found = _slot(data, row)
        known = journal.version_of(records.get(journal.KNOWN), bytes.fromhex(found.get("sha256", "")))
        lines.append(f"slot {number}: {_slot_words(found, known)}")
        facts["slots"].append({"slot": number, **found, "seq": known[0], "version": known[1]})
    if layout.otadata:
        both = entries(data[layout.otadata.offset :])
        lines += otadata_lines(both, layout.app_count)
        lines.append(_next(data, layout, both, facts))
    lines += _journal_lines(records)
    facts["journal"] = {journal.BLOBS[kind][0]: _plain(record) for kind, record in records.items()}
    return Found("flash", lines, facts)


def _slot(data: bytes, row: Row) -> dict[str, Any]:
    read = reader(data[row.offset : row.offset + row.size])
    try:
        found = image.verify(read, row.size)
    except OtaError as problem:
        return {"bootable": False, "problem": str(problem)}
    sha256 = image.digest(read, found.size).hex()
    return {"bootable": True, "chip": image.chip_name(found.chip), "size": found.size, "sha256": sha256}


def _slot_words(found: dict[str, Any], known: tuple[int, str]) -> str:
    if not found["bootable"]:
        return f"nothing that boots ({found['problem']})"
    name = (
        f", version {printable(known[1])}" + (f" (release {known[0]})" if known[0] else "")
        if known[1]
        else ""
    )
    return f"{found['chip']} image{name}, {found['size']:,} bytes, {found['sha256'][:8]}..."


def entries(data: bytes) -> tuple[bytes, bytes]:
    """The two raw entries of an otadata partition."""
    return data[: otadata.SIZE], data[otadata.SECTOR : otadata.SECTOR + otadata.SIZE]


def otadata_lines(both: tuple[bytes, bytes], slots: int) -> list[str]:
    return [f"otadata {k}: {_entry(raw, slots)}" for k, raw in enumerate(both)]


def _entry(raw: bytes, slots: int) -> str:
    if raw == otadata.BLANK:
        return "blank"
    state = names.STATE_NAMES.get(otadata.state_of(raw), f"state 0x{otadata.state_of(raw):08x}")
    named = f"slot {otadata.slot_of(raw, slots)}" if slots else "no slot"
    good = "" if otadata.crc_ok(raw) else ", CRC wrong"
    return f"sequence {otadata.seq_of(raw)}: {named}, {state}{good}"


def _next(data: bytes, layout: Layout, both: tuple[bytes, bytes], facts: dict[str, Any]) -> str:
    """What a stock bootloader would do now."""

    def verifies(slot: int) -> bool:
        row = layout.slot(slot)
        return row is not None and bool(_slot(data, row)["bootable"])

    test = layout.test is not None
    choice, writes = boot.decide(
        both, layout.app_count, layout.factory is not None, verifies, boot.STOCK, test
    )
    facts["boots_next"] = choice if choice >= 0 else None
    if choice == boot.RESET:
        return "Nothing boots: the bootloader would reset over and over."
    where = {boot.FACTORY: "the factory image", boot.TEST: "the test image"}.get(choice, f"slot {choice}")
    return f"Next to boot: {where}" + (", after a change of otadata." if writes else ".")


def _journal(data: bytes, rows: list[Row]) -> dict[int, dict[str, Any]]:
    """The agent's records in the NVS partition, found by their form: any NVS keeps a blob in one piece."""
    row = partition.find(rows, partition.DATA, partition.NVS)
    if row is None:
        return {}
    raw = _newest_bank(data[row.offset : row.offset + row.size])
    found = {}
    for kind in journal.BLOBS:
        for match in re.finditer(re.escape(bytes([journal.VERSION, kind])) + rb"[\xa0-\xb7]", raw):
            record = _record(kind, raw[match.start() :])
            if record is not None:
                found[kind] = record
    return found


def _newest_bank(nvs: bytes) -> bytes:
    half = len(nvs) // 2
    headers = [(bank, _BANK.match(bank)) for bank in (nvs[:half], nvs[half:])]
    banks = [(int.from_bytes(match[1], "little"), bank) for bank, match in headers if match]
    return max(banks)[1] if banks else nvs


def _record(kind: int, raw: bytes) -> dict[str, Any] | None:
    try:
        walk = cbor.Reader(raw[2 : journal.BLOBS[kind][1]])
        walk.item()
    except OtaError:
        return None
    record: dict[str, Any] | None = journal.decode(kind, raw[: 2 + walk.at + 4])
    return record


def _journal_lines(records: dict[int, dict[str, Any]]) -> list[str]:
    if not records:
        return ["The agent remembers nothing."]
    lines = []
    for kind, text in (
        (journal.FLOOR, "accepts releases above {seq}, key set {key_set}"),
        (journal.SESSION, "works at release {seq} ({version}), {size:,} bytes, for slot {slot}"),
        (journal.HINT, "{staged} sectors staged and {written} written for sure"),
        (journal.TRIAL, "release {seq} in slot {slot} {phase_words}"),
    ):
        if kind in records:
            record = dict(records[kind])
            record["phase_words"] = _PHASES.get(record.get("phase", 0), "")
            lines.append(printable("agent: " + text.format(**record)))
    blocked = records.get(journal.BLOCKED, {}).get("images", [])
    lines += [
        f"agent: release {seq} ({bytes(sha).hex()[:16]}...) failed here: blocked" for sha, seq in blocked
    ]
    return lines


def _plain(value: Any) -> Any:
    """Bytes as hex, for JSON."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
