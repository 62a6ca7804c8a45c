"""The gate of `make mcu`: which figures fail it."""

from bench import mcu

KNOWN = {
    "p256 verify with table": 25_000_000,
    "made-up riscv, address: decoder": 37_000_000,
    "x: heap": 40_000,
}


def test_the_same_figures_pass() -> None:
    assert mcu.judge(KNOWN, KNOWN) == []


def test_less_passes() -> None:
    assert mcu.judge({name: value // 2 for name, value in KNOWN.items()}, KNOWN) == []


def test_five_percent_more_passes_and_a_little_more_fails() -> None:
    name = "made-up riscv, address: decoder"
    assert mcu.judge({name: int(KNOWN[name] * 1.05)}, KNOWN) == []
    assert "+5.1%" in mcu.judge({name: int(KNOWN[name] * 1.051)}, KNOWN)[0]


def test_a_limit_holds_whatever_the_file_says() -> None:
    name = "p256 verify with table"
    assert "at most 30,000,000" in mcu.judge({name: 30_000_001}, {name: 40_000_000})[0]


def test_heap_above_48_kb_fails() -> None:
    assert mcu.judge({"x: heap": 49_153}, {"x: heap": 60_000}) == ["x: heap: 49,153 bytes, at most 49,152"]


def test_a_figure_that_the_file_does_not_know_fails() -> None:
    assert "UPDATE=1" in mcu.judge({"new": 1}, {})[0]


def test_the_committed_figures_hold_their_limits() -> None:
    known = mcu._known()["figures"]
    assert known
    assert {name for name in mcu.LIMITS if "p256" in name} <= set(known)
    assert mcu.judge(known, known) == []
