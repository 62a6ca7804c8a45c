"""The worked example of PATCH.md: its bytes, and every line of its trace."""

import re
from pathlib import Path

from tests.spec.memory import decode
from tests.spec.patchref import Model, NewSegment, Op, Patch

PAGE = Path(__file__).parents[2].joinpath("bootloader_spec", "PATCH.md").read_text()
OLD, NEW = b"driblet 1", b"driblet 2"


class Trace:
    """A decoder of sections 3 and 4 that notes what it reads."""

    def __init__(self, section: bytes) -> None:
        self.data = section + bytes(16)
        self.range, self.code = (1 << 30) - 1, int.from_bytes(self.data[:4], "big")
        self.used = 4
        self.lines: list[tuple[str, str, int, int, int]] = []

    def bit(self, model: Model) -> int:
        bound = (self.range >> 12) * model.p
        bit = int(self.code < bound)
        if bit:
            self.range = bound
        else:
            self.code -= bound
            self.range -= bound
        model.learn(bit)
        while self.range < 1 << 22:
            self.range <<= 8
            self.code = self.code << 8 | self.data[self.used]
            self.used += 1
        return bit

    def note(self, what: str, value: str, models: list[Model]) -> int:
        """Reads a bit with each of the models; the bits as one number."""
        bits = 0
        for model in models:
            bits = bits << 1 | self.bit(model)
        self.lines.append((what, f"{bits:0{len(models)}b}", self.range, self.code, self.used))
        return bits


def trace(section: bytes) -> list[tuple[str, str, int, int, int]]:
    """The example, symbol by symbol. What is read is known, and so are the models on the way."""

    def path(tree: dict[int, Model], bits: str) -> list[Model]:
        node, models = 1, []
        for bit in bits:
            models.append(tree.setdefault(node, Model()))
            node = node << 1 | int(bit)
        return models

    t = Trace(section)
    lit: dict[int, Model] = {}
    for what in ("H1 count = 0", "H7 nsegs = 0", "H10 entries = 0"):
        t.note(what, "", path({}, "00000"))
    t.note("lit: nb = 0, c = 0", "", path(lit, "00000"))
    t.note("copy: nb = 3", "", path({}, "00011"))
    t.note("its mantissa, L = 8", "", [Model(), Model(), Model()])
    t.note("hit[0]: d = candidate 0 = 0", "", [Model()])
    t.note("gap[11] = END", "", path({}, "11111"))
    t.note("lit: nb = 1", "", path(lit, "00001"))
    t.note("its mantissa, c = 1", "", [Model()])
    t.note("literal, x = 0: 0x32", "", path({}, f"{NEW[-1]:08b}"))
    return t.lines


def test_the_example_is_what_it_says() -> None:
    data = Patch(OLD, NEW, 0, [Op(0, 8, 0), Op(1, 0, 0)], segments=[]).encode()
    shown = re.search(r"The patch, \d+ bytes: `([0-9a-f ]+)`", PAGE)
    assert shown
    assert bytes.fromhex(shown[1]) == data
    assert decode(OLD, data, len(NEW)) == NEW
    rows = re.findall(
        r"^\| (.+?) \| `([01]+)` \| 0x([0-9a-f]+) \| 0x([0-9a-f]+) \| (\d+) \|$", PAGE, re.MULTILINE
    )
    found = [(what, bits, int(r, 16), int(c, 16), int(used)) for what, bits, r, c, used in rows]
    assert found == trace(data[4:])


def test_a_number_may_have_all_its_bits() -> None:
    """Addresses far apart take exponents of 30, the most that a head may have (PATCH.md 4)."""
    new = [NewSegment(0, 1, 0x20000000)]
    patch = Patch(OLD, NEW, 0, [Op(0, 8, 0), Op(1, 0, 0)], segments=[], news=new)
    assert decode(OLD, patch.encode(), len(NEW)) == NEW
