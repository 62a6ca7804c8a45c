"""The tables of bootloader_spec/SLOTS.md, so that page and tests are the same tables."""

from pathlib import Path
from zlib import crc32

PAGE = Path(__file__).parents[2] / "bootloader_spec" / "SLOTS.md"
WORDS = {"N": 0, "P": 1, "V": 2, "I": 3, "A": 4, "U": 0xFFFFFFFF}
BLANK = b"\xff" * 32


def table(section: str, heading: str) -> list[dict[str, str]]:
    """Rows of the first table under `### heading` in `## section`, as {column: cell}."""
    text = PAGE.read_text().split(f"\n## {section}")[1].split("\n## ")[0]
    lines = text.split(f"\n### {heading}")[1].splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip().strip("|").split("|")])
    return [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]


def entry(text: str) -> bytes:
    """The 32 bytes that `2V`, `2P!` or `-` stand for. Written out here, independent of otaspec.otadata."""
    if text == "-":
        return BLANK
    wrong = text.endswith("!")
    seq, state = int(text.rstrip("!")[:-1]), WORDS[text.rstrip("!")[-1]]
    head = seq.to_bytes(4, "little")
    crc = crc32(head, 0xFFFFFFFF) ^ (1 if wrong else 0)
    return head + b"\xff" * 20 + state.to_bytes(4, "little") + crc.to_bytes(4, "little")


def slots_in(text: str) -> set[int]:
    return {int(n) for n in text.split()}


def test_the_notation_is_the_known_vectors() -> None:
    assert entry("1V").hex() == "01" + "00" * 3 + "ff" * 20 + "02000000" + "9a984347"
    assert entry("2N")[28:].hex() == "7437f655"
    assert len(table("4.", "Cases")) == 21
