"""Whole updates: the real agent from the image that boots, on a simulated board, against a server."""

from pathlib import Path

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
