"""Commands of the differ: diff, apply, inspect, keyset."""

from pathlib import Path
from textwrap import wrap
from typing import Annotated, Any

import typer
from otaboards import console, loader
from otaspec import image
from otaspec.errors import InputError, code

from otadiff import bundles
from otadiff.apply import apply_files
from otadiff.build import board_for, build_package, facts_of, reader
from otadiff.inspect import inspect as look_at
from otadiff.inspect_package import image_size
from otadiff.keycommands import keyset
from otadiff.report import explanation, summary
from otadiff.sign import Signer, development_key, open_public, open_signer

app = typer.Typer()
app.add_typer(keyset, name="keyset")

NO_FILE = "-"
_WIDTH = 80
_RAM = 32768  # what a board gives a decoder, if nobody says
_Key = Annotated[str | None, typer.Option("--key", metavar="KEY", help="Key: a PEM file, or file:PATH.")]


@app.command()
def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help='Image that boards run now; "-": a full image.')],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Image that they are to run.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="PKG", help="Package to write.")],
    board: Annotated[
        str | None, typer.Option(metavar="BOARD", help="Kind of board. Default: the smallest that fits.")
    ] = None,
    product: Annotated[str, typer.Option(metavar="PRODUCT", help="Product key.")] = "driblet-dev",
    version: Annotated[
        str | None, typer.Option(metavar="VERSION", help="For people. Default: what NEW says of itself.")
    ] = None,
    seq: Annotated[int, typer.Option(metavar="N", min=1, help="Number of the release; must grow.")] = 1,
    key: _Key = None,
    codec: Annotated[
        list[str] | None, typer.Option(metavar="CODEC", help="Try this codec only; may be given again.")
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The application's files, beside the image.")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Measure any two files, for no board.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Show which regions of NEW cost most.")] = False,
    json: Annotated[bool, console.JSON] = False,
) -> None:
    """Makes a signed package that takes a board from OLD to NEW.

    Every codec that the board has is tried; the smallest payload wins. The device's own decoder then
    rebuilds NEW from the package under MicroPython: no package is written that it did not accept.
    The board's seconds are an estimate from counted instructions; --explain knows the address codec only.

    Examples:

    driblet diff old.bin new.bin -o update.pkg

    driblet diff old.bin new.bin -o update.pkg --explain

    driblet diff new.bin new.bin -o files.pkg --bundle app    (the files alone)

    driblet diff - new.bin -o full.pkg --product lamp --version 1.1.0 --seq 7 --key key.pem
    """
    if not output.parent.is_dir():  # said before the long part
        raise InputError(code("FILE_UNREADABLE"), f"{output.parent}: no such folder"[:120])
    new_data = _read(new)
    old_data = None if old == NO_FILE else _read(Path(old))
    target = loader.load(board) if board and not raw else board_for(new_data, raw)
    with console.working("Comparing the images") as say:
        made = build_package(
            old_data,
            new_data,
            board=target,
            product=product,
            version=version or _own_version(new_data) or "0.0.0",
            seq=seq,
            signer=_signer(key),
            codecs=codec or (),
            bundle=bundles.pack(bundle) if bundle else b"",
            progress=say,
        )
        regions = made.encoded.regions() if explain else []
    _write(output, made.data)
    if json:
        facts = {"package": str(output)} | (
            {"regions": [each.facts() for each in regions]} if explain else {}
        )
        console.print_json(made.facts() | facts)
        return
    lines = summary(made, str(output)) + (explanation(regions, made.encoded) if explain else [])
    for line in lines:
        console.out.print(line, markup=False)


@app.command()
def apply(
    old: Annotated[str, typer.Argument(metavar="OLD", help='Image that the board runs; "-": none.')],
    package: Annotated[Path, typer.Argument(metavar="PKG", help="Package.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help="Image to write.")],
    key: _Key = None,
    cpython: Annotated[bool, typer.Option("--cpython", help="Decode on CPython instead.")] = False,
    ram: Annotated[
        int | None,
        typer.Option(
            metavar="BYTES", help="Memory that its decoder may have. Default: the board's, or 32768"
        ),
    ] = None,
    board: Annotated[str | None, typer.Option(metavar="BOARD", help="The kind of board it is.")] = None,
    product: Annotated[str | None, typer.Option(metavar="PRODUCT", help="Its product key.")] = None,
    device: Annotated[str | None, typer.Option(metavar="NAME", help="Its device name.")] = None,
    floor: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Release that it runs: others must be above.")
    ] = None,
    secure_version: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Its security counter.")
    ] = None,
    now: Annotated[
        int | None, typer.Option("--time", metavar="N", min=0, help="What its clock says, UNIX seconds.")
    ] = None,
    json: Annotated[bool, console.JSON] = False,
) -> None:
    """Applies a package as a board does: verifies all of it, decodes it, reads the image back.

    The decoder is the device's own, under MicroPython. OUT is written only if everything was right.
    --key takes a public key too. What is not said about the board suits the package.

    Examples:

    driblet apply old.bin update.pkg -o rebuilt.bin

    driblet apply old.bin update.pkg -o rebuilt.bin --board ESP32_GENERIC --product lamp --floor 6
    """
    public = open_public(key) if key else development_key(_say).public
    base = None if old == NO_FILE else Path(old)
    said = {"product": product, "device": device, "seq_floor": floor, "secure_version": secure_version}
    said |= {"time": now, "ram": ram}
    policy: dict[str, Any] = {"ram": _RAM}
    if board:
        old_size = base.stat().st_size if base and base.is_file() else 0
        policy = facts_of(loader.load(board), image_size(_read(package)), old_size)
    policy |= {name: value for name, value in said.items() if value is not None}
    with console.working("Applying the package") as say:
        done = apply_files(
            base,
            package,
            output,
            [public],
            cpython=cpython,
            facts=policy,
            progress=lambda written: say(f"{written:,} bytes written", None),
        )
    facts = {"output": str(output), "image_size": done.image_size, "seconds": round(done.seconds, 3)}
    if json:
        console.print_json(facts | {"decoder": done.decoder})
    else:
        line = f"{output}: {done.image_size:,} bytes, verified, in {done.seconds:.2f} s on {done.decoder}"
        console.out.print(line, markup=False)


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Image, package, table or flash file.")],
    key: _Key = None,
    json: Annotated[bool, console.JSON] = False,
) -> None:
    """Explains a file: app image, combined image, package, partition table, otadata, flash file.

    Exit status 1 if something is wrong with it. --key (public or private) checks a package's signature.

    Example: driblet inspect update.pkg
    """
    found = look_at(_read(file), [open_public(key)] if key else [])
    if json:
        console.print_json({"file": str(file)} | found.as_json())
    else:
        for line in found.lines:
            for part in wrap(line, _WIDTH, subsequent_indent=" " * 9, break_on_hyphens=False) or [""]:
                console.out.print(part, markup=False)
        if found.problem:
            console.out.print()
            console.show_error(found.problem, as_json=False)
    if found.problem:
        raise typer.Exit(1)


def _own_version(data: bytes) -> str:
    return str(image.read_desc(reader(data), len(data)).get("version", ""))


def _signer(key: str | None) -> Signer:
    return open_signer(key) if key else development_key(_say)


def _say(text: str) -> None:
    console.err.print(text, markup=False)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise _unreadable(file, error) from error


def _write(file: Path, data: bytes) -> None:
    try:
        file.write_bytes(data)
    except OSError as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: OSError) -> InputError:
    return InputError(code("FILE_UNREADABLE"), f"{file}: {error.strerror}"[:120])
