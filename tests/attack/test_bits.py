"""Every bit of a package flipped, every truncation, on MicroPython: each region has its own errors."""

from pathlib import Path

import pytest
from otaboards import runtime

from tests.attack.bench import SIGNER
from tests.attack.cases import PATCH, PATCH_HEAD

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
BITS = Path(__file__).parent / "device" / "bits.py"


def test_every_bit_and_every_length() -> None:
    stdin = f"{PATCH.hex()}\n{SIGNER.public.hex()}\n"
    done = runtime.find().run(BITS, stdin=stdin, timeout=300, path=[ROOT / "bootloader_spec"])
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[int, int]] = {}
    for line in done.stdout.splitlines():
        region, code, count = line.split()
        found.setdefault(region, {})[int(code)] = int(count)
    assert found["whole"] == {0: 1}  # the package itself is good
    assert found["magic"] == {118: 32}
    assert set(found["length"]) <= {101, 106, 108}
    # kid: KEY_UNKNOWN; the envelope's shape: CBOR_MALFORMED or SIGNATURE_WRONG; all else: SIGNATURE_WRONG.
    assert set(found["manifest"]) == {101, 102, 103}
    assert found["manifest"][103] == 64
    assert found["payload"] == {110: 8 * (len(PATCH) - PATCH_HEAD)}
    assert found["end"] == {108: len(PATCH)}
    assert found["more"] == {109: 3}
    flipped = sum(sum(found[region].values()) for region in ("magic", "length", "manifest", "payload"))
    assert flipped == 8 * len(PATCH)
