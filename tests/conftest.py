"""What every test may use."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real firmware pairs; the test is skipped, and says so, where there is none."""
    folder = os.environ.get("CORPUS_DIR")
    if not folder or not Path(folder, "pairs.json").is_file():
        pytest.skip("CORPUS_DIR is not set: no real firmware pairs here")
    return Path(folder)


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The folder of boot vectors made with ESP-IDF's own code; skipped, and says so, where there is none."""
    folder = os.environ.get("VECTORS_DIR")
    if not folder or not Path(folder, "otadata.json").is_file():
        pytest.skip("VECTORS_DIR is not set: no ESP-IDF oracle vectors here")
    return Path(folder)
