"""Commands for boards."""

from pathlib import Path
from typing import Annotated, Any

import typer
from otaspec import image, image_file, partition
from otaspec.errors import InputError, code
from rich.table import Table

from otaboards import console, loader, provision_cli, runtime
from otaboards.loader import Board
from otaboards.new import new_board
from otaboards.partitions import FIRST_FREE, read_csv, update_problems

app = typer.Typer()
board = typer.Typer(no_args_is_help=True, help="Boards: what there is, whether a table is right, a new one.")
app.add_typer(board, name="board")
board.command()(provision_cli.setup)
board.command()(provision_cli.status)
board.command()(provision_cli.log)


@board.command("list")
def list_boards(
    image_file: Annotated[
        Path | None, typer.Option("--image", metavar="FILE", help="Only boards that this app image fits.")
    ] = None,
    json: Annotated[bool, console.JSON] = False,
) -> None:
    """Lists the boards, the smallest of each chip first.

    Example: driblet board list --image micropython.bin
    """
    boards = loader.all_boards()
    if image_file:
        boards = _that_fit(boards, image_file)
    if json:
        console.print_json([_fields(b) for b in boards])
        return
    table = Table("Board", "Chip", "Flash", "Slots", "Decoder", "On hardware", box=None, pad_edge=False)
    for b in boards:
        slots = f"{len(b.slots)} x {b.slot_size >> 10} KB"
        tried = (
            "simulator" if b.chip_id == image.LINUX_HOST else "tried" if b.tried_on_hardware else "never run"
        )
        table.add_row(b.name, b.chip, f"{b.flash_size >> 20} MB", slots, f"{b.decoder_ram >> 10} KB", tried)
    console.out.print(table)


def _that_fit(boards: list[Board], file: Path) -> list[Board]:
    raw = _read(file)

    def read(at: int, buffer: bytearray) -> None:
        buffer[:] = raw[at : at + len(buffer)]

    chip = image_file.check(read, len(raw)).chip
    loader.smallest_for(chip, len(raw))  # says so where there is none
    return [b for b in boards if b.chip_id == chip and b.slot_size >= len(raw)]


@board.command()
def check(
    name: Annotated[
        str, typer.Argument(metavar="BOARD", help="A board's name or folder, or a partition table as CSV.")
    ],
    flash: Annotated[int, typer.Option(metavar="MB", help="Size of the flash, for a CSV table.")] = 4,
    json: Annotated[bool, console.JSON] = False,
) -> None:
    """Checks a board or a partition table: would a stock bootloader take it, can it be updated over the air?

    Examples: driblet board check ESP32_GENERIC_S3; driblet board check partitions.csv --flash 8
    """
    path = Path(name)
    if path.suffix == ".csv":
        rows, flash_size = read_csv(_read(path).decode(errors="replace"), flash << 20), flash << 20
        problems = update_problems(rows)
    else:
        found = loader.load(name)
        rows, flash_size, problems = list(found.rows), found.flash_size, []
    partition.parse(partition.build(rows), flash_size)  # as the bootloader reads it
    if problems:
        raise InputError(code("TABLE_INVALID"), "; ".join(problems)[:120])
    if json:
        console.print_json({"name": name, "flash_size": flash_size, "partitions": _rows(rows)})
        return
    _print_table(rows, flash_size)
    console.out.print(f"{name}: a stock bootloader takes this table, and it can be updated over the air.")


@board.command()
def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the new board; a folder of this name is made.")
    ],
    base: Annotated[str, typer.Option("--from", metavar="BOARD", help="The board to start from.")],
    flash: Annotated[int | None, typer.Option(metavar="MB", help="Size of the flash, if it differs.")] = None,
    slot: Annotated[
        int | None, typer.Option(metavar="KB", help="Size of each slot, if it differs: a multiple of 64.")
    ] = None,
    into: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the folder is made.")] = Path(),
    json: Annotated[bool, console.JSON] = False,
) -> None:
    """Makes a board of your own: board.toml and partitions.csv, to be edited.

    Example: driblet board new KITCHEN_LAMP --from ESP32_GENERIC_C3 --flash 8 --slot 3072
    """
    made = new_board(name, loader.load(base), into, flash, slot and slot << 10)
    if json:
        console.print_json(_fields(made))
        return
    _print_table(list(made.rows), made.flash_size)
    console.out.print(f"Made {made.folder}/. Edit board.toml, then: driblet board check {made.folder}")
    console.out.print("Boards in a folder named by DRIBLET_BOARDS are found by name.")


@board.command("runtime")
def show_runtime(json: Annotated[bool, console.JSON] = False) -> None:
    """Unpacks MicroPython if that is still to do, and says which one is used here.

    Example: driblet board runtime
    """
    found = runtime.find(lambda text: console.err.print(text, markup=False))
    fields = {"version": found.version, "arch": found.arch, "origin": found.origin, "start": found.start}
    if json:
        console.print_json(fields)
    else:
        native = f"native code for {found.arch}" if found.arch else "bytecode only"
        console.out.print(f"MicroPython {found.version}, {native}: {found.origin}", markup=False)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(code("FILE_UNREADABLE"), f"{file}: {error.strerror}"[:120]) from error


def _fields(b: Board) -> dict[str, Any]:
    """A board for JSON."""
    names = ("name", "description", "chip", "chip_id", "flash_size", "slot_size", "decoder_ram", "staging")
    more = {"codecs": list(b.codecs), "wdt_ms": b.wdt_ms, "heap": b.heap}
    tail = {
        "tried_on_hardware": b.tried_on_hardware,
        "folder": str(b.folder),
        "partitions": _rows(list(b.rows)),
    }
    return {name: getattr(b, name) for name in names} | more | tail


def _rows(rows: list[partition.Row]) -> list[dict[str, Any]]:
    names = ("label", "type", "subtype", "offset", "size", "flags")
    return [{name: getattr(row, name) for name in names} for row in rows]


def _print_table(rows: list[partition.Row], flash_size: int) -> None:
    """The flash from its first free byte to its end, unused parts too."""
    table = Table("Partition", "From", "To", "Size", box=None, pad_edge=False)
    end = FIRST_FREE
    for row in rows:
        _gap(table, end, row.offset)
        end = row.offset + row.size
        table.add_row(row.label, f"0x{row.offset:06x}", f"0x{end:06x}", f"{row.size >> 10} KB")
    _gap(table, end, flash_size)
    console.out.print(table)


def _gap(table: Table, start: int, end: int) -> None:
    if end > start:
        table.add_row("(free)", f"0x{start:06x}", f"0x{end:06x}", f"{(end - start) >> 10} KB", style="dim")
