"""How commands call a running service: what each takes, and how its answer is shown."""

import functools
import inspect
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec, TypeAlias, TypeVar

import typer
from otaboards import console
from otaspec import errors
from pydantic import BaseModel, ValidationError
from rich.progress import BarColumn, Progress, TextColumn

from otacloud import words
from otacloud.client import Client

LOCAL = "http://127.0.0.1:8070"
INTERVAL = 2.0  # seconds between two looks of --watch

Pk = Annotated[str, typer.Option("--product", "-p", help="Product key.")]
Dn = Annotated[str, typer.Argument(help="Device name.")]
Board = Annotated[str | None, typer.Option(help="Board id, where several have that version.")]

# What every command here takes besides its own.
_COMMON = {
    "server": (Annotated[str, typer.Option(envvar="DRIBLET_SERVER", help="URL of the service.")], LOCAL),
    "auth": (Annotated[str, typer.Option("--token", envvar="DRIBLET_TOKEN", help="API token.")], ""),
    "ca": (
        Annotated[Path | None, typer.Option(envvar="DRIBLET_CA", help="PEM file of the server's authority.")],
        None,
    ),
    "as_json": (Annotated[bool, console.JSON], False),
}

Again = Annotated[bool, typer.Option("--watch", help="Again whenever it changes, until Ctrl-C.")]

P = ParamSpec("P")
M = TypeVar("M", bound=BaseModel)
Shown: TypeAlias = M | Iterator[M]  # one answer, or one after the other
Command = Callable[Concatenate[Client, P], Shown[Any]]


def calls(group: typer.Typer, name: str) -> Callable[[Command[P]], Command[P]]:
    """Makes a function of a client a command: it gets the connection and its answer is shown.

    Exit status 1 where the answer is a release or rollout that failed.
    """

    def decorate(function: Command[P]) -> Command[P]:
        @functools.wraps(function)
        def command(*, server: str, auth: str, ca: Path | None, as_json: bool, **given: Any) -> None:
            try:
                with Client(server, auth, ca) as cloud:
                    answer = function(cloud, **given)  # type: ignore[call-arg]
                    for each in answer if isinstance(answer, Iterator) else (answer,):
                        _show(each, as_json)
            except ValidationError as problem:
                raise _invalid(problem) from None
            if getattr(answer, "state", "") in ("failed", "stopped") and name != "stop":
                raise typer.Exit(1)

        own = list(inspect.signature(function).parameters.values())[1:]
        common = [
            inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)
            for n, (kind, default) in _COMMON.items()
        ]
        command.__signature__ = inspect.Signature(own + common)  # type: ignore[attr-defined]
        group.command(name)(command)
        return function

    return decorate


def _show(answer: BaseModel, as_json: bool) -> None:
    if as_json:
        console.print_json(answer.model_dump(mode="json"))
    else:
        words.show(answer)
    sys.stdout.flush()  # whoever watches through a pipe sees it now


def looked_at(look: Callable[[Client], M], cloud: Client, watch: bool) -> Shown[M]:
    """What `look` gives; to watch: again whenever that has changed."""
    return _changes(look, cloud) if watch else look(cloud)


def _changes(look: Callable[[Client], M], cloud: Client) -> Iterator[M]:
    shown = None
    while True:
        now = cloud.patiently(lambda: look(cloud))
        if now != shown:
            yield now
        shown = now
        time.sleep(INTERVAL)


def _invalid(problem: ValidationError) -> errors.OtaError:
    first = problem.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return errors.error(errors.code("REQUEST_INVALID"), f"{where}: {first['msg']}"[:120])


def bars() -> Progress:
    """Progress on stderr, gone when it is done."""
    count = TextColumn("{task.completed:.0f}/{task.total}")
    return Progress(
        TextColumn("{task.description:8}"), BarColumn(), count, console=console.err, transient=True
    )
