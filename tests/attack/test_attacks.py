"""Every attack of the table against the real agent: its own error, no head written, the old image boots."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.attack import bench
from tests.attack.cases import GOOD, HEAD, PATCH, PATCH_HEAD, Case, flip
from tests.attack.table import CASES, tables

pytestmark = pytest.mark.slow

Found = dict[str, dict[str, Any]]


async def attack(folder: Path, cases: Sequence[Case], without: str = "") -> Found:
    return await bench.run(folder, [case.line() for case in cases], without)


def wrong(case: Case, found: dict[str, Any]) -> str:
    """What of the promise does not hold; empty if all does."""
    if set(found["codes"]) != {case.code}:
        return f"ended with {found['codes']}, not with {case.code} {case.error}"
    if found["boots"] != "old" or found["violations"]:
        return f"boots {found['boots']}"
    if found["head"] == "written":
        return "a head was written"
    if found["unpacked"]:
        return f"unpacked {found['unpacked']}"
    if not case.later and (found["writes"] or found["head"]):
        return f"{found['writes']} flash operations before it was refused"
    return ""


async def test_each_ends_in_its_own_error(tmp_path: Path) -> None:
    found = await attack(tmp_path, CASES)
    failed = {case.name: wrong(case, found[case.name]) for case in CASES}
    assert {name: why for name, why in failed.items() if why} == {}
    # What the package or the target is to blame for, the server hears; nothing else is called a failure.
    for case in CASES:
        said = {code for state, code in found[case.name]["reports"] if state == "failed"}
        assert said == ({case.code} if case.code < 300 or case.code > 500 else set()), case.name


async def test_a_good_package_goes_through_the_same_bench(tmp_path: Path) -> None:
    """So the bench can see a board that takes what it is given."""
    good = [Case("", "full", "", "", GOOD), Case("", "delta", "", "", PATCH)]
    for found in (await attack(tmp_path, good)).values():
        assert (found["codes"], found["boots"], found["head"]) == ([], "another", "written")
        assert found["reports"][-1] == ["confirmed", 0]


# A check that is left out, and cases that must notice.
CHECKS = {
    "signature": ["unsigned", "stranger-under-our-name", "field-changed"],
    "target": ["product", "board", "device", "agent"],
    "order": ["older-release", "same-seq", "security-counter", "expired", "to-the-end", "a-rejected-release"],
    "image": ["too-large", "base"],
    "payload": ["codec", "memory", "staging"],
    "bootable": ["security-counter-hidden", "chip-in-the-image", "combined", "something-behind-it"],
    "pace": ["a-byte-a-second", "just-fast-enough"],
    "etag": ["package-changes-under-way", "weak-etag"],
    "answer": ["no-mac", "an-old-answer", "answer-changed"],
}


@pytest.mark.parametrize("check", CHECKS)
async def test_without_a_check_its_cases_fail(check: str, tmp_path: Path) -> None:
    cases = [case for case in CASES if case.name in CHECKS[check]]
    assert len(cases) == len(CHECKS[check])
    found = await attack(tmp_path, cases, check)
    assert [case.name for case in cases if not wrong(case, found[case.name])] == []


def _sample(package: bytes, head: int) -> list[Case]:
    """Each region's bits and lengths, some of each."""
    size = len(package)
    ends = [*range(1, head, 9), *range(head, size, max((size - head) // 16, 1)), size - 1]
    spots = [*range(0, head, 5), *range(head, size, max((size - head) // 24, 1))]
    cases = [Case("", f"end at {at}", "PACKAGE_TRUNCATED", "", package[:at], later=at >= head) for at in ends]
    return cases + [
        Case("", f"bit {at % 8} of byte {at}", "", "", flip(package, at, 1 << at % 8), later=at >= head)
        for at in spots
    ]


@pytest.mark.parametrize(("package", "spoilt"), [(GOOD, 111), (PATCH, 110)], ids=["full", "delta"])
async def test_bits_and_lengths_through_the_agent(package: bytes, spoilt: int, tmp_path: Path) -> None:
    head = HEAD if package is GOOD else PATCH_HEAD
    cases = _sample(package, head)
    found = await attack(tmp_path, cases)
    for case in cases:
        codes = set(found[case.name]["codes"])
        if case.error:
            assert not wrong(case, found[case.name]), case.name
        else:
            expected = {spoilt} if case.later else {101, 102, 103, 106, 108, 118}
            assert codes <= expected, (case.name, codes)
            assert len(codes) == 1
            assert (found[case.name]["boots"], found[case.name]["head"] == "written") == ("old", False)
            assert case.later or not found[case.name]["writes"]


def test_the_page_lists_the_table() -> None:
    page = (Path(__file__).parent.parent.parent / "docs" / "security.md").read_text()
    assert tables().rstrip() in page, "python -m tests.attack.table prints what the page should say"
    assert len({case.name for case in CASES}) == len(CASES) >= 50
