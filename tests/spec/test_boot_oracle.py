"""otaspec.boot and otaspec.ota_ops against vectors made with ESP-IDF's own code (folder VECTORS_DIR)."""

import json
from pathlib import Path
from typing import Any

import pytest
from otaspec import boot, ota_ops, otadata

BLANK = b"\xff" * 32


def entries_of(data: dict[str, Any]) -> list[bytes]:
    return [BLANK if e is None else bytes.fromhex(e) for e in data["entries"]]


def as_vector(ops: list[Any]) -> list[list[Any]]:
    """Our operations in the oracle's notation."""
    return [["E", op[1]] if op[0] == "E" else ["P", op[1], op[3].hex()] for op in ops]


@pytest.fixture(scope="module")
def boots(vectors: Path) -> dict[str, Any]:
    return json.loads(Path(vectors, "otadata.json").read_text())  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def calls(vectors: Path) -> dict[str, Any]:
    return json.loads(Path(vectors, "app_writes.json").read_text())  # type: ignore[no-any-return]


def test_the_stock_decision_is_esp_idfs_for_every_vector(boots: dict[str, Any]) -> None:
    entries, tried = entries_of(boots), 0
    for config, a, b, outcome in boots["rows"]:
        n, factory = boots["configs"][config]["n"], boots["configs"][config]["factory"]
        for mask, (slot, w) in enumerate(boots["outcomes"][outcome]):

            def verifies(s: int, mask: int = mask, n: int = n) -> bool:
                return bool(mask >> (n if s < 0 else s) & 1)

            choice, ops = boot.decide((entries[a], entries[b]), n, factory, verifies)
            tried += 1
            assert (choice, as_vector(ops)) == (slot, boots["writes"][w]), (config, a, b, mask)
    assert tried == boots["n_cases"] == 151_720


def call(op: str, entries: tuple[bytes, bytes], n: int, factory: bool) -> tuple[int, Any, list[Any]]:
    """(error, result, writes) of one call in the oracle's notation."""
    name, _, argument = op.partition(":")
    arg = int(argument or 0)

    def verifies(s: int) -> bool:
        return bool(arg >> (n if s < 0 else s) & 1)

    def all_verify(s: int) -> bool:
        return True

    if name in ("set_boot", "set_boot_noimg"):
        error, ops = ota_ops.set_boot(entries, n, arg, name == "set_boot")
    elif name == "mark_valid":
        error, ops = ota_ops.mark_valid(entries, n)
    elif name == "mark_invalid":
        error, ops = ota_ops.mark_invalid(entries, n, verifies, factory)
    elif name == "invalidate_inactive":
        error, ops = ota_ops.invalidate_inactive(entries, n, arg)
    elif name == "get_boot":
        return 0, ota_ops.get_boot(entries, n, factory), []
    elif name == "rollback_possible":
        return 0, int(ota_ops.rollback_possible(entries, n, all_verify, factory)), []
    elif name == "last_invalid":
        found = ota_ops.last_invalid(entries, n, all_verify)
        return 0, -1000 if found is None else found, []
    elif name == "state":
        error, word = ota_ops.state(entries, n, arg)
        return error, (word ^ 0x80000000) - 0x80000000 if error == 0 else None, []
    else:
        raise AssertionError(f"the oracle has a call that is not modelled: {op}")
    return error, None, ops


def test_the_applications_calls_are_esp_idfs_for_every_vector(calls: dict[str, Any]) -> None:
    entries, tried = entries_of(calls), 0
    for config, a, b, row in calls["rows"]:
        n, factory = calls["configs"][config]["n"], calls["configs"][config]["factory"]
        for op, (error, out, w) in calls["results"][row].items():
            got = call(op, (entries[a], entries[b]), n, factory)
            want = (error, out if got[1] is not None else None, calls["writes"][w])
            assert (got[0], got[1], as_vector(got[2])) == want, (op, config, a, b)
            tried += 1
    assert tried == calls["n_cases"] == 91_224


def test_the_oracle_knows_where_set_boot_misses_its_target(calls: dict[str, Any]) -> None:
    """set_boot may succeed and yet not switch, at seq 0 and near 2^32: the reason for otadata.MAX_SEQ."""
    missed = [e for e in calls["exceptions"] if e["what"] == "set_boot OK but next boot != target"]
    assert missed, "the vectors list them"
    for group in missed:
        n = {"A": 2, "B": 2, "C": 3}[group["config"]]
        for a, b, target, got, _ in group["examples"]:
            pair = (bytes.fromhex(a), bytes.fromhex(b))
            _, ops = ota_ops.set_boot(pair, n, target)
            after = list(pair)
            after[ops[1][1]] = ops[1][3]
            factory = group["config"] == "B"
            assert boot.decide(tuple(after), n, factory, lambda s: s >= 0)[0] == got != target
            active = otadata.active(pair)
            seq = otadata.seq_of(pair[active])
            assert seq == 0 or seq > otadata.MAX_SEQ


def test_our_own_vectors_agree_with_the_oracle(boots: dict[str, Any], calls: dict[str, Any]) -> None:
    """vectors/boot.json is what ports and machines without VECTORS_DIR are held to."""
    folder = Path(__file__).parents[2] / "bootloader_spec" / "vectors"
    ours, compared = json.loads((folder / "boot.json").read_text()), 0
    numbers = [{raw: k for k, raw in enumerate(entries_of(data))} for data in (boots, calls)]
    outcomes = {(a, b): boots["outcomes"][o] for c, a, b, o in boots["rows"] if c == 0}
    results = {(a, b): calls["results"][r] for c, a, b, r in calls["rows"] if c == 0}
    for a, b, outcome in ours["rows"]:
        pair = [bytes.fromhex(ours["entries"][k]) for k in (a, b)]
        decided, called = ours["outcomes"][outcome]
        at = tuple(numbers[0].get(raw) for raw in pair)
        if at in outcomes:
            found = [[slot, boots["writes"][w]] for slot, w in outcomes[at]]
            assert found == [[slot, short(ours["writes"][w])] for slot, w in decided]
            compared += 1
        at = tuple(numbers[1].get(raw) for raw in pair)
        if at in results:
            ops = ("set_boot:0", "set_boot:1", "mark_valid")
            assert [calls["writes"][results[at][op][2]] for op in ops] == [
                short(ours["writes"][w]) for w in called
            ]
    assert compared > 300


def short(ops: list[Any]) -> list[Any]:
    return [op if op[0] == "E" else [op[0], op[1], op[3]] for op in ops]
