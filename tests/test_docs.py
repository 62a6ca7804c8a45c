"""The generated pages say what the code says: nothing that a user may type or read is undocumented."""

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from driblet import cli, docs

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("page", docs.PAGES)
def test_page_is_what_the_code_says(page: str) -> None:
    cli.load_commands()
    assert (ROOT / page).read_text() == docs.PAGES[page](), f"{page} is out of date: run `make docs`"


def every(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """(words, command) of each command and group."""
    yield path, command
    for name, sub in getattr(command, "commands", {}).items():
        yield from every(sub, f"{path} {name}")


def test_every_command_and_every_option_has_a_help_text() -> None:
    cli.load_commands()
    for path, command in every(docs.command(), "driblet"):
        assert command.help, f"{path} has no help text"
        for param in command.params:
            standard = param.name in ("install_completion", "show_completion")
            assert standard or getattr(param, "help", None), f"{path}: {param.name} has no help text"


def test_a_part_without_its_dependencies_brings_no_commands_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.load_commands()
    entry = EntryPoint("cloud", "otacloud_that_is_not_here.cli:app", "driblet.commands")
    monkeypatch.setattr(cli, "entry_points", lambda group: [entry])
    monkeypatch.setattr(cli, "_loaded", {})
    monkeypatch.setattr(sys, "argv", ["driblet", "--help"])
    with pytest.raises(SystemExit):
        cli.main()
    assert "The commands of cloud need otacloud_that_is_not_here, which is not" in capsys.readouterr().err
