"""Key sets from draft to a set that boards take, on the command line, one root at a time."""

import json
import runpy
from pathlib import Path

import pytest
from otadiff import keysets
from otaspec import rotation

from tests.conftest import Driblet


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driblet: Driblet) -> Path:
    """Three roots, two signing keys and the first set."""
    monkeypatch.chdir(tmp_path)
    for name in ("r1", "r2", "r3", "old", "new"):
        assert driblet("keyset", "new-key", f"{name}.pem").status == 0
    roots = [word for n in (1, 2, 3) for word in ("--root", f"r{n}.pem")]
    assert driblet("keyset", "draft", "-o", "1.keys", *roots, "--key", "old.pem@lamp").status == 0
    return tmp_path


def kid(driblet: Driblet, file: str) -> str:
    return str(json.loads(driblet("keyset", "show", file, "--json").stdout)["keys"][0]["kid"])


def test_a_rotation(folder: Path, driblet: Driblet) -> None:
    old = kid(driblet, "1.keys")
    words = ("--after", "1.keys", "--key", "new.pem@lamp", "--revoke", old, "--seq-floor", 40)
    assert driblet("keyset", "draft", "-o", "2.keys", *words).status == 0
    driblet("keyset", "sign", "2.keys", "--key", "r1.pem")
    short = driblet("keyset", "show", "2.keys", "--after", "1.keys")
    assert (short.status, "KEY_SET_INVALID" in short.stdout) == (1, True)
    driblet("keyset", "sign", "2.keys", "--key", "r3.pem")
    driblet("keyset", "sign", "2.keys", "--key", "r3.pem")  # counts once, and replaces itself
    whole = driblet("keyset", "show", "2.keys", "--after", "1.keys")
    assert whole.status == 0, whole.stdout
    assert whole.stdout.count("has signed") == 2
    assert f"revoked  {old}" in whole.stdout
    found = rotation.step(keysets.opened(Path("1.keys").read_bytes()), Path("2.keys").read_bytes())
    assert (found.version, found.threshold, found.seq_floor) == (2, 2, 40)
    assert [key.product for key in found.keys] == ["lamp"]


def test_the_module_for_the_firmware(folder: Path, driblet: Driblet) -> None:
    assert driblet("keyset", "freeze", "1.keys").status == 0
    payload = runpy.run_path("root_keys.py")["SET"]
    assert rotation.decode(payload).version == 1
    assert payload == rotation.split(Path("1.keys").read_bytes())[0]


@pytest.mark.parametrize(
    ("words", "status", "name"),
    [
        (("draft", "-o", "x.keys"), 1, "KEY_SET_INVALID"),
        (("draft", "-o", "x.keys", "--after", "1.keys", "--revoke", "12"), 2, "KEY_INVALID"),
        (("draft", "-o", "x.keys", "--after", "1.keys", "--threshold", "4"), 1, "KEY_SET_INVALID"),
        (("sign", "gone.keys", "--key", "r1.pem"), 2, "FILE_UNREADABLE"),
        (("show", "r1.pem"), 1, "CBOR_MALFORMED"),
        (("show", "1.keys", "--after", "1.keys"), 1, "KEY_SET_INVALID"),
    ],
)
def test_refusals(folder: Path, driblet: Driblet, words: tuple[str, ...], status: int, name: str) -> None:
    answer = driblet("keyset", *words)
    assert (answer.status, name in answer.stdout + answer.stderr) == (status, True)
