"""`driblet demo`."""

import asyncio
import fcntl
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from otaboards import console, runtime
from otaboards.folders import build_folder
from otaspec.errors import error

app = typer.Typer()


@app.command()
def demo(
    old: Annotated[Path | None, typer.Option(help="App image that the boards start with.")] = None,
    new: Annotated[Path | None, typer.Option(help="App image that is rolled out.")] = None,
    bad: Annotated[
        str, typer.Option(help="Make the release bad: self-test, import, hang, hang-late, offline.")
    ] = "",
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running until Ctrl-C.")] = False,
    as_json: Annotated[bool, console.JSON] = False,
) -> None:
    """Roll a release out to three simulated boards, on real MicroPython.

    One board's power is cut in the middle. The figures are also written to build/demo.json.
    Exit status 0 only if every board ended as it should.

    Examples:

        driblet demo

        driblet demo --bad hang

        driblet demo --old firmware-1.bin --new firmware-2.bin
    """
    from driblet.demo import cast, story
    from driblet.demo.summary import show

    if bad and bad not in cast.BAD:
        raise error(613, f"--bad {bad}: one of {', '.join(cast.BAD)}")
    if (old is None) != (new is None) or (bad and old):
        raise error(613, "--old and --new go together, and not with --bad")
    build = Path(os.environ.get("DRIBLET_DEMO_DIR") or build_folder(""))
    _alone_in(build)
    with console.err.status("setting the stage: MicroPython and the images"):
        interpreter = runtime.find(progress=console.err.print)
        if old and new:
            play = cast.given_play(old, new, build / "demo-images", interpreter)
        else:
            play = cast.own_play(build / "demo-images", bad)
    try:
        summary = asyncio.run(story.run(play, interpreter, build, keep))
    except KeyboardInterrupt:
        sys.exit(0 if keep else 130)
    if as_json:
        sys.stdout.write((build / "demo.json").read_text())
    else:
        show(summary, console.out)
    if bad == "offline" and summary.ok:
        console.err.print("No server is nobody's fault: the release is tried again and again.")
    if not summary.ok:
        console.err.print(f"[bold red]It did not end as it should.[/] The logs are in {build / 'demo'}.")
        sys.exit(1)


def _alone_in(build: Path) -> None:
    """A second demo in the same folder would take the first one's data away from under it."""
    build.mkdir(parents=True, exist_ok=True)
    lock = os.open(build / "demo.lock", os.O_CREAT | os.O_RDWR)  # held, and closed on exec, until we end
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as taken:
        evidence = f"a demo runs already in {build}; set DRIBLET_DEMO_DIR to another folder"
        raise error(617, evidence) from taken
