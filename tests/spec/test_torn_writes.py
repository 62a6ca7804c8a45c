"""Every write of an update, cut before, torn in order and torn out of order: SLOTS.md sections 5 to 8.

The cuts are exhaustive: each byte prefix, each subset of words, each single bit ahead of or behind the
others; one cut and, from every state that one can leave, a second one. See torn_model.
"""

from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from otaboards import runtime
from otaspec import boot, rules

from tests.spec.slots_page import table
from tests.spec.torn_model import OUTCOMES, STARTS, Broken, Explorer, Run, Setting, hole, start, unmonitored

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
SPEC = HERE.parents[1] / "bootloader_spec"
STOCK = {"variant": boot.STOCK, "split": True}
AT_ONCE = {"variant": boot.STOCK, "split": False}  # as set_boot writes, and as encrypted flash needs it
REFERENCE = {"variant": boot.REFERENCE, "split": True}
SETTINGS = {"stock": STOCK, "stock, at once": AT_ONCE, "reference": REFERENCE}
HOLES = {
    "stock": {"R1", "R2", "R3", "R4"},
    "stock, at once": {"R1", "R2", "R3", "R4", "R5", "R6"},
    "reference": set(),
}
BOTH_WAYS = ("a to b", "b to a")


def explored(
    name: str, kind: str, first: str, depth: int = 1, thorough: bool = True, **more: bool
) -> Explorer:
    return Explorer(Setting(kind, **SETTINGS[name]), thorough).explore(first, depth, **more)


def named(explorer: Explorer) -> Counter[tuple[str, str, str]]:
    """What went otherwise than it should, as (mode of the tear, outcome, hole)."""
    found = Counter()
    for mode, who, op, before, _, outcome in explorer.bad:
        found[mode, outcome, hole(who, op, before) if op[0] in "EP" else op[0]] += 1
    return found


def assert_only_the_residual(name: str, explorer: Explorer) -> None:
    """Bricks are exactly the unmonitored states, they come of out-of-order tears, each hole is there."""
    assert {(mode, outcome) for mode, outcome, _ in named(explorer)} <= {("out of order", "brick")}
    assert {h for _, _, h in named(explorer)} == HOLES[name]
    for world, run in explorer.runs.items():
        assert (run.outcome == "brick") is unmonitored(world, explorer.setting)


# -- one cut, all its tears; the journal lost or rolled back at any write


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("kind", OUTCOMES)
def test_without_a_cut(name: str, kind: str) -> None:
    for first in STARTS:
        setting = Setting(kind, **SETTINGS[name])
        assert Run(start(first, setting), setting).outcome == OUTCOMES[kind], first


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("kind", ["good", "late", "reject", "offline"])
def test_a_release_whose_agent_lives_never_bricks(name: str, kind: str) -> None:
    assert not explored(name, kind, "b to a", nvs=True).bad


def test_in_order_tears_of_a_dead_release_never_brick() -> None:
    for name in SETTINGS:
        modes = {mode for mode, _, _ in named(explored(name, "dead", "b to a", nvs=True))}
        assert modes <= {"out of order"}


@pytest.mark.parametrize("name", ["stock", "stock, at once"])
def test_on_stock_the_residual_is_exactly_the_listed(name: str) -> None:
    assert_only_the_residual(name, explored(name, "dead", "b to a", nvs=True))


def test_on_the_reference_there_is_no_residual() -> None:
    for kind in ("dead", "fickle"):
        assert not explored("reference", kind, "b to a", nvs=True).bad


def test_the_holes_are_the_pages() -> None:
    page = {row["name"]: row for row in table("8.", "Residual")}
    assert set(page) == HOLES["stock, at once"] | HOLES["stock"]
    for name, row in page.items():
        assert row["stock"] == "unmonitored"
        assert row["reference"] == "no"
        assert ("encrypted flash" in row["write"]) is (name not in HOLES["stock"])


def test_an_old_entry_is_erased_at_once_only_after_a_trial() -> None:
    """Opening the slot drops it while nothing in the slot verifies, so R5 is a hole of re-arming only."""
    for _, who, op, before, _, _ in explored("stock, at once", "dead", "rejected in b").bad:
        if hole(who, op, before) == "R5":
            assert dict(before[4])["trials"] > 1


def test_wear_of_a_success() -> None:
    """Section 7: at most five erases of otadata, two more than a board that has it blank."""
    for name in SETTINGS:
        for first in ("fresh", *BOTH_WAYS, "rejected in b"):
            setting = Setting("good", **SETTINGS[name])
            ops = Run(start(first, setting), setting).ops
            assert sum(op[0] == "E" for _, op, _ in ops) <= 4
            assert sum(op[0] == "SE" for _, op, _ in ops) == 1


# -- the same from every start


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("first", STARTS)
def test_one_cut_from_every_start(name: str, first: str) -> None:
    for kind in OUTCOMES:
        found = explored(name, kind, first, nvs=True)
        if kind == "dead":
            assert_only_the_residual(name, found)
        elif kind == "fickle":
            assert {h for _, _, h in named(found)} <= HOLES[name]
        else:
            assert not found.bad, kind


@pytest.mark.slow
@pytest.mark.parametrize("first", [first for first in STARTS if not first.startswith("rejected")])
def test_an_image_that_rots_costs_time_where_another_is_left(first: str) -> None:
    assert not explored("stock", "good", first, nvs=True, rot=True).bad


# -- two cuts


@pytest.mark.slow
@pytest.mark.parametrize("first", BOTH_WAYS)
@pytest.mark.parametrize("name", SETTINGS)
def test_two_cuts_of_whole_words(name: str, first: str) -> None:
    for kind in ("good", "dead", "late", "reject", "offline"):
        found = explored(name, kind, first, depth=2, thorough=False, nvs=True)
        if kind == "dead":
            assert_only_the_residual(name, found)
            continue
        # R8: on stock a torn word and then a lost journal may keep a release that failed its trial.
        excused = {("nvs", "confirmed")} if name != "reference" and kind != "good" else set()
        assert {(mode, outcome) for mode, outcome, _ in named(found)} <= excused


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind", "first"), [
    ("stock", "good", "b to a"),
    ("stock", "dead", "a to b"),
    ("reference", "dead", "b to a"),
])  # fmt: skip
def test_two_cuts_exhaustively(name: str, kind: str, first: str) -> None:
    found = explored(name, kind, first, depth=2)
    assert found.cases > 100_000  # each a torn state of its own
    if name == "stock" and kind == "dead":
        assert_only_the_residual(name, found)
    else:
        assert not found.bad


# -- the mutation run: nothing in the rules is there for show


MUTANTS = [
    *[("rule", row[0]) for row in rules.TABLE],
    *[("step", f"{action} {step}") for action, steps in rules.STEPS.items() for step in steps],
]
MUTANTS.remove(("step", "OPEN drop_entry"))  # its own test, below


def mutated(what: str, which: str) -> dict[str, Any]:
    if what == "rule":
        return {"table": tuple(row for row in rules.TABLE if row[0] != which)}
    action, step = which.split()
    steps = dict(rules.STEPS)
    steps[action] = tuple(s for s in steps[action] if s != step)
    return {"steps": steps}


def missed(change: dict[str, Any]) -> bool:
    """The model shows that something is wrong with these rules: one cut from anywhere, or two."""
    for first, kind in product(STARTS, OUTCOMES):
        rot = kind == "good" and first in BOTH_WAYS
        if goes_wrong(Setting(kind, **STOCK, **change), first, 1, rot):
            return True
    return goes_wrong(Setting("reject", **STOCK, **change), "b to a", 2, False)


def goes_wrong(setting: Setting, first: str, depth: int, rot: bool) -> bool:
    try:
        found = Explorer(setting, thorough=False).explore(first, depth, nvs=True, rot=rot)
    except (Broken, ValueError):
        return True
    bad = [b for b in found.bad if not (b[0] == "nvs" and depth == 2)]  # R8
    return any(setting.kind not in ("dead", "fickle") or not unmonitored(b[4], setting) for b in bad)


def test_nothing_is_missed_in_the_rules_themselves() -> None:
    assert not missed({"steps": dict(rules.STEPS)})


@pytest.mark.slow
@pytest.mark.parametrize(("what", "which"), MUTANTS, ids=lambda part: part.replace(" ", "-"))
def test_without_it_the_model_fails(what: str, which: str) -> None:
    assert missed(mutated(what, which))


def test_without_drop_entry_the_hole_r5_is_wider() -> None:
    steps = mutated("step", "OPEN drop_entry")["steps"]
    found = Explorer(Setting("dead", **AT_ONCE, steps=steps)).explore("rejected in b", 1)
    assert any(hole(who, op, w) == "R5" and dict(w[4])["trials"] == 1 for _, who, op, w, _, _ in found.bad)


def test_the_order_of_opening_matters() -> None:
    """Hole T2: entry first, head second, and a torn erase brings an old rejected image back."""
    steps = dict(rules.STEPS, OPEN=("drop_entry", "behead"))
    found = Explorer(Setting("good", **AT_ONCE, steps=steps)).explore("rejected in b", 1)
    assert {bad[5] for bad in found.bad} == {"brick"}
    assert not Explorer(Setting("good", **AT_ONCE)).explore("rejected in b", 1).bad


# -- the same on MicroPython


def tally() -> list[Any]:
    """One cut of whole words, from two starts: what comes out, as numbers that can be compared."""
    rows = []
    for name, kind, first in product(SETTINGS, OUTCOMES, BOTH_WAYS):
        found = explored(name, kind, first, thorough=False, nvs=True)
        rows.append([name, kind, first, found.cases, len(found.runs), len(found.bad)])
    return rows


ON_DEVICE = """
from torn_model import Explorer, Setting, OUTCOMES
settings = ("stock", "stock", True), ("stock, at once", "stock", False), ("reference", "reference", True)
for name, variant, split in settings:
    for kind in ("good", "dead", "late", "reject", "fickle", "offline"):
        for first in ("a to b", "b to a"):
            found = Explorer(Setting(kind, variant, split), False).explore(first, 1, True)
            print(name, kind, first, found.cases, len(found.runs), len(found.bad), sep="|")
"""


def test_micropython_comes_to_the_same() -> None:
    tree = runtime.compile_tree([SPEC / "otaspec"], arch=None)
    found = runtime.find().run(ON_DEVICE, path=[tree, HERE], timeout=60, heap="16M")
    assert (found.returncode, found.stderr) == (0, "")
    rows = [line.split("|") for line in found.stdout.splitlines()]
    assert rows == [[str(cell) for cell in row] for row in tally()]
