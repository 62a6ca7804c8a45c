"""An example of tests that users of driblet write: `pytest host_sim/examples`. OLD and NEW are app images.

Without them a small pair is made here, so that the example runs as it is.
"""

import os
import random
from pathlib import Path

import pytest
from otaspec import image, image_file

APP = """
import asyncio

def self_test():
    return {passes}

async def main(agent):
    while True:
        await asyncio.sleep(5)
"""


@pytest.fixture
def images() -> tuple[bytes, bytes]:
    if "OLD" in os.environ:
        return Path(os.environ["OLD"]).read_bytes(), Path(os.environ["NEW"]).read_bytes()
    code = bytearray(random.Random(1).randbytes(20_000))  # noqa: S311
    pair = []
    for version in ("1.0.0", "1.1.0"):
        pair.append(image_file.build([(0x3F400020, image_file.pack_desc(version) + code)], image.LINUX_HOST))
        code[500:520] = b"twenty bytes changed"
    return pair[0], pair[1]


def test_the_release_is_confirmed(ota_board, images):
    assert ota_board(*images).survey.outcome == "new"


def test_no_power_cut_bricks_a_board(ota_board, images):
    verdict = ota_board(*images).prove(points=40)
    assert verdict.runs >= 35
    assert (verdict.bricks, verdict.not_converged, verdict.wrong) == (0, 0, 0)


def test_a_cut_in_the_switch_of_slots(ota_board, images):
    board = ota_board(*images)
    arming = next(n for n in range(1, board.survey.operations) if board.region(n) == "otadata")
    for kind in ("before", "after", "prefix", "subset"):
        assert board.cut(arming, kind).outcome == "new"


@pytest.mark.parametrize(("passes", "outcome"), [(True, "new"), (False, "not_converged")])
def test_my_application_decides(ota_board, images, tmp_path, passes, outcome):
    folder = tmp_path / "src"
    folder.mkdir()
    (folder / "app.py").write_text(APP.format(passes=passes))
    assert ota_board(*images, app=folder).survey.outcome == outcome


def test_a_dead_release_is_sent_back(ota_board, images):
    board = ota_board(*images, release="hang")
    assert board.survey.outcome == "old"
    assert board.prove(points=20).bricks == 0
