"""What is frozen into a board's firmware is what a LINUX_HOST image holds."""

import os
from pathlib import Path
from typing import Any

import pytest
from otaboards import all_boards, linux_host

ROOT = Path(__file__).parents[2]


class Frozen:
    """Collects what MicroPython's manifestfile.py would freeze, with its rules for paths."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def execute(self, manifest: Path) -> None:
        previous = Path.cwd()
        os.chdir(manifest.parent)
        words = {"include": self.include, "package": self.package, "module": self.module}
        try:
            exec(manifest.read_text(), words)
        finally:
            os.chdir(previous)

    def include(self, path: str) -> None:
        if not path.startswith("$(PORT_DIR)"):  # the port's own
            self.execute(Path(path).resolve())

    def package(self, name: str, files: Any = None, base_path: str = ".", opt: int = 0) -> None:
        folder = Path(base_path, name)
        found = [folder / file for file in files] if files else sorted(folder.rglob("*.py"))
        assert all(path.is_file() for path in found)
        self.names |= {path.relative_to(base_path).as_posix() for path in found}

    def module(self, name: str, base_path: str = ".", opt: int = 0) -> None:
        assert Path(base_path, name).is_file()
        self.names.add(name)


@pytest.mark.parametrize("manifest", sorted({board.manifest for board in all_boards()}))
def test_boards_freeze_what_a_linux_host_image_holds(manifest: Path) -> None:
    frozen = Frozen()
    frozen.execute(manifest)
    image = {name.replace(".mpy", ".py") for name in linux_host.agent_files(None)}
    assert frozen.names == image
