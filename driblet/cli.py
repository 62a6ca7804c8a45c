"""`driblet`: collects the commands of the parts by entry point."""

import sys
from importlib.metadata import entry_points
from typing import Annotated

import typer
from otaboards import console
from otaspec import errors
from typer.exceptions import TyperException

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # paragraphs are filled to the terminal's width
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Delta OTA for ESP32-class boards: tiny signed patches, power-cut proof updates.",
)

_loaded: dict[str, str] = {}  # name of a part: why its commands are not here, empty if they are


def load_commands() -> None:
    """Adds every command of the installed parts, flat: `driblet diff`, `driblet sim`, ...

    A part whose dependencies are not installed brings none.
    """
    for entry in sorted(entry_points(group="driblet.commands"), key=lambda e: e.name):
        if entry.name in _loaded:
            continue
        _loaded[entry.name] = ""
        try:
            app.add_typer(entry.load())
        except ModuleNotFoundError as error:
            _loaded[entry.name] = f"The commands of {entry.name} need {error.name}, which is not installed."


@app.command()
def explain(
    error: Annotated[
        str, typer.Argument(metavar="ERROR", help="Number or name of an error: 102, SIGNATURE_WRONG.")
    ],
    json: Annotated[bool, console.JSON] = False,
) -> None:
    """Says what an error means and what to do about it.

    Example: driblet explain 612
    """
    number = int(error) if error.isdigit() else next((n for n in errors.TABLE if errors.TABLE[n] == error), 0)
    if number not in errors.TABLE:
        raise errors.error(errors.code("NOT_FOUND"), f"no error {error}")
    console.show_error(errors.error(number), json)


def _run() -> int:
    """Exit status. With --json wrong usage is an error in JSON, too; else Typer shows it."""
    if "--json" not in sys.argv:
        app()
    try:
        return app(standalone_mode=False) or 0
    except TyperException as problem:
        message = problem.format_message() if isinstance(problem, typer.BadParameter) else str(problem)
        raise errors.error(errors.code("REQUEST_INVALID"), message[:120]) from problem


def main() -> None:
    """Console script."""
    load_commands()
    if sys.argv[1:2] in ([], ["-h"], ["--help"]):
        for lacking in filter(None, _loaded.values()):
            console.err.print(lacking, markup=False)
    try:
        sys.exit(_run())
    except errors.OtaError as error:
        console.complain(error)
        sys.exit(console.exit_status(error))
