"""otaspec.rules: every state that a reset can leave is decided, and every chain of decisions ends."""

from itertools import product
from typing import Any

import pytest
from otaspec import journal, names, otadata, rules

SLOTS = 2
HASHES = (b"a" * 32, b"b" * 32)
WORDS = (otadata.PENDING, otadata.VALID, otadata.ABORTED)


def trial_record(phase: int, **changes: Any) -> dict[str, Any]:
    record = {
        "phase": phase,
        "slot": 1,
        "size": 1000,
        "image": HASHES[1],
        "seq": 5,
        "home_slot": 0,
        "home_size": 1000,
        "home_image": HASHES[0],
        "trials": 1,
        "begun": False,
        "causes": b"",
        "code": 0,
        "offline": 0,
        "undo": False,
        "told": False,
    }
    return record | changes


def entry_choices() -> list[bytes]:
    some = [otadata.pack(seq, word) for seq in (1, 2, 3) for word in WORDS]
    return [otadata.BLANK, b"\0" * 32, *some]


def apply(entries: tuple[bytes, bytes], ops: list[Any]) -> tuple[bytes, bytes]:
    flash = [bytearray(entry) for entry in entries]
    for op in ops:
        if op[0] == "E":
            flash[op[1]] = bytearray(b"\xff" * 32)
            continue
        _, k, at, data = op
        for i, byte in enumerate(data):
            assert not byte & ~flash[k][at + i] & 0xFF, "a program that needs 0 -> 1"
            flash[k][at + i] &= byte
    return bytes(flash[0]), bytes(flash[1])


def settle(entries: tuple[bytes, bytes], running: int, trial: Any, right: tuple[bool, bool], own: int) -> str:
    """Carry out decisions of one boot until it ends; the last action. Fails if it does not end."""

    def holds(slot: int, size: int, image: bytes) -> bool:
        return right[slot] and HASHES[slot] == image

    for _ in range(8):
        facts = rules.Facts(entries, SLOTS, running, trial, holds, own)
        _, action = rules.decide(facts)
        if action in rules.FINAL:
            return action
        for step in rules.STEPS[action]:
            if step == "reset":
                return action
            if step == "behead":
                right = (right[0] and facts.trial["slot"] != 0, right[1] and facts.trial["slot"] != 1)
            elif step in ("mark_valid", "drop_entry", "boot_home", "boot_candidate", "boot_running"):
                facts.entries = entries = apply(entries, rules.otadata_writes(step, facts))
            elif step != "block":
                facts.trial = trial = rules.record_after(step, trial)
    raise AssertionError("no end")


@pytest.mark.parametrize("phase", [0, *sorted(names.PHASE_NAMES)])
def test_every_state_is_decided_and_every_boot_ends(phase: int) -> None:
    changes = [{"trials": t, "begun": b} for t in (1, 3) for b in (False, True)] if phase else [{}]
    rights = list(product((False, True), repeat=2))
    ends = set()
    for first, second in product(entry_choices(), repeat=2):
        for running, right, change, own in product((0, 1), rights, changes, (0, 5)):
            trial = trial_record(phase, **change) if phase else None
            ends.add(settle((first, second), running, trial, right, own))
    assert ends <= {"TRIAL", "HOLD", "STEADY", "RESET", "LEAVE", "CLAIM", "ARM"}


def test_causes_become_the_verdict() -> None:
    ready = trial_record(journal.READY, trials=3)
    assert rules.verdict(ready, rules.PWRON) == 505
    assert rules.verdict(ready | {"causes": b"\1\2"}, rules.PWRON) == 503
    assert rules.verdict(ready | {"causes": b"\1\2"}, rules.WDT) == 502
    assert rules.verdict(ready | {"phase": journal.INTENT}, rules.PWRON) == 408


def in_place(phase: int, **changes: Any) -> dict[str, Any]:
    """The record of a trial of a bundle alone (SLOTS.md section 10): the image that runs, in slot 0."""
    here = {"slot": 0, "image": HASHES[0], "home_slot": 0, "home_image": HASHES[0]}
    return trial_record(phase, **here | changes)


@pytest.mark.parametrize(
    ("record", "rule", "action"),
    [
        (in_place(journal.READY), "T6", "TRIAL"),
        (in_place(journal.READY, begun=True, trials=3), "T5", "REJECT"),
        (in_place(journal.INTENT), "T4", "FINISH"),
        (in_place(journal.REJECTED), "G1", "GIVE_UP"),
        (in_place(journal.OFFLINE), "O1", "HOLD"),
        (in_place(journal.REVERTED), "S1", "STEADY"),
        (in_place(journal.DONE), "S1", "STEADY"),
    ],
)
def test_a_trial_in_place(record: dict[str, Any], rule: str, action: str) -> None:
    """And where the other image runs, or another one in its slot, the record is about nothing."""
    entries = otadata.pack(1, otadata.VALID), otadata.BLANK

    def decided(running: int, right: bytes) -> tuple[str, str]:
        facts = rules.Facts(entries, SLOTS, running, record, lambda _slot, _size, image: image == right)
        found: tuple[str, str] = rules.decide(facts)
        return found

    assert decided(0, HASHES[0]) == (rule, action)
    if record["phase"] in (journal.READY, journal.INTENT):
        assert decided(0, HASHES[1]) == ("F1", "FORGET")
        assert decided(1, HASHES[0]) == ("F2", "FORGET")


@pytest.mark.parametrize("phase", [journal.READY, journal.INTENT, journal.REJECTED, journal.OFFLINE])
def test_every_boot_in_a_trial_in_place_ends(phase: int) -> None:
    for first, second in product(entry_choices(), repeat=2):
        for running, trials, begun in product((0, 1), (0, 1, 3), (False, True)):
            record = in_place(phase, trials=trials, begun=begun)
            end = settle((first, second), running, record, (True, True), 0)
            assert end in {"TRIAL", "HOLD", "STEADY", "RESET", "LEAVE", "CLAIM"}
