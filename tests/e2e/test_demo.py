"""`driblet demo` as a stranger runs it: a process, its exit status, and what it wrote."""

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
SOURCES = ("bootloader_spec", "firmware", "differ", "cloud", "host_sim", "boards", ".")


def demo(tmp_path: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(ROOT / source) for source in SOURCES),
        "DRIBLET_DEMO_DIR": str(tmp_path),
    }
    return subprocess.run(
        [sys.executable, "-m", "driblet", "demo", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def figures(tmp_path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tmp_path / "demo.json").read_text())
    return found


def test_a_second_demo_leaves_the_first_ones_folder_alone(tmp_path: Path) -> None:
    with (tmp_path / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ended = demo(tmp_path, "--json")
    assert ended.returncode == 2, ended.stderr
    assert "DRIBLET_DEMO_DIR" in json.loads(ended.stderr)["error"]["evidence"]
    assert [path.name for path in tmp_path.iterdir()] == ["demo.lock"]


@pytest.mark.slow
def test_three_boards_end_confirmed_one_of_them_after_a_power_cut(tmp_path: Path) -> None:
    ended = demo(tmp_path)
    assert ended.returncode == 0, ended.stderr
    found = figures(tmp_path)
    assert [b["state"] for b in found["boards"]] == ["confirmed"] * 3
    assert {b["version"] for b in found["boards"]} == {"1.1.0"}
    assert {b["slot"] for b in found["boards"]} == {"ota_1"}
    assert len({b["image_sha256"] for b in found["boards"]}) == 1
    assert sum(b["power_cuts"] for b in found["boards"]) == 1
    assert found["package_size"] < found["image_size"] / 50
    assert found["package_size"] * 3 <= found["bytes_sent"] <= found["package_size"] * 6
    assert 0 < found["heap_peak"] <= 40 * 1024
    assert found["agent_mpy"]["core"] < 60 * 1024


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("self-test", "SELF_TEST_FAILED"),
        ("import", "TRIAL_CRASHED"),
        ("hang", "TRIAL_WATCHDOG"),
        ("hang-late", "TRIAL_WATCHDOG"),
    ],
)
def test_a_bad_release_goes_back_and_stops_its_rollout(tmp_path: Path, bad: str, why: str) -> None:
    ended = demo(tmp_path, "--bad", bad)
    assert ended.returncode == 0, ended.stderr
    found = figures(tmp_path)
    assert found["rollout_state"] == "stopped"
    assert why in found["rollout_reason"]
    assert {b["version"] for b in found["boards"]} == {"1.1.0"}
    assert sorted(b["error"] for b in found["boards"]) == ["", "", why]


@pytest.mark.slow
def test_no_server_is_tried_again_and_stops_nothing(tmp_path: Path) -> None:
    ended = demo(tmp_path, "--bad", "offline")
    assert ended.returncode == 0, ended.stderr
    assert figures(tmp_path)["rollout_state"] == "running"


@pytest.mark.slow
def test_two_real_images(tmp_path: Path, corpus: Path) -> None:
    pair = next(p for p in json.loads((corpus / "pairs.json").read_text()) if p["name"] == "esp32-text")
    ended = demo(tmp_path, "--old", str(corpus / pair["old"]), "--new", str(corpus / pair["new"]))
    assert ended.returncode == 0, ended.stderr
    assert figures(tmp_path)["image_size"] == (corpus / pair["new"]).stat().st_size


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"\x00" * 4096, "IMAGE_RAW"), (b"\xe9\x03" + b"\x00" * 4096, "IMAGE_INVALID"), (b"", "IMAGE_RAW")],
)
def test_what_is_no_app_image_is_refused_with_the_remedy(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "image.bin"
    path.write_bytes(content)
    ended = demo(tmp_path, "--old", str(path), "--new", str(path))
    assert ended.returncode == 2
    assert why in ended.stderr
    assert "What to do" in ended.stderr
