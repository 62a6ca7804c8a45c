"""Makes the golden vectors of the slots: boot.json, journal.json, image.json. Nothing of otaspec is imported.

The boot decision is written here a second time, as plainly as ESP-IDF's sources read; a test compares
both with vectors that ESP-IDF's own code made, where they are there. rules.json is SLOTS.md's own table.
`python make_boot.py` rewrites the files; a test holds them equal to what this makes.
"""

import json
from hashlib import sha256
from pathlib import Path
from struct import pack, unpack
from typing import Any
from zlib import crc32

import cbor2

FOLDER = Path(__file__).parent
BLANK = b"\xff" * 32
NEW, PENDING, VALID, INVALID, ABORTED, UNDEFINED = 0, 1, 2, 3, 4, 0xFFFFFFFF

Op = list[Any]


def entry(seq: int, state: int, whole: bool = False, spoilt: int = 0) -> bytes:
    head = pack("<I", seq) + b"\xff" * 20 + pack("<I", state)
    crc = crc32(head if whole else head[:4], 0xFFFFFFFF)
    return head + pack("<I", crc ^ spoilt)


# -- the bootloader, once more: bootloader_utility.c, rollback on, two slots, no factory


def stock(o: list[bytes], verifies: int) -> tuple[int, list[Op]]:
    o, ops = list(o), []

    def rewrite(k: int, state: int) -> None:
        o[k] = o[k][:24] + pack("<I", state) + o[k][28:]
        ops.extend([["E", k], ["P", k, 0, o[k].hex()]])

    def seq(k: int) -> int:
        return int(unpack("<I", o[k][:4])[0])

    def state(k: int) -> int:
        return int(unpack("<I", o[k][24:28])[0])

    def invalid(k: int) -> bool:
        return seq(k) == 0xFFFFFFFF or state(k) in (INVALID, ABORTED)

    def good_crc(k: int) -> bool:
        return o[k][28:] == pack("<I", crc32(o[k][:4], 0xFFFFFFFF))

    for k in (0, 1):
        if state(k) == PENDING:
            rewrite(k, ABORTED)
    initial, valid = False, [k for k in (0, 1) if not invalid(k) and good_crc(k)]
    if invalid(0) and invalid(1):
        first = 0
        initial = all(seq(k) == 0xFFFFFFFF or not good_crc(k) for k in (0, 1))
    elif valid:
        k = max(valid, key=lambda k: (seq(k), -k))
        first = (seq(k) - 1) % (1 << 32) % 2
        if state(k) == NEW:
            rewrite(k, PENDING)
    else:
        first = -1
    order = [*range(first, -1, -1), *range(first + 1, 2)]
    found = next((slot for slot in order if verifies >> slot & 1), -99)
    if initial and found >= 0:
        o[0] = entry(found + 1, VALID)
        ops += [["E", 0], ["P", 0, 0, o[0].hex()]]
    return found, ops


# -- the application's calls, once more: esp_ota_ops.c, two slots


def set_boot(o: list[bytes], slot: int) -> list[Op]:
    k = active(o)
    if k < 0:
        return written(0, o[0], slot + 1, NEW)
    seq = int(unpack("<I", o[k][:4])[0])
    if (seq - 1) % 2 == slot:
        return written(k, o[k], seq, NEW)
    return written(1 - k, o[1 - k], seq + 1, NEW)


def mark_valid(o: list[bytes]) -> list[Op]:
    k = active(o)
    if k < 0 or o[k][24:28] == pack("<I", VALID):
        return []
    return written(k, o[k], int(unpack("<I", o[k][:4])[0]), VALID)


def active(o: list[bytes]) -> int:
    best = -1
    for k in (0, 1):
        seq, state = unpack("<I", o[k][:4])[0], unpack("<I", o[k][24:28])[0]
        if seq == 0xFFFFFFFF or state in (INVALID, ABORTED):
            continue
        if o[k][28:] != pack("<I", crc32(o[k][:4], 0xFFFFFFFF)):
            continue
        if best < 0 or seq > unpack("<I", o[best][:4])[0]:
            best = k
    return best


def written(k: int, old: bytes, seq: int, state: int) -> list[Op]:
    raw = pack("<I", seq) + old[4:24] + pack("<I", state) + pack("<I", crc32(pack("<I", seq), 0xFFFFFFFF))
    return [["E", k], ["P", k, 0, raw.hex()]]


class Table:
    """Values that occur often, by number."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def number(self, value: Any) -> int:
        if value not in self.rows:
            self.rows.append(value)
        return self.rows.index(value)


def boot_vectors() -> dict[str, Any]:
    entries = [BLANK]
    for seq in (1, 2, 3):
        entries += [entry(seq, state) for state in (NEW, PENDING, VALID, INVALID, ABORTED, UNDEFINED)]
    entries += [entry(seq, state, spoilt=0x5A5A5A5A) for seq in (1, 2) for state in (PENDING, VALID, ABORTED)]
    writes, rows = Table(), []
    for a, first in enumerate(entries):
        for b, second in enumerate(entries):
            pair = [first, second]
            boots = [stock(pair, mask) for mask in range(4)]
            calls = [set_boot(pair, 0), set_boot(pair, 1), mark_valid(pair)]
            found = [[slot, writes.number(ops)] for slot, ops in boots]
            rows.append([a, b, found, [writes.number(ops) for ops in calls]])
    outcomes = Table()
    return {
        "entries": [raw.hex() for raw in entries],
        "writes": writes.rows,
        "rows": [[a, b, outcomes.number([boots, calls])] for a, b, boots, calls in rows],
        "outcomes": outcomes.rows,
        "reference": reference_rows(),
    }


def reference_rows() -> list[dict[str, Any]]:
    """The reference variant by hand: whole entries count, torn ones are not there."""
    old, new = entry(1, VALID, True), entry(2, NEW, True)
    torn = new[:24] + b"\xff" * 4 + new[28:]
    pending, aborted = entry(2, PENDING, True), entry(2, ABORTED, True)

    def split(k: int, raw: bytes) -> list[Op]:
        return [["E", k], ["P", k, 4, raw[4:].hex()], ["P", k, 0, raw[:4].hex()]]

    cases = [
        (old, BLANK, 0, []),
        (old, new, 1, split(1, pending)),
        (old, pending, 0, split(1, aborted)),
        (old, aborted, 0, []),
        (old, torn, 0, []),
        (old, pending[:24] + b"\x03\0\0\0" + pending[28:], 0, []),
        (old, entry(2, VALID), 0, []),  # a stock entry: its CRC covers seq only
        (BLANK, BLANK, 0, split(0, entry(1, VALID, True))),
        (BLANK, torn, 0, split(0, entry(1, VALID, True))),
    ]
    return [{"entries": [a.hex(), b.hex()], "slot": slot, "writes": ops} for a, b, slot, ops in cases]


# -- journal and image


def blob(kind: int, fields: dict[int, Any], version: int = 1) -> str:
    raw = bytes([version, kind]) + cbor2.dumps(dict(sorted(fields.items())))
    return (raw + pack("<I", crc32(raw))).hex()


def journal_vectors() -> dict[str, Any]:
    image, home = bytes(range(32)), bytes(range(32, 64))
    trial = {0: 1, 1: 1, 2: 1673152, 3: image, 4: 7, 5: 0, 6: 1672640, 7: home}
    names = ["phase", "slot", "size", "image", "seq", "home_slot", "home_size", "home_image"]
    record = {**dict(zip(names, [1, 1, 1673152, image.hex(), 7, 0, 1672640, home.hex()], strict=True))}
    defaults = {
        "trials": 0,
        "begun": False,
        "causes": "",
        "code": 0,
        "offline": 0,
        "undo": False,
        "told": False,
        "bundle": "",
    }
    more = {8: 2, 9: True, 10: b"\1\3", 11: 502, 12: 1, 13: True, 14: True, 15: home}
    filled = {
        "trials": 2, "begun": True, "causes": "0103", "code": 502, "offline": 1, "undo": True, "told": True,
        "bundle": home.hex(),
    }  # fmt: skip
    hint = {"session": image[:8].hex(), "staged": 0, "written": 9, "dirty": [4, 300], "all_dirty": False}
    without = {k: v for k, v in trial.items() if k != 3}
    return {
        "accept": [
            {"kind": 3, "blob": blob(3, trial), "record": record | defaults},
            {"kind": 3, "blob": blob(3, trial | more), "record": record | filled},
            {"kind": 3, "blob": blob(3, trial | {5: -1}), "record": record | defaults | {"home_slot": -1}},
            {"kind": 2, "blob": blob(2, {0: image[:8], 2: 9, 3: [4, 300]}), "record": hint},
            {"kind": 5, "blob": blob(5, {0: 7, 1: 2}), "record": {"seq": 7, "key_set": 2}},
            {"kind": 5, "blob": blob(5, {}), "record": {"seq": 0, "key_set": 0}},
            {"kind": 4, "blob": blob(4, {0: [[image, 6]]}), "record": {"images": [[image.hex(), 6]]}},
            {"kind": 6, "blob": blob(6, {0: [[home, 1, "1"]]}), "record": {"images": [[home.hex(), 1, "1"]]}},
            {"kind": 8, "blob": blob(8, {0: [[image, home], [home, b""]], 1: image}),
             "record": {"images": [[image.hex(), home.hex()], [home.hex(), ""]], "coming": image.hex()}},
            {"kind": 8, "blob": blob(8, {}), "record": {"images": [], "coming": ""}},
        ],
        "lost": [
            {"why": "unknown field is skipped, but not here: an unknown version", "kind": 5,
             "blob": blob(5, {0: 7}, version=2)},
            {"why": "another kind", "kind": 5, "blob": blob(4, {})},
            {"why": "no image", "kind": 3, "blob": blob(3, without)},
            {"why": "phase 7", "kind": 3, "blob": blob(3, trial | {0: 7})},
            {"why": "four trials", "kind": 3, "blob": blob(3, trial | {8: 4})},
            {"why": "a number for a flag", "kind": 3, "blob": blob(3, trial | {9: 1})},
            {"why": "a text for bytes", "kind": 3, "blob": blob(3, trial | {3: "x" * 32})},
            {"why": "nine dirty sectors", "kind": 2, "blob": blob(2, {0: image[:8], 3: list(range(9))})},
            {"why": "three images", "kind": 8, "blob": blob(8, {0: [[image, b""]] * 3})},
            {"why": "wrong sum", "kind": 5, "blob": blob(5, {0: 7})[:-2] + "00"},
            {"why": "cut short", "kind": 5, "blob": blob(5, {0: 7})[:-2]},
            {"why": "absent", "kind": 5, "blob": ""},
        ],
        "skipped": [{"kind": 5, "blob": blob(5, {0: 7, 99: 1}), "record": {"seq": 7, "key_set": 0}}],
    }  # fmt: skip


def image_vectors() -> dict[str, Any]:
    """One small image of two segments for ESP32-C3, and what is wrong with it once a byte is another."""
    desc = b"\x32\x54\xcd\xab" + bytes(12) + b"1.0".ljust(32, b"\0") + b"demo".ljust(32, b"\0") + bytes(176)
    segments = [(0x3C000020, desc + b"rodata!!"), (0x40380000, b"text" * 5)]
    raw = (
        b"\xe9\x02\x02\x20" + pack("<I", 0x40380000) + b"\xee\0\0\0" + pack("<H", 5) + bytes(3) + b"\xff\xff"
    )
    raw = raw.ljust(23, b"\0") + b"\1"
    xor = 0xEF
    for address, data in segments:
        raw += pack("<II", address, len(data)) + data
        for byte in data:
            xor ^= byte
    raw += bytes(15 - len(raw) % 16) + bytes([xor])
    raw += sha256(raw).digest()
    faults = [
        [0, 0xFF, "IMAGE_RAW"],
        [1, 17, "IMAGE_INVALID"],
        [12, 9, "CHIP_MISMATCH"],
        [15, 1, "IMAGE_CHECKSUM_WRONG"],
        [27, 0x3D, "IMAGE_CHECKSUM_WRONG"],
        [28, 9, "IMAGE_INVALID"],
        [29, 0xFF, "IMAGE_TRUNCATED"],
        [31, 1, "IMAGE_INVALID"],
        [48, 0x32, "IMAGE_CHECKSUM_WRONG"],
        [len(raw) - 33, xor ^ 1, "IMAGE_CHECKSUM_WRONG"],
        [len(raw) - 1, raw[-1] ^ 1, "IMAGE_CHECKSUM_WRONG"],
    ]
    return {
        "image": raw.hex(),
        "chip": 5,
        "size": len(raw),
        "sha256": sha256(raw).hexdigest(),
        "faults": faults,
    }


# -- the rules: SLOTS.md's cases, for those who have no page at hand


def rule_vectors() -> dict[str, Any]:
    section = (FOLDER.parent / "SLOTS.md").read_text().split("\n## 5.")[1].split("\n### Cases")[1]
    lines = [line for line in section.split("\n## 6.")[0].splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {"columns": cells[0][:-1], "rows": [row[:-1] for row in cells[2:]]}


def main() -> None:
    made = {
        "boot": boot_vectors(),
        "journal": journal_vectors(),
        "image": image_vectors(),
        "rules": rule_vectors(),
    }
    for name, data in made.items():
        text = json.dumps(data, separators=(",", ":")) if name == "boot" else json.dumps(data, indent=1)
        (FOLDER / f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
