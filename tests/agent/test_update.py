"""Whole updates: the real agent from the image that boots, on a simulated board, against a server."""

from pathlib import Path

from .service import Service
from .station import Station, full, image, reported


async def test_a_full_image_is_installed_tried_and_confirmed(tmp_path: Path) -> None:
    old, new = image("1.0.0"), image("1.1.0")
    with Service() as service:
        service.release(full(new))
        board = await Station(tmp_path, service, old).run(reported("confirmed"))
        print(board.story())
    assert board.runs() == "ota_1"
    assert board.slot(1, len(new)) == new
    assert service.states() == ["downloading", "verifying", "rebooting", "pending-verify", "confirmed"]
