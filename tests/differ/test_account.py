"""Where the bytes of a patch went: every table adds up."""

import random

import numpy as np
import pytest
from otadiff import account, address, rangecoder
from otadiff.image import Cpu

from tests.differ.synthetic import build, grow, program


@pytest.fixture(scope="module", params=[False, True], ids=["whole", "blocks"])
def patch(request: pytest.FixtureRequest) -> address.Patch:
    made = program(Cpu.XTENSA, 5, functions=500)
    changed = grow(grow(made, 100, 1), 300, 2, instructions=300)
    return address.encode(build(made), build(changed), blocks=request.param)


def test_the_parts_are_the_patch(patch: address.Patch) -> None:
    parts = account.parts(patch.written)
    assert sum(parts.values()) == len(patch.data)
    assert min(parts.values()) >= 0
    assert parts["header"] >= 4
    for name, cost in patch.written.parts.items():
        assert abs(parts[name] - cost / 8192) < 4, name


def test_the_record_holds_all_but_the_head_and_the_map(patch: address.Patch) -> None:
    assert not len(patch.written.record)
    again = patch.again()
    assert again.data == patch.data
    assert again.parts == patch.written.parts
    found = again.record.sum(0)
    for number, name in enumerate(again.parts):
        in_rows = 0 if name in ("head", "map") else again.parts[name]
        assert found[number] == in_rows, name


def test_the_region_that_was_put_in_costs_most(patch: address.Patch) -> None:
    again = patch.again()
    regions = account.regions(again, patch.image)
    dearest = regions[0]
    assert dearest.dominant == "literals"
    assert dearest.segment == "1 code"
    assert dearest.size > len(patch.data) // 2
    segment = patch.image.segments[1]
    assert dearest.address is not None
    assert dearest.address - dearest.offset == segment.address - segment.offset
    assert [r.size for r in regions] == sorted((r.size for r in regions), reverse=True)
    assert all(sum(r.parts.values()) == r.size for r in regions)
    assert sum(r.size for r in regions) <= len(patch.data)


def test_no_more_regions_than_asked_for_and_none_across_segments(patch: address.Patch) -> None:
    again = patch.again()
    again.record[:, rangecoder.EXCEPTIONS] = 8192
    regions = account.regions(again, patch.image, top=1000)
    for region in regions:
        inside = [s for s in patch.image.segments if s.offset <= region.offset < s.offset + s.size]
        assert region.address is None or region.end <= inside[0].offset + inside[0].size
    assert len(account.regions(again, patch.image, top=1)) == 1


def test_raw_bytes_have_no_addresses() -> None:
    rng = random.Random(3)
    old = rng.randbytes(9000)
    patch = address.encode(old, old[:4000] + rng.randbytes(500) + old[4000:])
    (region, *_) = account.regions(patch.again(), patch.image)
    assert region.address is None
    assert region.facts()["address_end"] is None
    assert region.offset < 4500
    assert region.end > 4000


@pytest.mark.parametrize(
    ("total", "weights", "shares"),
    [(10, [1, 1, 1], [4, 3, 3]), (0, [5, 1], [0, 0]), (7, [0, 0], [7, 0]), (100, [999, 1], [100, 0])],
)
def test_apportion(total: int, weights: list[int], shares: list[int]) -> None:
    assert account.apportion(total, np.array(weights)) == shares
