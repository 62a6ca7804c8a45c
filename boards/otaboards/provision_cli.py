"""`driblet board setup`, `status` and `log`: a board on a serial port."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from otaspec.errors import InputError, code

from otaboards import console, loader

PORT = Annotated[str, typer.Option(metavar="PORT", help="Its serial port: /dev/ttyUSB0, /dev/ttyACM0, COM5.")]


def setup(
    port: PORT,
    board: Annotated[str, typer.Option(metavar="BOARD", help="What it is; driblet board list names them.")],
    pk: Annotated[str, typer.Option(metavar="PK", help="Product key.")],
    dn: Annotated[str, typer.Option(metavar="DN", help="Device name, one of its own for each board.")],
    server: Annotated[str, typer.Option(metavar="URL", help="Server; several are separated by blanks.")],
    keys: Annotated[str, typer.Option(metavar="HEX", help="Public key that may sign releases, X || Y.")],
    secret_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File with the product secret in hex (else stdin is read)."),
    ] = None,
    own_secret: Annotated[bool, typer.Option("--own-secret", help="It is the device's own secret.")] = False,
    ca: Annotated[Path | None, typer.Option(metavar="FILE", help="The one CA to trust, DER or PEM.")] = None,
    app: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Application (default: blink).")] = None,
    image: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="App image to flash first, with the board's partition table."),
    ] = None,
    ssid: Annotated[str | None, typer.Option(metavar="NAME", help="Wi-Fi network.")] = None,
    wifi_file: Annotated[Path | None, typer.Option(metavar="FILE", help="File with its password.")] = None,
    mqtt: Annotated[
        str | None,
        typer.Option(
            metavar="HOST[:PORT]", help="Broker that says when to poll; with TLS if the server has it."
        ),
    ] = None,
    dev: Annotated[bool, typer.Option("--dev", help="Allow plain HTTP: for trying out.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; touch nothing.")
    ] = False,
    json: Annotated[bool, console.JSON] = False,
) -> None:
    """Makes a board ready: agent, application, settings. On its file system, so for development.

    Example: driblet board setup --port /dev/ttyUSB0 --board ESP32_GENERIC --pk lamp --dn lamp-7
    --server https://ota.example.com --ca ca.pem --keys 04ab... --secret-file ps.txt
    """
    from otaboards import flash, provision

    kind = loader.load(board)
    settings: dict[str, str | bytes | int] = {"pk": pk, "dn": dn, "server": server, "keys": _hex(keys, 64)}
    if not dry_run or secret_file:
        settings["ds" if own_secret else "ps"] = _secret(secret_file)
    for key, value in (("ca", ca and _read(ca)), ("ssid", ssid), ("wifi", wifi_file and _line(wifi_file))):
        if value:
            settings[key] = value
    if mqtt:
        settings["mqtt"] = provision.broker(mqtt, server)
    settings["dev"] = int(dev)
    wanted = provision.plan(kind, app or provision.example(), settings)
    parts = flash.steps(kind, _read(image)) if image else []
    rows = [(what, f"{len(data):,} bytes at 0x{at:x}") for at, data, what in parts] + list(wanted.describe())
    notes: list[str] = []
    if not dry_run:
        with console.working(f"setting up {port}") as say:
            if parts:
                say("flashing", None)
                flash.write(port, kind, parts)
            from otaboards.link import Link

            with Link(port) as link:
                notes = provision.check(kind, provision.about(link))
                for what, done, steps in provision.install(link, wanted):
                    say(what, done / steps)
                link.close(reset=True)
    notes.append(provision.DEVELOPMENT)
    if json:
        console.print_json({"port": port, "dry_run": dry_run, "parts": dict(rows), "notes": notes})
        return
    for what, how_much in rows:
        console.out.print(f"{what:<16} {how_much}", markup=False)
    for note in notes:
        console.err.print(note, markup=False)
    console.out.print("Nothing was touched (--dry-run)." if dry_run else f"{dn} is ready and was restarted.")


def status(port: PORT, json: Annotated[bool, console.JSON] = False) -> None:
    """Says what runs on a board and what its agent knows. The board is interrupted and restarted.

    Example: driblet board status --port /dev/ttyUSB0
    """
    from otaboards import provision
    from otaboards.link import Link

    with Link(port) as link:
        found = provision.status(link)
        link.close(reset=True)
    if json:
        console.print_json(found)
        return
    for name, value in found.items():
        shown = "-" if value is None else ("no", "yes")[value] if isinstance(value, bool) else value
        console.out.print(f"{name:<12} {shown}", markup=False)
    if not found["frozen"]:
        console.err.print(provision.DEVELOPMENT, markup=False)


def log(port: PORT, json: Annotated[bool, console.JSON] = False) -> None:
    """Prints the last words of a trial that failed on a board.

    Example: driblet board log --port /dev/ttyUSB0
    """
    from otaboards import provision
    from otaboards.link import Link

    with Link(port) as link:
        text = provision.log(link)
        link.close(reset=True)
    if json:
        console.print_json({"log": text})
    else:
        console.out.print(text or "No trial has failed on this board.", markup=False)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(code("FILE_UNREADABLE"), f"{file}: {error.strerror}"[:120]) from error


def _line(file: Path) -> str:
    return _read(file).decode(errors="replace").strip()


def _hex(text: str, size: int) -> bytes:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) == size + 1 and raw[0] == 4:
        raw = raw[1:]  # the uncompressed form of other tools
    if len(raw) != size:
        raise InputError(code("KEY_INVALID"), f"{size} bytes in hex are needed, these are {len(raw)}")
    return raw


def _secret(file: Path | None) -> bytes:
    text = _line(file) if file else sys.stdin.readline().strip()
    return _hex(text, 32)
