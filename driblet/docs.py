"""Writes the reference pages that are generated: `make docs`. A test holds the pages to what the code says.

docs/cli.md from the commands themselves, docs/errors.md from the table of errors and its remedies,
the table in boards/README.md from the boards, package.json from what a board carries.
"""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import typer
from otaboards import Board, all_boards
from otaboards.slices import slice_of
from otacloud import docs as cloud
from otaspec.errors import coarse
from otaspec.image import LINUX_HOST
from otaspec.names import COUNT, IGNORE, SWITCH, TABLE, reaction
from otaspec.remedies import REMEDIES
from typer.cli import get_docs_for_click

from driblet import cli

_FAULTS = {
    1: "the package: whoever made or altered it",
    2: "the target: a sound package that is not for this board, or not now",
    3: "the network or the server",
    4: "this board",
    5: "the new release, on trial",
    6: "what a user gave a tool",
    7: "put off, not failed",
}
ROOT = Path(__file__).resolve().parents[1]
_TABLE_BEGINS, _TABLE_ENDS = "<!-- boards: make docs -->", "<!-- /boards -->"
_COARSE = {-1: "-1 upgrade", -2: "-2 download", -3: "-3 verification", -4: "-4 write"}
_REACTIONS = {
    SWITCH: "tries another source, then later",
    COUNT: "counts as a failure",
    IGNORE: "does not count",
}


def errors_page() -> str:
    """Every code with its name, cause and remedy, by whose fault it is."""
    lines = [
        "# Errors",
        "",
        "Every error that a board or a tool can report. The hundreds say whose fault it is. The coarse code",
        "is Aliyun's. *Rollout* is what a rollout makes of it. `driblet explain CODE` says the same.",
    ]
    for number, name in TABLE.items():
        fault = _FAULTS[number // 100]
        if f"## {number // 100}xx {fault}" not in lines:
            lines += ["", f"## {number // 100}xx {fault}"]
        cause, remedy = REMEDIES[number]
        lines += ["", f"### {number} {name}", cause, f"**Remedy:** {remedy}  "]
        lines += [f"Coarse code {_COARSE[coarse(number)]}. Rollout: {_REACTIONS[reaction(number)]}."]
    return "\n".join(lines) + "\n"


def cli_page() -> str:
    """Every command with its arguments and options, as `--help` has them: Typer's own page."""
    context: Any = typer.Context(command(), info_name="driblet")
    page = get_docs_for_click(obj=command(), ctx=context, name="driblet", title="The command line")
    return page.rstrip("\n").replace("&#x27;", "'") + "\n"


def command() -> Any:
    """The whole command line as one command group."""
    return typer.main.get_command(cli.app)


def boards_page() -> str:
    """boards/README.md with its table of boards made anew; the rest is written by hand."""
    text = (ROOT / "boards/README.md").read_text()
    before, rest = text.split(_TABLE_BEGINS)
    rows = [_board_row(board) for board in all_boards() if board.folder.is_relative_to(ROOT)]
    head = ["| board | chip | flash | slots | codecs | run on hardware |", "|---|---|---|---|---|---|"]
    table = "\n".join([*head, *rows])
    return f"{before}{_TABLE_BEGINS}\n{table}\n{_TABLE_ENDS}{rest.split(_TABLE_ENDS)[1]}"


def _board_row(board: Board) -> str:
    tried = "simulator only" if board.chip_id == LINUX_HOST else "yes" if board.tried_on_hardware else "never"
    codecs = ", ".join(str(codec) for codec in board.codecs)
    slots = f"{len(board.slots)} x {board.slot_size >> 10} KB"
    return f"| {board.name} | {board.chip} | {board.flash_size >> 20} MB | {slots} | {codecs} | {tried} |"


def package_json() -> str:
    """What mip copies to a board's file system: agent and contract, all slices."""
    rows = []
    for folder in ("firmware/otaagent", "bootloader_spec/otaspec"):
        for path in sorted((ROOT / folder).glob("*.py")):
            name = f"{path.parent.name}/{path.name}"
            if slice_of(name):
                rows.append(f'  ["{name}", "{folder}/{path.name}"]')
    urls = ",\n".join(rows)
    return f'{{\n "version": "{version("driblet")}",\n "deps": [],\n "urls": [\n{urls}\n ]\n}}\n'


PAGES: dict[str, Callable[[], str]] = {
    "docs/cli.md": cli_page,
    "docs/errors.md": errors_page,
    "docs/settings.md": cloud.settings_page,
    "docs/api.md": cloud.api_page,
    "boards/README.md": boards_page,
    "package.json": package_json,
}


def main() -> None:
    """Writes every page."""
    cli.load_commands()
    for name, page in PAGES.items():
        (ROOT / name).write_text(page())


if __name__ == "__main__":
    main()
