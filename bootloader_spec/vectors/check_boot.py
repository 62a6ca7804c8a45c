"""The checks of boot.json, journal.json, image.json and rules.json; check.py runs them."""

from binascii import unhexlify as unhex

from otaspec import boot, image, journal, names, ota_ops, otadata, rules
from otaspec.errors import OtaError


def as_rows(ops) -> list:
    """Flash operations as the vectors write them."""
    return [["P", op[1], op[2], hexed(op[3])] if op[0] == "P" else list(op) for op in ops]


def hexed(raw) -> str:
    return raw.hex() if raw else ""  # MicroPython's b"".hex() is b""


def check_boot(data):
    entries = [unhex(raw) for raw in data["entries"]]
    for a, b, number in data["rows"]:
        pair = entries[a], entries[b]
        boots, calls = data["outcomes"][number]
        for mask, (slot, w) in enumerate(boots):
            choice, ops = boot.decide(pair, 2, False, lambda s, mask=mask: bool(mask >> s & 1))
            yield (a, b, mask), choice == slot and as_rows(ops) == data["writes"][w]
        found = [ota_ops.set_boot(pair, 2, 0), ota_ops.set_boot(pair, 2, 1), ota_ops.mark_valid(pair, 2)]
        for i, (_, ops) in enumerate(found):
            yield (a, b, i), as_rows(ops) == data["writes"][calls[i]]
    for row in data["reference"]:
        pair = tuple([unhex(raw) for raw in row["entries"]])
        choice, ops = boot.decide(pair, 2, False, lambda _: True, boot.REFERENCE)
        yield row["entries"], choice == row["slot"] and as_rows(ops) == row["writes"]


def check_journal(data):
    for row in data["accept"] + data["skipped"]:
        raw = unhex(row["blob"])
        record = journal.decode(row["kind"], raw)
        yield row["blob"], plain(record) == row["record"]
        if row in data["accept"]:
            yield row["blob"] + " again", journal.encode(row["kind"], record) == raw
    for row in data["lost"]:
        yield row["why"], journal.decode(row["kind"], unhex(row["blob"])) is None


def plain(value):
    if isinstance(value, dict):
        return {name: plain(value[name]) for name in value}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return hexed(value) if isinstance(value, bytes) else value


def check_image(data):
    raw = unhex(data["image"])
    found = image.verify(reader(raw), len(raw), data["chip"], bytearray(60))
    yield "sound", found.size == data["size"]
    yield "digest", image.digest(reader(raw), len(raw), raw[:32]).hex() == data["sha256"]
    yield "description", image.read_desc(reader(raw), len(raw))["project"] == "demo"
    for at, value, error in data["faults"]:
        bad = bytearray(raw)
        bad[at] = value
        yield (at, error), verdict(bad, data["chip"]) == error


def verdict(raw, chip) -> str:
    try:
        image.verify(reader(raw), len(raw), chip)
    except OtaError as error:
        return error.name
    return ""


def reader(raw):
    def read(offset, buffer):
        buffer[:] = raw[offset : offset + len(buffer)]

    return read


WORDS = {"N": 0, "P": 1, "V": 2, "I": 3, "A": 4, "U": 0xFFFFFFFF}
HASHES = (b"a" * 32, b"b" * 32)


def entry(text: str) -> bytes:
    """SLOTS.md's notation: `2V`, `2P!` (wrong CRC), `-` (blank)."""
    if text == "-":
        return otadata.BLANK
    bare = text.rstrip("!")
    raw = otadata.pack(int(bare[:-1]), WORDS[bare[-1]])
    return raw[:28] + bytes((raw[28] ^ 1,)) + raw[29:] if text != bare else raw


def check_rules(data):
    numbers = {names.PHASE_NAMES[number]: number for number in names.PHASE_NAMES}
    for cells in data["rows"]:
        row = {name: cells[i] for i, name in enumerate(data["columns"])}
        right = [int(slot) for slot in row["right"].split()]
        trial = None
        if row["phase"] != "NONE":
            trial = {
                "phase": numbers[row["phase"]], "slot": 1, "size": 1, "image": HASHES[1], "seq": 5,
                "home_slot": 0, "home_size": 1, "home_image": HASHES[0],
                "trials": int(row["trials"]), "begun": row["begun"] == "yes", "causes": b"",
            }  # fmt: skip

        def holds(slot, size, sha256, right=right):
            return size == 1 and slot in right and sha256 == HASHES[slot]

        pair = entry(row["OD0"]), entry(row["OD1"])
        facts = rules.Facts(pair, 2, int(row["running"]), trial, holds, int(row["own seq"]))
        yield cells, rules.decide(facts)[0] == row["rule"]


CHECKS = {"boot": check_boot, "journal": check_journal, "image": check_image, "rules": check_rules}
