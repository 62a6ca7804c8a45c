"""The code bundle: back and forth on both Pythons, the same bytes for the same files, bounded and safe."""

from hashlib import sha256
from pathlib import Path
from struct import pack

import otaspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from otaboards import runtime
from otaspec import bundle
from otaspec.errors import InputError

from .readers import reader

NAMES = st.from_regex(r"[a-z_][a-z0-9_.-]{0,8}(/[a-z_][a-z0-9_.-]{0,8}){0,3}", fullmatch=True)


def unpacked(raw: bytes, at: int = 0) -> dict[str, bytes]:
    files = {}
    for name, start, size in bundle.entries(reader(raw), at, len(raw) - at):
        pieces: list[bytes] = []
        bundle.extract(reader(raw), start, size, lambda p, into=pieces: into.append(bytes(p)), bytearray(7))
        files[name] = b"".join(pieces)
    return files


@given(st.dictionaries(NAMES, st.binary(max_size=40), max_size=8), st.integers(0, 3))
def test_what_goes_in_comes_out(files: dict[str, bytes], fill: int) -> None:
    raw = bundle.build(files) + bytes(fill)
    assert unpacked(raw) == files
    assert unpacked(b"before" + raw, 6) == files


def test_the_order_of_the_files_does_not_matter() -> None:
    assert bundle.build({"a": b"1", "b/c": b"2"}) == bundle.build({"b/c": b"2", "a": b"1"})


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "../up", "a/../b", "a//b", "a/", ".hidden", "a b", "ä", "x" * 97]
)
def test_a_name_that_could_leave_the_folder(name: str) -> None:
    with pytest.raises(ValueError, match="is no name for a bundle"):
        bundle.build({name: b""})
    raw = b"BNDL" + pack("<BBHIB", 1, 0, 1, 0, len(name.encode())) + name.encode()
    with pytest.raises(InputError, match="IMAGE_INVALID: bundle: name"):
        bundle.entries(reader(raw), 0, len(raw))


GOOD = bundle.build({"a.py": b"1234", "b.py": b"5678"})


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "ends in the middle"),
        (b"BNDX" + GOOD[4:], "begins"),
        (b"BNDL\2" + GOOD[5:], "begins"),
        (b"BNDL\1\0\xff\xff", "begins"),
        (GOOD + b"\0\0\0\0", "4 bytes after the last file"),
        (GOOD.replace(b"b.py", b"a.py"), "a.py after a.py"),
        (GOOD.replace(b"\4\0\0\0\4b", b"\5\0\0\0\4b"), "b.py ends behind the bundle"),
        (GOOD.replace(b"\4\0\0\0\4b", b"\xff\xff\xff\xff\4b"), "b.py ends behind the bundle"),
    ],
)
def test_what_is_not_a_bundle(raw: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        bundle.entries(reader(raw), 0, len(raw))


def test_every_truncation_is_refused() -> None:
    for size in range(len(GOOD)):
        with pytest.raises(InputError, match="IMAGE_INVALID"):
            bundle.entries(reader(GOOD), 0, size)


def test_more_files_than_a_reader_takes() -> None:
    with pytest.raises(ValueError, match="513 files"):
        bundle.build({f"f{n}": b"" for n in range(513)})


def test_micropython_reads_it_in_little_memory(tmp_path: Path) -> None:
    micropython = runtime.find()
    tree = runtime.compile_tree([Path(otaspec.__file__).parent], arch=None)
    files = {"big": bytes(range(256)) * 2000, "x/y.py": b"z = 1\n"}
    (tmp_path / "bundle").write_bytes(bundle.build(files))
    code = """
import sys
from hashlib import sha256
from otaspec import bundle
file = open(sys.argv[1], 'rb')
def read(at, buffer):
    file.seek(at)
    assert file.readinto(buffer) == len(buffer)
for name, at, size in bundle.entries(read, 0, file.seek(0, 2)):
    hash = sha256()
    bundle.extract(read, at, size, hash.update)
    print(name, size, hash.digest().hex()[:8])
"""
    answer = micropython.run(code, [str(tmp_path / "bundle")], heap="80K", path=[tree], timeout=20)
    assert answer.stderr == ""
    assert answer.stdout.splitlines() == [
        f"{n} {len(d)} {sha256(d).hexdigest()[:8]}" for n, d in files.items()
    ]
