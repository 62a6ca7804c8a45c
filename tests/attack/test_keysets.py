"""Key sets on the real agent: rotation, the way back from a fast-forward, comb tables, power cuts."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from otasim.parts import layout
from otaspec import journal

from tests.attack import bench
from tests.attack.bench import FLOOR, OLD, OLDER, SIGNER, delta, full, records
from tests.attack.cases import Case
from tests.attack.keysets import FIRST, NEXT, ROOTS, follow

pytestmark = pytest.mark.slow

# A thief has used up the numbers: the floor is far away, by every witness that a board has.
FAR = 1 << 30
TRIAL = {
    **{"phase": journal.DONE, "slot": 0, "size": len(OLD), "image": hashlib.sha256(OLD).digest(), "seq": FAR},
    **{"home_slot": 1, "home_size": len(OLDER), "home_image": hashlib.sha256(OLDER).digest(), "told": True},
}
RUN_AWAY = records(
    floor=(journal.FLOOR, {"seq": FAR, "key_set": 1}),
    known=(journal.KNOWN, {"images": [[hashlib.sha256(OLD).digest(), FAR, "6.6.6"]]}),
    trial=(journal.TRIAL, TRIAL),
)
RESCUE = {"2": follow(2, keys=[NEXT], revoked=[SIGNER], seq_floor=FLOOR)}


async def run(folder: Path, *cases: Case) -> list[dict[str, Any]]:
    found = await bench.run(folder, [case.line() for case in cases])
    return [found[case.name] for case in cases]


async def test_roots_and_keys_are_replaced_one_set_at_a_time(tmp_path: Path) -> None:
    sets = {
        "2": follow(2, keys=[SIGNER, NEXT]),
        "3": follow(3, [ROOTS[1], ROOTS[2], ROOTS[3]], keys=[NEXT], revoked=[SIGNER], roots=ROOTS[1:]),
    }
    [found] = await run(tmp_path, Case("", "rotation", "", "", full(signer=NEXT), roots=FIRST, keysets=sets))
    # The first answer has set 2 and the release; the key that signed it is known by then.
    assert (found["codes"], found["boots"]) == ([], "another")
    assert found["floor"] == [9, 3]
    assert found["tables"] == 1


async def test_a_fleet_comes_back_from_a_fast_forward(tmp_path: Path) -> None:
    stuck = Case("", "stuck", "", "", full(), roots=FIRST, nvs=RUN_AWAY)
    rescued = Case("", "rescued", "", "", full(signer=NEXT), roots=FIRST, nvs=RUN_AWAY, keysets=RESCUE)
    before, after = await run(tmp_path, stuck, rescued)
    assert before["codes"] == [206]
    assert (after["codes"], after["boots"], after["floor"]) == ([], "another", [9, 2])


async def test_a_table_that_was_altered_costs_time_only(tmp_path: Path) -> None:
    [made] = await run(tmp_path, Case("", "made", "", "", full(), roots=FIRST))
    [table] = tmp_path.glob("driblet.*.comb")
    raw = table.read_bytes()
    table.write_bytes(raw[:5] + b"x" + raw[6:])
    tables = [[SIGNER.kid, hashlib.sha256(raw).digest()]]
    nvs = records(
        keyset=(journal.KEYS, {"set": FIRST, "tables": tables}),
        floor=(journal.FLOOR, {"seq": FLOOR, "key_set": 1}),
    )
    [found] = await run(tmp_path, Case("", "altered", "", "", full(), roots=FIRST, nvs=nvs))
    assert (made["codes"], made["boots"], made["tables"]) == ([], "another", 1)
    assert (found["codes"], found["boots"]) == ([], "another")


CUTS = {"before": layout.CUT_BEFORE, "after": layout.CUT_AFTER}


@pytest.mark.parametrize("kind", CUTS)
async def test_a_cut_at_every_operation(kind: str, tmp_path: Path) -> None:
    """A set with a seq floor is taken, then a release under it: both are there at the end."""
    common: dict[str, Any] = {"roots": FIRST, "nvs": RUN_AWAY, "keysets": RESCUE}
    package = delta(signer=NEXT)
    [uncut] = await run(tmp_path, Case("", "uncut", "", "", package, **common))
    count = uncut["operations"]
    assert count > 30  # flash and NVS: the set, the floor, staging, the slot, the arming, the trial
    cases = [
        Case("", f"cut {n}", "", "", package, cut=(n, CUTS[kind]), **common) for n in range(1, count + 1)
    ]
    for case, row in zip(cases, await run(tmp_path, *cases), strict=True):
        assert row["operations"] >= count + (kind == "before"), case.name  # what was cut is done again
        assert (row["boots"], row["floor"], row["violations"]) == ("another", [9, 2], 0), case.name
        assert row["codes"] == [], case.name
