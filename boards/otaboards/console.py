"""How every command talks: results on stdout, progress and errors on stderr, JSON where it is asked for."""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from otaspec import errors
from otaspec.remedies import REMEDIES
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

out = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
err = Console(stderr=True, highlight=False)

_PATIENCE = 2.0  # seconds without a word
# say(what, share): what is being done and how much of it is done, 0..1; None where that is not known
Say = Callable[[str, float | None], None]

JSON: Any = typer.Option("--json", help="Print JSON instead of text.")


def print_json(value: Any) -> None:
    """One JSON value on stdout."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def error_fields(error: errors.OtaError) -> dict[str, Any]:
    """What is known about an error, for JSON."""
    cause, remedy = REMEDIES[error.code]
    return {
        "code": error.code,
        "name": error.name,
        "evidence": error.evidence,
        "cause": cause,
        "remedy": remedy,
    }


def show_error(error: errors.OtaError, as_json: bool) -> None:
    """An error as a result, on stdout."""
    if as_json:
        print_json(error_fields(error))
    else:
        _write(error, out)


def complain(error: errors.OtaError) -> None:
    """Says on stderr what went wrong and what to do; as JSON where the command line has --json."""
    if "--json" in sys.argv:
        sys.stderr.write(json.dumps({"error": error_fields(error)}) + "\n")
    else:
        _write(error, err)


def exit_status(error: errors.OtaError) -> int:
    """2 where the user's input is at fault, 1 otherwise."""
    return 2 if 600 <= error.code < 700 and error.name != "RUNTIME_MISSING" else 1


def _write(error: errors.OtaError, console: Console) -> None:
    cause, remedy = REMEDIES[error.code]
    console.print(f"{error.code} {error.name}", style="bold", end="")
    console.print(f"  {error.evidence}" if error.evidence else "", markup=False)
    console.print(cause, markup=False)
    console.print(f"What to do: {remedy}", markup=False)


@contextmanager
def working(what: str) -> Iterator[Say]:
    """Shows progress on stderr if the work takes longer than two seconds, and clears it at the end."""
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    bar = Progress(*columns, console=err, transient=True)
    task = bar.add_task(what, total=None)

    def say(text: str, share: float | None = None) -> None:
        bar.update(task, description=text, total=None if share is None else 1.0, completed=share or 0.0)

    def show() -> None:
        if err.is_terminal:
            bar.start()
        else:
            err.print(f"{what} ...", markup=False)

    timer = threading.Timer(_PATIENCE, show)
    timer.daemon = True
    timer.start()
    try:
        yield say
    finally:
        timer.cancel()
        timer.join()
        if bar.live.is_started:
            bar.stop()
