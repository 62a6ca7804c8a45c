"""Phases: sizes, what is needed, windows."""

import pytest
from otacloud.phases import Phase, Progress, has_soaked, in_window, is_reached


@pytest.mark.parametrize(
    ("phase", "total", "size", "needed"),
    [
        (Phase(count=1), 3, 1, 1),
        (Phase(count=5), 3, 3, 3),
        (Phase(percent=1), 3, 1, 1),
        (Phase(percent=1), 1000, 10, 10),
        (Phase(percent=5, success=90), 1000, 50, 45),
        (Phase(percent=100), 7, 7, 7),
        (Phase(percent=50, success=1), 3, 2, 1),
    ],
)
def test_sizes(phase: Phase, total: int, size: int, needed: int) -> None:
    assert (phase.size(total), phase.needed(total)) == (size, needed)


def test_reached_by_success_or_when_nobody_is_left() -> None:
    phase = Phase(percent=10, success=50)
    assert not is_reached(phase, 100, Progress(settled=4, open=1))
    assert is_reached(phase, 100, Progress(settled=5, open=1))
    assert is_reached(phase, 100, Progress(settled=0, open=0))


def test_soak() -> None:
    phase = Phase(count=1, soak=60)
    assert not has_soaked(phase, None, 1000)
    assert not has_soaked(phase, 941, 1000)
    assert has_soaked(phase, 940, 1000)


@pytest.mark.parametrize(
    ("window", "hour", "open_"),
    [
        ([], 3, True),
        ([60, 240], 3, True),
        ([60, 180], 3, False),
        ([1320, 240], 3, True),
        ([1320, 240], 23, True),
        ([1320, 240], 12, False),
    ],
)
def test_window(window: list[int], hour: int, open_: bool) -> None:
    assert in_window(window, 1_700_006_400 // 86_400 * 86_400 + hour * 3600) is open_
