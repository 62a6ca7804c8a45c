"""What every board must do, on whatever stands at its port. Nothing here writes to the board's flash."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from otaboards import provision
from otaboards.link import Link

from .dut import BoardDut

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "bootloader_spec" / "vectors"
HEAP = 48 << 10  # bytes, for all of an update
# codec: the golden patches that are decoded, by what they are made for
PATCHES = {
    1: ["across two sectors"],
    2: ["the same"],
    3: ["raw bytes: and residuals"],
}
DECODE = """
import gc, hashlib
from binascii import hexlify, unhexlify
from otaspec import patch
from otaspec.errors import OtaError

class Memory:
    def __init__(self, text):
        self.data = unhexlify(text)
        self.size = len(self.data)
        self.at = 0
    def readinto(self, *args):
        at = args[0] if len(args) == 2 else self.at
        n = min(len(args[-1]), self.size - at)
        args[-1][:n] = self.data[at:at + n]
        self.at = at + n
        return n

class Hash:
    def __init__(self, size):
        self.size = size
        self.sha = hashlib.sha256()
    def write(self, data):
        self.sha.update(data)

def decode(codec, params, ram, old, data, size):
    new = Hash(size)
    gc.collect()
    base = peak = gc.mem_alloc()
    try:
        for _ in patch.decode(codec, params, Memory(old), Memory(data), new, ram):
            gc.collect()
            peak = max(peak, gc.mem_alloc())
    except OtaError as e:
        return e.name, 0
    return hexlify(new.sha.digest()).decode(), peak - base
"""
pytestmark = pytest.mark.slow


def vectors(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text())


def patches(codec: int) -> list[dict[str, Any]]:
    """Golden rows of a codec, one of them refused."""
    found = vectors("address" if codec == 3 else "bsdiff")
    rows = [row | {"old": row["old"] or found["old"]} for row in found["rows"] if row["codec"] == codec]
    good = [row for row in rows if row["why"] in PATCHES[codec]]
    return [*good, next(row for row in rows if row["error"] == "PATCH_INVALID" and row["patch"])]


def judged(link: Link, first: str = "") -> list[object]:
    """Where the verifier comes from, and what it says of a golden signature and of a bad one."""
    good = next(row for row in vectors("p256") if row["ok"])
    key, digest, signed = (bytes.fromhex(good[name]) for name in ("public", "digest", "signature"))
    wrong = bytes([signed[0] ^ 1]) + signed[1:]
    calls = ", ".join(f"p256.verify({key!r}, {digest!r}, {each!r})" for each in (signed, wrong))
    code = f"{first}\nfrom otaspec import p256\nimport json\nprint(json.dumps([p256.__file__, {calls}]))"
    return list(link.ask(code))


def test_it_runs_micropython_with_the_agent_and_two_slots(dut: BoardDut) -> None:
    dut.run("import sys\nprint('MicroPython', *sys.implementation.version[:3])")
    dut.expect(re.compile(rb"MicroPython 1 (2[5-9]|[3-9]\d) \d+"), timeout=10)
    found = provision.about(dut.link)
    assert found["slots"] == 2
    assert found["otadata"] == 1
    assert found["frozen"] or dut.kind == "serial"  # there it may come from `driblet board setup`


def test_its_agent_says_what_it_is(dut: BoardDut) -> None:
    found = provision.status(dut.link)
    source = (ROOT / "firmware/otaagent/config.py").read_text()
    assert f"API_LEVEL = {found['agent']}  #" in source
    assert {found["slot"], found["other"]} == {"ota_0", "ota_1"}
    assert found["dn"] == ("lamp-7" if dut.kind == "simulator" else found["dn"])


def test_golden_signatures(dut: BoardDut) -> None:
    rows = vectors("p256")
    good = next(row for row in rows if row["ok"])
    bad = next(row for row in rows if not row["ok"] and row["public"] == good["public"])
    for row in (good, bad):
        words = [bytes.fromhex(row[name]) for name in ("public", "digest", "signature")]
        dut.run(f"from otaspec import p256\nprint('signature', p256.verify(*{words!r}))")
        dut.expect_exact(f"signature {row['ok']}", timeout=30)


@pytest.mark.parametrize("codec", PATCHES)
def test_golden_patches_within_the_heap_of_an_update(dut: BoardDut, codec: int) -> None:
    dut.run(DECODE)
    for row in patches(codec):
        words = (codec, dict(row["params"]), row["ram"], row["old"], row["patch"], row["new_size"])
        dut.run(f"print('decoded %s, heap %d' % decode(*{words!r}))")
        found = dut.expect(re.compile(rb"decoded (\S+), heap (\d+)"), timeout=30)
        assert found.group(1).decode() == (row["error"] or row["new_sha256"]), row["why"]
        assert int(found.group(2)) <= HEAP
        print(f"{dut.kind}: codec {codec}, {row['why']}: {int(found.group(2))} bytes of heap")


def test_an_exception_on_the_board_is_told(dut: BoardDut) -> None:
    with pytest.raises(Exception, match="ZeroDivisionError"):
        dut.run("1 // 0")
    assert dut.ask("x = 6", "x * 7") == 42
