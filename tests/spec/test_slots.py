"""SLOTS.md is what the code does: its tables, run against the code."""

from typing import Any

import pytest
from otaspec import boot, journal, names, otadata, rules

from tests.spec.slots_page import entry, slots_in, table
from tests.spec.test_rules import HASHES, apply, trial_record

BOOT_CASES = table("4.", "Cases")
RULE_CASES = table("5.", "Cases")
NAMES = names.PHASE_NAMES
PHASES = {name: number for number, name in NAMES.items()} | {"NONE": 0}


@pytest.mark.parametrize("case", BOOT_CASES, ids=lambda case: f"{case['OD0']}-{case['OD1']}")
def test_the_bootloaders_decision(case: dict[str, str]) -> None:
    entries, verify = (entry(case["OD0"]), entry(case["OD1"])), slots_in(case["verify"])
    choice, ops = boot.decide(entries, 2, False, lambda slot: slot in verify)
    assert choice == (boot.RESET if case["runs"] == "reset" else int(case["runs"]))
    assert apply(entries, ops) == (entry(case["OD0 after"]), entry(case["OD1 after"]))


def test_the_rules_are_the_pages() -> None:
    every = tuple(PHASES[name] for name in ("NONE", *NAMES.values()))
    page = []
    for row in table("5.", "Rules"):
        phases = every if row["phase"] == "any" else tuple(PHASES[name] for name in row["phase"].split())
        page.append((row["rule"], set(phases), row["runs"], row["entry"], row["fact"], row["action"]))
    assert page == [(r[0], set(r[1]), *r[2:]) for r in rules.TABLE]


def test_the_actions_are_the_pages() -> None:
    page = {row["action"]: tuple(row["steps"].split()) for row in table("5.", "Actions")}
    assert page == rules.STEPS
    assert {row["action"] for row in table("5.", "Rules")} <= set(page)
    named = {row["step"] for row in table("5.", "Steps")} | {"boot_running", "boot_home"}
    assert {step for steps in rules.STEPS.values() for step in steps} <= named


def facts_of(case: dict[str, str]) -> rules.Facts:
    """The situation of a row: slot 0 is home, slot 1 the candidate's."""
    right = slots_in(case["right"])
    trial: dict[str, Any] | None = None
    if case["phase"] != "NONE":
        trial = trial_record(
            PHASES[case["phase"]], trials=int(case["trials"]), begun=case["begun"] == "yes", seq=5
        )

    def holds(slot: int, size: int, image: bytes) -> bool:
        return slot in right and image == HASHES[slot]

    entries = (entry(case["OD0"]), entry(case["OD1"]))
    return rules.Facts(entries, 2, int(case["running"]), trial, holds, int(case["own seq"]))


@pytest.mark.parametrize("case", RULE_CASES, ids=lambda c: f"{c['rule']}-{c['OD0']}-{c['OD1']}-{c['phase']}")
def test_the_rule_of_each_case(case: dict[str, str]) -> None:
    assert rules.decide(facts_of(case))[0] == case["rule"]


@pytest.mark.parametrize("rule", [row[0] for row in rules.TABLE])
def test_each_rule_has_a_case_that_fails_without_it(rule: str) -> None:
    """The mutation run: take the rule away, and its own cases come out otherwise."""
    without = tuple(row for row in rules.TABLE if row[0] != rule)
    cases = [case for case in RULE_CASES if case["rule"] == rule]
    assert cases
    action = next(row[5] for row in rules.TABLE if row[0] == rule)
    assert any(action_without(without, case) != action for case in cases)


def action_without(table_: tuple[Any, ...], case: dict[str, str]) -> str | None:
    try:
        return str(rules.decide(facts_of(case), table_)[1])
    except ValueError:  # no rule is left
        return None


def test_the_journals_kinds_are_the_pages() -> None:
    page = {int(row["kind"]): (row["NVS key"], int(row["most bytes"])) for row in table("6.", "Kinds")}
    assert page == journal.BLOBS


def test_the_journals_fields_are_the_pages() -> None:
    kinds = {row["name"]: int(row["kind"]) for row in table("6.", "Kinds")}
    types = {"int": int, "bool": bool, "bytes": bytes, "str": str, "list": list}
    page: dict[int, list[Any]] = {kind: [] for kind in kinds.values()}
    for row in table("6.", "Fields"):
        type_ = types[row["type"]]
        empty: Any = () if type_ is list else type_()
        default = None if row["if absent"] == "lost" else empty
        bounds = (int(row["least"]), int(row["most"]))
        page[kinds[row["kind"]]].append((int(row["key"]), row["name"], type_, *bounds, default))
    assert {kind: tuple(fields) for kind, fields in page.items()} == journal.FIELDS


def test_the_phases_are_the_pages() -> None:
    row = next(row for row in table("6.", "Fields") if row["name"] == "phase")
    assert row[""] == ", ".join(f"{number} {name}" for number, name in sorted(NAMES.items()))


def test_the_states_are_the_pages() -> None:
    """Only 0, 1, 3 and 4 are monitored or out: the sentence that section 8 stands on."""
    for word in (*range(9), 0xFFFFFFFF, 0x80000000):
        _, ops = boot.decide((entry("1V"), otadata.pack(2, word)), 2, False, lambda _: True)
        choice = boot.decide((entry("1V"), otadata.pack(2, word)), 2, False, lambda _: True)[0]
        unmonitored = choice == 1 and not ops
        assert unmonitored is (word not in (0, 1, 3, 4))
