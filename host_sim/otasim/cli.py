"""Commands of the simulator."""

import asyncio
import signal
from pathlib import Path
from typing import Annotated, Any

import typer
from otaboards import console, loader, runtime
from otaspec import errors
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from otasim import board as boards
from otasim import sim as one
from otasim.faults import Cut, Faults
from otasim.files import BoardFiles

app = typer.Typer()
_GRACE = 2.0  # seconds after the end of an update, in which the board tells the server


def _option(metavar: str, text: str) -> Any:
    return typer.Option(metavar=metavar, help=text)


Pk = Annotated[str, typer.Argument(metavar="PK", help="Product key.")]
Dn = Annotated[str, typer.Argument(metavar="DN", help="Device name.")]
Ds = Annotated[str, typer.Argument(metavar="DS", help='Device secret, 64 hex digits; "-": register with PS.')]
Ps = Annotated[str | None, typer.Argument(metavar="PS", help="Product secret, 64 hex digits.")]
Server = Annotated[list[str] | None, _option("URL", "The cloud; again for a second one.")]
Key = Annotated[list[str] | None, _option("KEY", "Public key that signs releases: hex, or a PEM file.")]
BoardName = Annotated[
    str | None, _option("BOARD", "Kind of board. Default: the smallest that fits the image.")
]
Image = Annotated[Path | None, _option("FILE", "App image it runs at first. Default: an example.")]
Version = Annotated[str, _option("TEXT", "What that image is called.")]
Flash = Annotated[Path | None, _option("FILE", "Its flash file, made if absent. Default: DN.bin")]
Ca = Annotated[Path | None, _option("FILE", "CA of the server, PEM or DER.")]
Poll = Annotated[int, _option("SECONDS", "Between polls, until the server says otherwise.")]
Soak = Annotated[int, _option("SECONDS", "A new release runs so long before it is confirmed.")]
CutAt = Annotated[list[str] | None, _option("N[:KIND]", "Cut the power at flash operation N.")]
Once = Annotated[bool, typer.Option("--once", help="End after the first update.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show the board's console on stderr.")]


@app.command()
def sim(
    pk: Pk,
    dn: Dn,
    ds: Ds,
    ps: Ps = None,
    server: Server = None,
    key: Key = None,
    board: BoardName = None,
    image: Image = None,
    version: Version = "0.0.0",
    flash: Flash = None,
    ca: Ca = None,
    poll: Poll = 10,
    soak: Soak = 10,
    cut: CutAt = None,
    once: Once = False,
    verbose: Verbose = False,
    json: Annotated[bool, console.JSON] = False,
) -> None:
    """Runs one simulated board: real firmware on real MicroPython over a flash file.

    It logs in (or registers first), polls, updates itself, and goes on until Ctrl-C. Its flash file stays
    and is used again by the next call.

    Examples:

    driblet sim PK lamp-1 - $PS --server http://127.0.0.1:8000 --key $KEY

    driblet sim PK lamp-1 $DS --server https://ota.example.com --ca ca.pem --key product.pem --once

    driblet sim PK lamp-1 - $PS --server http://127.0.0.1:8000 --key $KEY --cut 200:bits
    """
    faults = Faults([_cut(c) for c in cut or []])
    settings = _settings(pk, dn, ds, ps, server or [], key or [], ca)
    first: one.Settings = {"version": version, "poll": poll, "soak": soak}
    found = runtime.find(lambda text: console.err.print(text, markup=False))
    files, kind = _files(flash or Path(f"{dn}.bin"), found, board, image, settings, first)
    watch = asyncio.run(_run(files, kind, found, faults, once, verbose))
    _tell(watch, files, kind, json)
    if watch.why == "nothing-boots" or (once and watch.final != "confirmed"):
        raise typer.Exit(1)


def _settings(
    pk: str, dn: str, ds: str, ps: str | None, servers: list[str], keys: list[str], ca: Path | None
) -> one.Settings:
    """What provisioning writes into a board; only what was given."""
    if ds == "-" and not ps:
        raise typer.BadParameter('DS is "-", so PS is needed to register', param_hint="PS")
    plain = any(url.startswith("http://") for url in servers)
    if plain:
        console.err.print("Plain HTTP: for development only.", style="yellow")
    settings: one.Settings = {"pk": pk, "dn": dn, "dev": 1}
    if ds != "-":
        settings["ds"] = _secret(ds, "DS")
    if ps:
        settings["ps"] = _secret(ps, "PS")
    if servers:
        settings["server"] = " ".join(servers)
    if keys:
        settings["keys"] = b"".join(one.public_key(k) for k in keys)
    if ca:
        settings["ca"] = one.read(ca)
    return settings


def _secret(text: str, name: str) -> bytes:
    try:
        return one.secret(text)
    except ValueError as error:
        raise errors.error(errors.code("REQUEST_INVALID"), f"{name}: {error}") from error


def _files(
    flash: Path,
    found: runtime.Runtime,
    name: str | None,
    image: Path | None,
    settings: one.Settings,
    first: one.Settings,
) -> tuple[BoardFiles, loader.Board]:
    """The board's files, made if they are not there."""
    if flash.exists():
        files = BoardFiles(flash)
        kind = one.kind_of(files)
        one.provision(files, kind, settings)
        console.err.print(f"{flash}: the board as it was left", markup=False)
        return files, kind
    for wanted, option in (("server", "--server"), ("keys", "--key")):
        if wanted not in settings:
            raise typer.BadParameter("needed for a new board", param_hint=option)
    raw = one.read(image) if image else one.example_image(found)
    kind = one.choose_board(name, one.check_image(raw), len(raw))
    return one.new_board(flash, kind, raw, settings | first), kind


def _cut(text: str) -> Cut:
    operation, _, kind = text.partition(":")
    try:
        return Cut(int(operation), kind or "before")
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--cut") from error


async def _run(
    files: BoardFiles, kind: loader.Board, found: runtime.Runtime, faults: Faults, once: bool, verbose: bool
) -> one.Watch:
    """Until Ctrl-C, or with `once` until the first update has ended."""
    bar = Progress(
        TextColumn("{task.fields[name]}"), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(),
        console=console.err,
    )  # fmt: skip
    task = bar.add_task("starting", total=100, name=files.name)

    ending: list[asyncio.TimerHandle] = []

    def show(watch: one.Watch) -> None:
        bar.update(
            task, completed=max(watch.step, 0), description=f"{watch.version} {watch.slot} {watch.state}"
        )
        if once and watch.final and not ending:
            ending.append(asyncio.get_running_loop().call_later(_GRACE, device.switch_off))

    watch = one.Watch(show)

    def see(event: boards.Event) -> None:
        if verbose and event.kind == "console":
            bar.console.print(event.data["line"], markup=False, highlight=False)
        watch.see(event)

    device = boards.Board(files, found, one.options(kind, found), faults, see)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, device.switch_off)
    with bar:
        await device.run()
    return watch


def _tell(watch: one.Watch, files: BoardFiles, kind: loader.Board, as_json: bool) -> None:
    rtc = files.open_rtc()
    found: dict[str, Any] = {
        "board": kind.name, "name": files.name, "state": watch.final or watch.state, "version": watch.version,
        "slot": watch.slot, "image_sha256": watch.image, "code": watch.code, "bytes": watch.bytes,
        "boots": rtc[one.layout.W_BOOTS], "power_cuts": rtc[one.layout.W_POWER_CUTS],
        "operations": rtc[one.layout.W_OPERATIONS], "erases": rtc[one.layout.W_ERASES],
        "flash": str(files.flash), "log": str(files.log), "stopped": watch.why,
    }  # fmt: skip
    rtc.close()
    if as_json:
        console.print_json(found)
        return
    if watch.why == "nothing-boots":
        console.out.print(f"{files.name}: nothing boots", style="bold red")
    console.out.print(
        f"{files.name}: {found['state']}, version {watch.version or '?'} in {watch.slot}, "
        f"{found['boots']} boots, {found['power_cuts']} power cuts, {found['erases']} erases",
        markup=False,
    )
    console.out.print(f"Flash: {files.flash}   Console: {files.log}", markup=False)
    if watch.code:
        console.show_error(errors.error(watch.code), False)
