"""A final report is not made again where the power went before it was noted that it had been made."""

from pathlib import Path

from tests import simulated

AGAIN = """
import json, sys
sys.path[1:1] = ["{0}/firmware", "{0}/bootloader_spec"]
from otaagent.report import Reports
reports = Reports(lambda: 0)
about = {{"rollout": 3, "seq": 7, "version": "1.1.0"}}
reports.add("confirmed", 100, 0, about, "", {{"bytes_received": {1}, "causes": [2]}})
print(json.dumps([r["data"]["bytes_received"] for _, r in reports._final]))
"""
ROOT = Path(__file__).parents[2]


def test_the_same_final_report_is_queued_once(tmp_path: Path) -> None:
    board = simulated.new_board(tmp_path)
    queued = [simulated.answer(board, AGAIN.format(ROOT, received)) for received in (5, 5, 9)]
    assert queued == [[5], [5], [5, 9]]
