"""`driblet`: collects the commands of the parts by entry point."""

from importlib.metadata import entry_points

import typer

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Delta OTA for ESP32-class boards: tiny signed patches, power-cut proof updates.",
)


def load_commands() -> None:
    """Adds every command of the installed parts, flat: `driblet diff`, `driblet sim`, ..."""
    for entry in sorted(entry_points(group="driblet.commands"), key=lambda e: e.name):
        app.add_typer(entry.load())


def main() -> None:
    """Console script."""
    load_commands()
    app()
