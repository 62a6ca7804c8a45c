"""otaspec.journal: records that survive, and records that count as lost."""

from typing import Any

import pytest
from otaspec import journal

IMAGE = bytes(range(32))
HOME = bytes(range(32, 64))
RECORDS: dict[int, dict[str, Any]] = {
    journal.SESSION: {
        "digest": IMAGE,
        "seq": 7,
        "slot": 1,
        "size": 1_673_152,
        "image": HOME,
        "version": "1.1.0",
        "rollout": "r1",
        "url": "/v1/packages/00",
        "etag": '"00"',
        "head": b"\xe9" * 32,
        "manifest": b"m" * 400,
        "undo": False,
        "failures": 1,
    },
    journal.HINT: {"session": b"12345678", "staged": 3, "written": 9, "dirty": [4, 5], "all_dirty": False},
    journal.TRIAL: {
        "phase": journal.READY,
        "slot": 1,
        "size": 1_673_152,
        "image": IMAGE,
        "seq": 7,
        "home_slot": 0,
        "home_size": 1_672_640,
        "home_image": HOME,
        "trials": 2,
        "begun": True,
        "causes": b"\1\3",
        "code": 0,
        "offline": 1,
        "undo": False,
        "told": False,
        "bundle": HOME,
    },
    journal.BLOCKED: {"images": [[IMAGE, 6], [HOME, 5]]},
    journal.FLOOR: {"seq": 7, "key_set": 2},
    journal.KNOWN: {"images": [[IMAGE, 7, "1.1.0"], [HOME, 6, "1.0.0"]]},
    journal.BUNDLES: {"images": [[IMAGE, HOME], [HOME, b""]], "coming": IMAGE},
}
KINDS = sorted(RECORDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_reads_as_it_was_written(kind: int) -> None:
    assert journal.decode(kind, journal.encode(kind, RECORDS[kind])) == RECORDS[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_record_is_lost_and_nothing_worse(kind: int) -> None:
    raw = journal.encode(kind, RECORDS[kind])
    for bit in range(8 * len(raw)):
        bad = bytearray(raw)
        bad[bit // 8] ^= 1 << bit % 8
        assert journal.decode(kind, bytes(bad)) is None
    for end in range(len(raw)):
        assert journal.decode(kind, raw[:end]) is None
    assert journal.decode(kind, raw + b"\0") is None
    assert journal.decode(kind, None) is None


def sealed(kind: int, body: bytes, version: int = journal.VERSION) -> bytes:
    """A blob with a right CRC around any body."""
    raw = bytes((version, kind)) + body
    return raw + journal.crc32(raw).to_bytes(4, "little")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x80",  # an array
        b"\xa0",  # mandatory fields are missing
        b"\xa1\x00\x01",
        b"\xbf\xff",  # indefinite length
    ],
)
def test_a_record_of_another_shape_is_lost(body: bytes) -> None:
    assert journal.decode(journal.TRIAL, sealed(journal.TRIAL, body)) is None


def wrong_values(type_: type, least: int, most: int) -> list[Any]:
    if type_ is int:
        return [least - 1, most + 1, "1", True]
    if type_ is bool:
        return [0, 1, "", None]
    if type_ is bytes:
        return [b"x" * (most + 1), "text"]
    return ["x" * (most + 1), 1] if type_ is str else [[1] * (most + 1), 5, ["x"]]


@pytest.mark.parametrize("kind", KINDS)
def test_no_field_out_of_range_is_written(kind: int) -> None:
    for _, name, type_, least, most, _ in journal.FIELDS[kind]:
        for value in wrong_values(type_, least, most):
            with pytest.raises(ValueError, match=name):
                journal.encode(kind, RECORDS[kind] | {name: value})


def test_another_version_or_kind_is_lost() -> None:
    raw = journal.encode(journal.FLOOR, RECORDS[journal.FLOOR])
    assert journal.decode(journal.FLOOR, sealed(journal.FLOOR, raw[2:-4], version=2)) is None
    assert journal.decode(journal.HINT, raw) is None


def test_a_later_agents_field_is_skipped() -> None:
    body = b"\xa2\x00\x07\x18\x63\x01"  # {0: 7, 99: 1}
    assert journal.decode(journal.FLOOR, sealed(journal.FLOOR, body)) == {"seq": 7, "key_set": 0}


def test_the_largest_records_fit_their_blobs() -> None:
    for kind in KINDS:
        if kind == journal.SESSION:
            continue  # bounded as a whole: the manifest is left out where it does not fit
        largest: dict[str, Any] = {}
        for _, name, type_, _, most, _ in journal.FIELDS[kind]:
            largest[name] = b"x" * most if type_ is bytes else True if type_ is bool else most
        if kind == journal.HINT:
            largest["dirty"] = [65535] * journal.MAX_DIRTY
        if kind == journal.BLOCKED:
            largest["images"] = [[IMAGE, (1 << 32) - 1]] * journal.MAX_BLOCKED
        if kind == journal.KNOWN:
            largest["images"] = [[IMAGE, (1 << 32) - 1, "v" * 64]] * 2
        if kind == journal.BUNDLES:
            largest["images"] = [[IMAGE, HOME]] * 2
        assert len(journal.encode(kind, largest)) <= journal.BLOBS[kind][1]


def test_the_blocklist_keeps_the_latest() -> None:
    record = None
    for seq in range(1, 12):
        record = journal.block(record, IMAGE, seq)
    record = journal.block(record, IMAGE, 5)
    assert [seq for _, seq in record["images"]] == [4, 6, 7, 8, 9, 10, 11, 5]
    assert journal.is_blocked(record, IMAGE, 5)
    assert not journal.is_blocked(record, IMAGE, 1)
    assert not journal.is_blocked(record, HOME, 5)
    assert not journal.is_blocked(None, IMAGE, 5)


def test_names_of_images() -> None:
    record = journal.know(None, IMAGE, 1, "1.0")
    record = journal.know(record, HOME, 2, "1.1")
    record = journal.know(record, HOME, 3, "1.1b")
    assert journal.version_of(record, IMAGE) == (1, "1.0")
    assert journal.version_of(record, HOME) == (3, "1.1b")
    assert journal.version_of(journal.know(record, b"n" * 32, 4, "2"), IMAGE) == (0, "")


def test_the_floor_counts_a_confirmation_at_once() -> None:
    trial = RECORDS[journal.TRIAL]
    assert journal.floor(None, None) == 0
    assert journal.floor({"seq": 5, "key_set": 0}, trial) == 5
    assert journal.floor({"seq": 5, "key_set": 0}, trial | {"phase": journal.DONE}) == 7
    assert journal.floor({"seq": 5, "key_set": 0}, None, own_seq=9) == 9


def test_dirty_marks_survive_into_the_next_session() -> None:
    hint = RECORDS[journal.HINT]
    assert journal.dirty(None) == {"dirty": [], "all_dirty": False}
    assert journal.dirty(hint) == {"dirty": [4, 5, 3, 9], "all_dirty": False}
    full = hint | {"dirty": [10, 11, 12, 13, 14, 15, 16]}
    assert journal.dirty(full) == {"dirty": [], "all_dirty": True}
