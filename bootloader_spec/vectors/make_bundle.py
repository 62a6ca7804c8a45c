"""Makes bundle.json: application bundles, laid out by hand as PACKAGE.md sections 6 and 7 have them."""

import json
from pathlib import Path
from struct import pack

FOLDER = Path(__file__).parent


def entry(name: str | bytes, data: bytes = b"") -> bytes:
    raw = name.encode() if isinstance(name, str) else name
    return pack("<IB", len(data), len(raw)) + raw + data


def archive(*entries: bytes, count: int | None = None, version: int = 1, reserved: int = 0) -> bytes:
    return (
        b"BNDL"
        + pack("<BBH", version, reserved, len(entries) if count is None else count)
        + b"".join(entries)
    )


def accepted(files: dict[str, bytes]) -> dict[str, object]:
    rows, at = [], 8
    for name, data in files.items():
        at += 5 + len(name)
        rows.append([name, at, len(data)])
        at += len(data)
    return {"bundle": archive(*(entry(name, data) for name, data in files.items())).hex(), "files": rows}


GOOD = archive(entry("app.py", b"pass\n"), entry("lib/words.py", b"W = 1\n"))
REFUSED = {
    "empty": b"",
    "another magic": b"BNDX" + GOOD[4:],
    "version 2": archive(version=2),
    "reserved 1": archive(reserved=1),
    "cut in the head": GOOD[:7],
    "cut in a name": GOOD[:15],
    "cut in the data": GOOD[:-1],
    "a byte behind": GOOD + b"\0",
    "four bytes behind": GOOD + bytes(4),
    "more files than there are": archive(entry("a"), count=2),
    "513 files": archive(*(entry(f"f{n:03}") for n in range(513))),
    "out of order": archive(entry("b"), entry("a")),
    "twice": archive(entry("a"), entry("a")),
    "longer than the bundle": archive(pack("<IB", 2**32 - 1, 1) + b"a"),
    "no name": archive(entry("")),
    "97 letters": archive(entry("x" * 97)),
    "up": archive(entry("../app.py")),
    "up inside": archive(entry("a/../../app.py")),
    "absolute": archive(entry("/app.py")),
    "hidden": archive(entry(".app.py")),
    "this folder": archive(entry("./app.py")),
    "an empty part": archive(entry("a//b")),
    "ends in a slash": archive(entry("a/")),
    "backslash": archive(entry("..\\app.py")),
    "a zero": archive(entry("app.py\0")),
    "a blank": archive(entry("a b")),
    "no UTF-8": archive(entry(b"\xff\xfe")),
    "not ASCII": archive(entry("\u00e4")),
    "the agent": archive(entry("otaagent/boot.py")),
    "the contract": archive(entry("otaspec/verify.mpy")),
    "the agent as a module": archive(entry("otaagent.py")),
}


def vectors() -> dict[str, object]:
    good = [
        {},
        {"app.py": b"pass\n"},
        {"a-b": b"1", "a.b": b"2", "a/b": b"3", "a_b": b"", "otaagents.py": b"", "x/otaspec": b"4"},
        {"x" * 96: bytes(range(256))},
    ]
    return {
        "accept": [accepted(files) for files in good],
        "refuse": [{"why": why, "bundle": raw.hex()} for why, raw in REFUSED.items()],
    }


if __name__ == "__main__":
    (FOLDER / "bundle.json").write_text(json.dumps(vectors(), indent=0) + "\n", encoding="utf-8")
