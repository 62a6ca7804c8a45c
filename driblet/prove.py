"""`driblet prove`: the fault lab for a release of one's own. Joins the differ and the lab."""

import asyncio
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from otaboards import console, loader, runtime
from otaboards.loader import Board
from otaboards.runtime import Runtime
from otadiff.build import board_for, build_package
from otadiff.sign import Signer, development_key, open_public, open_signer
from otasim import bench, lab, picture, points, prove
from otasim.lab import Point, Survey, Update, Verdict
from otasim.points import Regions
from otaspec import manifest as manifests
from otaspec.errors import InputError, code
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

app = typer.Typer()

_DEAD = "hang"  # dead before its agent starts: the hardest for the boot rules
_TITLES = {"good": "A release that works", _DEAD: "A release that is dead before its agent starts"}
_DEAD_SHARE = 4  # of so many cuts, one is of a dead release


@dataclass(frozen=True)
class Case:
    """What is proved: a package, and the image that boards run before it."""

    old: bytes
    package: bytes
    public: bytes
    board: Board
    app: Path | None = None


def _option(metavar: str, text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, metavar=metavar, help=text, **more)


_First = Annotated[
    Path, typer.Argument(metavar="PACKAGE|OLD", help="A package, or the image that boards run.")
]
_New = Annotated[Path | None, typer.Argument(metavar="[NEW]", help="The image that they are to run.")]
_Old = Annotated[Path | None, _option("FILE", "With PACKAGE: the image that boards run now.")]
_Key = Annotated[str | None, _option("KEY", "With PACKAGE: public key of the one who signed it.")]
_BoardName = Annotated[str | None, _option("BOARD", "Kind of board. Default: the smallest that fits.")]
_Points = Annotated[int, _option("N", "Power cuts, spread over all operations.", "--points", min=20)]
_Report = Annotated[Path, _option("FILE", "HTML page to write.")]
_App = Annotated[Path | None, _option("FOLDER", "Application of the new release: a folder with app.py.")]
_Jobs = Annotated[int | None, _option("N", "Processes side by side. Default: one per processor.")]
_Seed = Annotated[int, _option("N", "Another number, another sample.")]


@app.command("prove")
def command(
    first: _First,
    new: _New = None,
    old: _Old = None,
    key: _Key = None,
    board: _BoardName = None,
    count: _Points = 300,
    app: _App = None,
    report: _Report = Path("prove.html"),
    jobs: _Jobs = None,
    seed: _Seed = 0,
    json: Annotated[bool, console.JSON] = False,
) -> None:
    """Cuts the power of a board at N points of an update, and says what became of it.

    The agent, the bootloader's decision and the flash are the real ones, in one process that forks at
    each point: the fork loses its power there, starts again and goes on to its end. Points lie before, after
    and within operations (torn in three ways). A part of them is tried with a release that is dead.
    Exit status 1 if a board was bricked, ran a wrong image or never got anywhere.

    Examples:

    driblet prove old.bin new.bin

    driblet prove update.pkg --old old.bin --key product.pem --points 2000 --report report.html

    driblet prove old.bin new.bin --app src --json
    """
    case = replace(_case(first, new, old, key, board), app=_folder(app))
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        groups, summary = asyncio.run(_prove(case, Path(folder), count, seed, jobs, began))
    title = f"Power cuts: {first.name}" + (f" to {new.name}" if new else "")
    report.write_text(picture.page(title, Regions(case.board.rows), groups, summary))
    if json:
        console.print_json(summary.as_json() | {"report": str(report), "board": case.board.name})
    else:
        _show(summary, report)
    if summary.bricks or summary.wrong or summary.not_converged:
        raise typer.Exit(1)


def _folder(app: Path | None) -> Path | None:
    if app and not (app / "app.py").is_file():
        raise InputError(code("FILE_UNREADABLE"), f"{app} holds no app.py")
    return app and app.absolute()


def _case(first: Path, new: Path | None, old: Path | None, key: str | None, board: str | None) -> Case:
    head = _read(first)
    if head[:4] == manifests.MAGIC:
        return _case_of_package(head, old, key, board)
    if new is None:
        raise typer.BadParameter(f"needed, since {first} is no package", param_hint="NEW")
    signer = open_signer(key) if key else development_key(_say)
    with console.working("Making the package") as say:
        return case_of_images(head, _read(new), signer, board, progress=say)


def case_of_images(old: bytes, new: bytes, signer: Signer, board: str | None = None, **more: Any) -> Case:
    """The package from `old` to `new`, as the differ makes it. more: for otadiff.build.build_package."""
    kind = loader.load(board) if board else board_for(new)
    made = build_package(old, new, board=kind, product="prove", version="new", seq=1, signer=signer, **more)
    return Case(old, made.data, signer.public, kind)


def _case_of_package(package: bytes, old: Path | None, key: str | None, board: str | None) -> Case:
    if old is None:
        raise typer.BadParameter("the image that boards run before this package", param_hint="--old")
    public = open_public(key) if key else development_key(_say).public
    return case_of_package(_read(old), package, public, board)


def case_of_package(old: bytes, package: bytes, public: bytes, board: str | None = None) -> Case:
    """A package that `public` (X || Y) signed; board: its own kind unless named."""
    manifest = bench.opened(package, public)
    return Case(old, package, public, loader.load(board or manifest.board))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(code("FILE_UNREADABLE"), f"{path}: {error.strerror}"[:120]) from error


def _say(text: str) -> None:
    console.err.print(text, markup=False)


async def _prove(
    case: Case, folder: Path, count: int, seed: int, jobs: int | None, began: float
) -> tuple[list[picture.Group], prove.Summary]:
    found = runtime.find(_say)
    plans = [
        await _plan(found, case, folder, "good", count - count // _DEAD_SHARE, seed),
        await _plan(found, case, folder, _DEAD, count // _DEAD_SHARE, seed),
    ]
    summary = prove.Summary(plans[0].base.operations)
    groups = []
    with _bar() as bar:
        task = bar.add_task("", total=sum(len(plan.points) for plan in plans), bricks=0)
        for plan in plans:

            def on_verdict(verdict: Verdict, expected: str = plan.update.expected()) -> None:
                summary.add(verdict, expected)
                bar.update(task, advance=1, bricks=summary.bricks)

            verdicts = await prove.run(
                found, plan.update, plan.base, plan.points, jobs=jobs, on_verdict=on_verdict
            )
            groups.append(picture.Group(_TITLES[plan.update.release], plan.base, verdicts))
    summary.seconds = time.monotonic() - began
    return groups, summary


@dataclass(frozen=True)
class _Plan:
    update: Update
    base: Survey
    points: list[Point]


async def _plan(found: Runtime, case: Case, folder: Path, release: str, count: int, seed: int) -> _Plan:
    """An update with a release that behaves like that, its uncut run, and where it is to be cut.

    A dead release is cut from the arming on: until then all releases are alike.
    """
    update = bench.update_of(
        folder / release,
        found,
        case.board,
        case.old,
        case.package,
        case.public,
        release=release,
        app=case.app,
    )
    base = await lab.survey(found, update)
    if base.outcome != update.expected():
        raise InputError(code("NOT_FOUND"), f"without any cut it ends {base.outcome}: {base.why}"[:120])
    regions = Regions(case.board.rows)
    first = 1 if release == "good" else regions.first(base.trace, "otadata")
    return _Plan(update, base, points.stratified(base, regions, count, seed=seed, first=first))


def _bar() -> Progress:
    columns: list[Any] = [TextColumn("Cutting the power"), BarColumn(), MofNCompleteColumn()]
    return Progress(
        *columns, TextColumn("{task.fields[bricks]} bricks"), TimeRemainingColumn(), console=console.err
    )


def _show(summary: prove.Summary, report: Path) -> None:
    good = not (summary.bricks or summary.wrong or summary.not_converged)
    console.out.print(
        f"{summary.runs:,} power cuts, {summary.bricks} bricks", style="bold green" if good else "bold red"
    )
    erases = f"{summary.extra_erases} erase" + "s" * (summary.extra_erases != 1)
    lines = [
        f"an update makes {summary.operations:,} flash and NVS operations",
        f"a cut cost at most {summary.extra_bytes:,} bytes of download and {erases}",
    ]
    if summary.unmonitored:
        lines.append(
            f"{summary.unmonitored} dead releases booted unmonitored: what a stock bootloader cannot promise"
        )
    if summary.not_converged:
        lines.append(f"{summary.not_converged} boards neither took the update nor settled")
    if summary.wrong:
        lines.append(f"{summary.wrong} boards ended in a wrong state")
    for line in [*lines, f"{summary.seconds:.0f} s, report: {report}"]:
        console.out.print(line, markup=False)
