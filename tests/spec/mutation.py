"""The mutation run: one boot rule is taken away, and some tests fail. Writes docs/mutation.md.

A rule of the agent goes out of its table, a rule of the bootloader out of the source of otaspec.boot. Then
the cases of SLOTS.md are run against what is left, as tests/spec/test_slots.py does.
"""

import types
from collections.abc import Callable
from pathlib import Path

from otaspec import boot, rules

from tests.spec.slots_page import entry, slots_in
from tests.spec.test_rules import apply
from tests.spec.test_slots import BOOT_CASES, RULE_CASES, action_without

PAGE = Path(__file__).parents[2] / "docs" / "mutation.md"

# rule of SLOTS.md section 4: (what it is, its line in boot.py, the line without it)
BOOTLOADER = {
    "B2": (
        "a trial that was not confirmed is ABORTED",
        "if otadata.state_of(entries[k]) == otadata.PENDING and not (whole and _spoilt(entries[k], whole)):",
        "if False:",
    ),
    "B3a": ("both invalid: from ota_0", "if _all_invalid(entries, whole) or slots == 0:", "if False:"),
    "B3a initial": (
        "both blank or torn: initial",
        "return (FACTORY, False, writes) if factory else (0, spoilt, writes)",
        "return (FACTORY, False, writes) if factory else (0, False, writes)",
    ),
    "B3b": ("no valid entry: from factory", "if k < 0:", "if False:"),
    "B3c": (
        "NEW becomes PENDING_VERIFY",
        "if otadata.state_of(entries[k]) == otadata.NEW:",
        "if False:",
    ),
    "B4 down": (
        "an image that does not verify: the one before",
        "for slot in range(start, FACTORY - 1, -1):",
        "for slot in (start,):",
    ),
    "B4 up": ("then the ones behind", "for slot in range(start + 1, slots):", "for slot in ():"),
    "B4i": ("initial: entry 0 is written", "if initial and choice >= 0:", "if False:"),
    "B5": (
        "nothing verifies: reset",
        "return TEST if test and verifies(TEST) else RESET",
        "return TEST if test and verifies(TEST) else 0",
    ),
}


def agent_rules() -> dict[str, list[str]]:
    """The cases that fail without each rule: names of tests."""
    found = {}
    for row in rules.TABLE:
        without = tuple(other for other in rules.TABLE if other is not row)
        failing = [case for case in RULE_CASES if action_without(without, case) != action_of(case["rule"])]
        found[row[0]] = [
            f"test_the_rule_of_each_case[{c['rule']}-{c['OD0']}-{c['OD1']}-{c['phase']}]" for c in failing
        ]
    return found


def action_of(rule: str) -> str:
    return str(next(row[5] for row in rules.TABLE if row[0] == rule))


def bootloader_rules() -> dict[str, list[str]]:
    found = {}
    for name, (_, line, without) in BOOTLOADER.items():
        decide = mutated(line, without)
        failing = [case for case in BOOT_CASES if not right(decide, case)]
        found[name] = [f"test_the_bootloaders_decision[{c['OD0']}-{c['OD1']}]" for c in failing]
    return found


def mutated(line: str, without: str) -> Callable[..., object]:
    """boot.decide with one line of its module changed."""
    source = Path(boot.__file__).read_text()
    assert source.count(line) == 1, line
    module = types.ModuleType("otaspec.boot")
    module.__package__ = "otaspec"
    exec(compile(source.replace(line, without), boot.__file__, "exec"), module.__dict__)
    return module.decide  # type: ignore[no-any-return]


def right(decide: Callable[..., object], case: dict[str, str]) -> bool:
    entries, verify = (entry(case["OD0"]), entry(case["OD1"])), slots_in(case["verify"])
    choice, ops = decide(entries, 2, False, lambda slot: slot in verify)  # type: ignore[misc]
    wanted = boot.RESET if case["runs"] == "reset" else int(case["runs"])
    after = (entry(case["OD0 after"]), entry(case["OD1 after"]))
    return bool(choice == wanted and apply(entries, ops) == after)


_HEAD = """# What fails without a boot rule

Written by `make mutation`. Each rule of [SLOTS.md](../bootloader_spec/SLOTS.md) is taken away by itself;
these cases of tests/spec/test_slots.py then fail. Each step of an action is taken away too:
`tests/spec/test_torn_writes.py::test_without_it_the_model_fails[step-...]` and `[rule-...]` run each of these
mutants through the model of torn writes in `make test`, and fail unless that comes to harm.

| rule | what | cases that fail | the first of them |
|---|---|---|---|
"""


def page() -> str:
    what = {name: text for name, (text, _, _) in BOOTLOADER.items()}
    what |= {row[0]: f"{row[5]} ({row[2]}{' ' + row[4] if row[4] else ''})" for row in rules.TABLE}
    lines = [
        f"| {rule} | {what[rule]} | {len(failing)} | `{failing[0]}` |\n"
        for rule, failing in (bootloader_rules() | agent_rules()).items()
    ]
    return _HEAD + "".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page())
