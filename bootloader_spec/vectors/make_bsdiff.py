"""Hand-assembled patches of codecs 0, 1 and 2: `python make_bsdiff.py` writes bsdiff.json."""

import hashlib
import json
from pathlib import Path
from typing import Any

Row = dict[str, Any]
FOLDER = Path(__file__).parent

OLD = bytes(i * 7 & 0xFF for i in range(5000))
INVALID, RAM, UNKNOWN = "PATCH_INVALID", "PATCH_NEEDS_MORE_RAM", "CODEC_UNKNOWN"


def lz(tokens: list[Any], window: int, lookahead: int, tail: str = "") -> bytes:
    """Tokens: bytes = literals, (distance, length) = a back-reference. `tail`: more bits."""
    bits = ""
    for token in tokens:
        if isinstance(token, bytes):
            bits += "".join(f"1{byte:08b}" for byte in token)
        else:
            bits += f"0{token[0] - 1:0{window}b}{token[1] - 1:0{lookahead}b}"
    bits += tail
    bits += "0" * (-len(bits) % 8)
    return int("1" + bits, 2).to_bytes(len(bits) // 8 + 1, "big")[1:] if bits else b""


def number(n: int) -> bytes:
    return bytes([n & 0x7F]) if n < 128 else bytes([n & 0x7F | 0x80]) + number(n >> 7)


def record(step: int, diff: int, extra: int, rest: bytes) -> bytes:
    return number(step * 2 if step >= 0 else -step * 2 - 1) + number(diff) + number(extra) + rest


def row(why: str, codec: int, made: bytes, new: bytes, **change: Any) -> Row:
    params = {0: {}, 1: {1: 1, 2: 8, 3: 4}, 2: {1: 1, 2: 8, 3: 4}}[codec]
    base = {"why": why, "codec": codec, "params": [[k, v] for k, v in params.items()], "ram": 1 << 20}
    sums = {"new_size": len(new), "new_sha256": hashlib.sha256(new).hexdigest(), "error": ""}
    return base | {"old": OLD.hex(), "patch": made.hex()} | sums | change


def heatshrink_rows() -> list[Row]:
    def add(why: str, tokens: list[Any], new: bytes, *shape: int, **change: Any) -> None:
        window, lookahead = shape or (8, 4)
        params = [[1, 1], [2, window], [3, lookahead]]
        patch = lz(tokens, window, lookahead, change.pop("tail", ""))
        patch = patch[: change.pop("keep", None)] + change.pop("more", b"")
        rows.append(row(why, 1, patch, new, **({"params": params} | change)))

    rows: list[Row] = []
    add("a byte", [b"a"], b"a")
    add("literals", [b"abcdefgh"], b"abcdefgh")
    add("a reference", [b"abc", (3, 3)], b"abcabc")
    add("a reference into itself", [b"a", (1, 9)], b"a" * 10)
    add("the longest of both", [bytes(range(256)), (256, 16)], bytes(range(256)) + bytes(range(16)))
    add("before the start is 0", [(5, 4), b"x"], bytes(4) + b"x")
    add("before the start and after", [b"ab", (4, 6)], b"ab\0\0ab\0\0")
    add("smallest shape", [b"abcd", (16, 8)], b"abcd" + bytes(8), 4, 3)
    add("largest shape", [b"q", (1, 8192), b"z"], b"q" * 8193 + b"z", 14, 13)
    add("across two sectors", [b"12345", *[(5, 16)] * 600], (b"12345" * 2000)[: 5 + 9600])
    add("padding of 7 bits", [b"a" * 9, (1, 2)], b"a" * 11, 8, 5)
    good = [[1, 1], [2, 8], [3, 4]]
    refused: list[tuple[str, list[Any], bytes, tuple[int, ...], Row]] = [
        ("nothing", [], b"a", (), {}),
        ("a token cut short", [b"ab"], b"ab", (), {"keep": -1}),
        ("less than NEW", [b"ab"], b"abc", (), {}),
        ("more than NEW", [b"abc"], b"ab", (), {}),
        ("a reference beyond NEW", [b"a", (1, 9)], b"a" * 9, (), {}),
        ("a byte behind", [b"abc"], b"abc", (), {"more": b"\0"}),
        ("padding of 1 bits", [b"a"], b"a", (), {"tail": "1"}),
        ("version 2", [b"a"], b"a", (), {"params": [[1, 2], [2, 8], [3, 4]], "error": UNKNOWN}),
        ("a parameter more", [b"a"], b"a", (), {"params": [*good, [4, 0]], "error": UNKNOWN}),
        ("a parameter missing", [b"a"], b"a", (), {"params": good[:2], "error": UNKNOWN}),
        ("window 3", [b"a"], b"a", (), {"params": [[1, 1], [2, 3], [3, 2]]}),
        ("window 15", [b"a"], b"a", (), {"params": [[1, 1], [2, 15], [3, 4]]}),
        ("lookahead 2", [b"a"], b"a", (), {"params": [[1, 1], [2, 8], [3, 2]]}),
        ("lookahead = window", [b"a"], b"a", (), {"params": [[1, 1], [2, 8], [3, 8]]}),
        ("one byte of memory too few", [b"a"], b"a", (), {"ram": 256 + 5119, "error": RAM}),
    ]
    for why, tokens, new, shape, change in refused:
        add(why, tokens, new, *shape, **({"error": INVALID} | change))
    add("just enough memory", [b"a"], b"a", ram=256 + 5120)
    return rows


def bsdiff_rows() -> list[Row]:
    def add(why: str, stream: bytes, new: bytes, **change: Any) -> None:
        rows.append(row(why, 2, lz([stream], 8, 4), new, **change))

    def refuse(why: str, stream: bytes, new: bytes = b"\0" * 100, **change: Any) -> None:
        add(why, stream, new, **({"error": INVALID} | change))

    rows: list[Row] = []
    flipped = bytearray(OLD)
    flipped[4095] = flipped[4095] + 255 & 0xFF
    flipped[4999] = flipped[4999] + 1 & 0xFF
    add("the same", record(0, 5000, 0, number(5000)), OLD)
    pairs = number(4095) + b"\xff" + number(903) + b"\1"
    add("a byte at the end of a sector, one at the end", record(0, 5000, 0, pairs), bytes(flipped))
    add("only new bytes", record(0, 0, 5, b"hello"), b"hello")
    back = record(100, 10, 3, number(10) + b"new") + record(-60, 5, 0, number(5))
    add("a piece, new bytes, a piece before it", back, OLD[100:110] + b"new" + OLD[50:55])
    side = record(0, 3, 0, b"\0\1\0\2\0\3")
    add("differences side by side", side, bytes([OLD[0] + 1, OLD[1] + 2, OLD[2] + 3]))
    ends = record(4999, 1, 0, number(1)) + record(-5000, 1, 0, number(1))
    add("the last byte, then the first", ends, OLD[4999:] + OLD[:1])
    add("a number in more bytes than it needs", record(0, 2, 0, b"\x82\0"), OLD[:2])
    add("a new part across sectors", record(0, 0, 9000, OLD + OLD[:4000]), OLD + OLD[:4000])
    refuse("nothing", b"")
    refuse("a record of nothing", record(0, 0, 0, b"") + record(0, 0, 100, bytes(100)))
    refuse("diff beyond NEW", record(0, 101, 0, number(101)))
    refuse("extra beyond NEW", record(0, 0, 101, bytes(101)))
    refuse("both beyond NEW", record(0, 60, 41, number(60) + bytes(41)))
    refuse("before OLD", record(-1, 100, 0, number(100)))
    refuse("behind OLD", record(4901, 100, 0, number(100)))
    refuse("before OLD, without a difference", record(-1, 0, 100, bytes(100)))
    refuse("more unchanged bytes than differences", record(0, 50, 50, number(51) + bytes(50)))
    refuse("a difference of 0", record(0, 100, 0, number(50) + b"\0" + number(49)))
    refuse("a pair too many", record(0, 100, 0, number(100) + b"\1"))
    refuse("unchanged bytes too few", record(0, 100, 0, number(99)))
    refuse("a number of five bytes", b"\x80\x80\x80\x80\0")
    refuse("unchanged bytes in five bytes", record(0, 100, 0, b"\x80\x80\x80\x80\0"))
    refuse("new bytes cut short", record(0, 0, 100, bytes(99)))
    refuse("a record too many", record(0, 0, 100, bytes(100)) + record(0, 0, 1, b"a"))
    refuse("one byte of memory too few", record(0, 0, 100, bytes(100)), ram=256 + 5631, error=RAM)
    refuse("version 0", record(0, 0, 100, bytes(100)), params=[[1, 0], [2, 8], [3, 4]], error=UNKNOWN)
    add("just enough memory", record(0, 0, 100, bytes(100)), bytes(100), ram=256 + 5632)
    return rows


def plain_rows() -> list[Row]:
    def add(why: str, new: bytes, **change: Any) -> None:
        rows.append(row(why, 0, new[32:], new, **({"old": new[:32].hex()} | change)))

    rows: list[Row] = []
    add("an image", OLD)
    add("of two sectors", OLD[:4096] * 2)
    add("a head and a byte", OLD[:33])
    add("a byte short", OLD, patch=OLD[32:-1].hex(), error=INVALID)
    add("a byte long", OLD, patch=(OLD[32:] + b"\0").hex(), error=INVALID)
    add("a short head", OLD, old=OLD[:31].hex(), error=INVALID)
    add("with a parameter", OLD, params=[[1, 1]], error=INVALID)
    rows.append(row("an unknown codec", 0, b"", b"a", error=UNKNOWN) | {"codec": 99})
    return rows


def text() -> str:
    rows = plain_rows() + heatshrink_rows() + bsdiff_rows()
    # Most rows share one OLD: it is written once.
    for one in rows:
        one["old"] = "" if one["old"] == OLD.hex() else one["old"]
    return json.dumps({"old": OLD.hex(), "rows": rows}, indent=0) + "\n"


if __name__ == "__main__":
    (FOLDER / "bsdiff.json").write_text(text())
