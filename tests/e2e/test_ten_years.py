"""A board that got its agent long ago is updated by today's cloud: the agent of each closed issue.

No binary is kept: the image is built again from history, by that commit's own code. A clone without
history (`git clone --depth 1`) asks its origin for the commit; the test is skipped where that fails.
"""

import os
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

import pytest
from otaboards import runtime
from otaboards.folders import runtime_folder

from tests.agent.station import EXAMPLES, image
from tests.agent.test_cloud import rolled_out

ROOT = Path(__file__).parents[2]
PARTS = ("bootloader_spec", "firmware", "boards", "differ", "host_sim", "cloud")
# issues: the commit with whose agent they were closed
CLOSED = {
    "2": "8b1c761b100d0117b94759c8147e47922910d9ca",
    "3 to 6": "0a96b8e4acd5a3aa2411986f4eedc71a25ca9afc",
}
BUILD = "from pathlib import Path; from otaboards import linux_host; import sys; \
linux_host.build_image(Path(sys.argv[1]), version='1.0.0', out=Path(sys.argv[2]))"

pytestmark = pytest.mark.slow


def git(*words: str) -> bytes | None:
    """The output of a git command in this checkout; None where it fails."""
    try:
        done = subprocess.run(["git", "-C", ROOT, *words], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout


def sources(commit: str, folder: Path) -> None:
    """The tree of a commit, from this clone or its origin."""
    if git("cat-file", "-e", f"{commit}^{{commit}}") is None:
        git("fetch", "--quiet", "--depth", "1", "origin", commit)
    raw = git("archive", commit, *PARTS)
    if raw is None:
        pytest.skip(f"commit {commit[:7]} is not in this clone and its origin does not give it")
    with tarfile.open(fileobj=BytesIO(raw)) as archive:
        archive.extractall(folder)


def old_image(commit: str, folder: Path) -> bytes:
    """The LINUX_HOST image as that commit builds it."""
    sources(commit, folder)
    runtime.find()
    roots = os.pathsep.join(str(folder / part) for part in PARTS)
    environment = os.environ | {"PYTHONPATH": roots, "DRIBLET_RUNTIME_DIR": str(runtime_folder())}
    out = folder / "old.bin"
    words = [sys.executable, "-c", BUILD, str(EXAMPLES / "blink"), str(out)]
    done = subprocess.run(words, env=environment, cwd=folder, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return out.read_bytes()


@pytest.mark.parametrize("issues", CLOSED)
async def test_an_agent_of_a_closed_issue_takes_todays_release(tmp_path: Path, issues: str) -> None:
    (tmp_path / "then").mkdir()
    old, new = old_image(CLOSED[issues], tmp_path / "then"), image("1.1.0")
    assert old != image("1.0.0")
    await rolled_out(tmp_path, old, new)
