"""Whole updates: the real agent from the image that boots, on a simulated board, against a server."""

from collections.abc import Callable
from pathlib import Path

import pytest

from .service import Service
from .station import Station, delta, full, image, reported


async def test_a_full_image_is_installed_tried_and_confirmed(tmp_path: Path) -> None:
    old, new = image("1.0.0"), image("1.1.0")
    with Service() as service:
        service.release(full(new))
        board = await Station(tmp_path, service, old).run(reported("confirmed"))
    assert board.runs() == "ota_1"
    assert board.slot(1, len(new)) == new
    assert service.states() == ["downloading", "verifying", "rebooting", "pending-verify", "confirmed"]


async def test_a_patch_is_staged_verified_and_applied(tmp_path: Path) -> None:
    old, new = image("1.0.0"), image("1.1.0")
    package = delta(old, new)
    with Service() as service:
        service.release(package)
        board = await Station(tmp_path, service, old).run(reported("confirmed"))
    assert board.runs() == "ota_1"
    assert board.slot(1, len(new)) == new
    assert service.states() == [
        *("downloading", "applying", "verifying", "rebooting", "pending-verify", "confirmed"),
    ]


@pytest.mark.slow
async def test_each_sector_is_erased_once(tmp_path: Path) -> None:
    """And otadata as often as SLOTS.md section 7 says; there and back again."""
    old, new = image("1.0.0"), image("1.1.0")
    with Service() as service:
        board = Station(tmp_path, service, old)
        for number, (package, seq) in enumerate([(full(new), 7), (delta(new, old, 8, "1.0.0"), 8)]):
            before = sum(board.wear("otadata"))
            service.release(package, seq=seq, rollout=number)
            await board.run(confirmed(number))
            assert sum(board.wear("otadata")) - before <= 5
    for label in ("ota_0", "ota_1"):
        wear = board.wear(label)
        assert max(wear) == 1, wear


def confirmed(rollout: int) -> Callable[[Station], bool]:
    return lambda s: any((r["state"], r["rollout"]) == ("confirmed", rollout) for r in s.service.reports)
