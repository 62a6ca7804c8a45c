"""Commands of the cloud."""

import asyncio
import contextlib
import json
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from otaboards import console

from otacloud import alarmcommands, fleetcommands, releasecommands, teamcommands

if TYPE_CHECKING:
    from otacloud.backup import Backup
    from otacloud.db import Database
    from otacloud.settings import Settings
    from otacloud.storage import Storage

    BackUp = Callable[[Database, Storage, Path], Awaitable[Backup]]

app = typer.Typer()
app.add_typer(teamcommands.user, name="user")
app.add_typer(teamcommands.token, name="token")
app.add_typer(teamcommands.audit, name="audit")
app.add_typer(alarmcommands.alarm, name="alarm")
app.add_typer(alarmcommands.channel, name="channel")
app.add_typer(fleetcommands.product, name="product")
app.add_typer(fleetcommands.device, name="device")
app.add_typer(fleetcommands.group, name="group")
app.add_typer(releasecommands.release, name="release")
app.add_typer(releasecommands.rollout, name="rollout")


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8070,
    data: Annotated[Path | None, typer.Option(help="Folder for database, objects and master key.")] = None,
    database: Annotated[str | None, typer.Option(help="SQLAlchemy URL instead of SQLite.")] = None,
    cert: Annotated[Path | None, typer.Option(help="PEM certificate: serves HTTPS.")] = None,
    key: Annotated[Path | None, typer.Option(help="PEM private key of --cert.")] = None,
    as_json: Annotated[bool, console.JSON] = False,
) -> None:
    """Run the service: API, boards and console on one port; MQTT on another (DRIBLET_MQTT_PORT), if set.

    The first start makes the database, the master key and an admin token, which is
    shown this once.

    Examples:

        driblet serve --data build/cloud

        driblet serve --host 0.0.0.0 --cert server.pem --key server.key
    """
    from otacloud import logs
    from otacloud.app import build_services, prepare
    from otacloud.server import Listen
    from otacloud.server import serve as run

    settings = _settings(data, database, secure_cookies=True if cert else None)
    logs.set_up(settings.log_json, settings.log_level)
    listen = Listen(host, port, cert, key)
    beside = Listen(host, settings.mqtt_port, cert, key, "DRIBLET_MQTT_PORT")
    cloud = build_services(settings)

    async def main(listener: socket.socket, door: socket.socket | None) -> None:
        made = await prepare(cloud)
        _announce(listen.url(listener), made, settings.data, as_json)
        await run(cloud, listen, listener, door)

    with contextlib.ExitStack() as sockets:  # before a token is made that is shown only once
        listener = sockets.enter_context(listen.bind())
        door = sockets.enter_context(beside.bind()) if settings.mqtt_port else None
        asyncio.run(main(listener, door))


@app.command()
def recover(
    tenant: Annotated[str, typer.Option(help="Tenant that the token is for.")] = "default",
    create: Annotated[bool, typer.Option("--create", help="Make the tenant too.")] = False,
    data: Annotated[Path | None, typer.Option(help="Data folder of the service.")] = None,
    database: Annotated[str | None, typer.Option(help="SQLAlchemy URL instead of SQLite.")] = None,
    as_json: Annotated[bool, console.JSON] = False,
) -> None:
    """Make an owner's token on the server's own machine: when every other is lost, or for a new tenant.

    Examples:

        driblet recover --data driblet-data

        driblet recover --data driblet-data --tenant acme --create
    """
    from otacloud.app import build_services, prepare
    from otacloud.auth import owner_token

    async def main() -> str:
        cloud = build_services(_settings(data, database))
        await prepare(cloud)
        try:
            return await owner_token(cloud, tenant, create)
        finally:
            await cloud.db.close()

    made = asyncio.run(main())
    if as_json:
        console.print_json({"tenant": tenant, "token": made})
    else:
        print(made)


@app.command()
def mosquitto(
    folder: Annotated[Path, typer.Argument(help="Folder to write `passwords` and `acl` to.")],
    data: Annotated[Path | None, typer.Option(help="Data folder of the service.")] = None,
    database: Annotated[str | None, typer.Option(help="SQLAlchemy URL instead of SQLite.")] = None,
    as_json: Annotated[bool, console.JSON] = False,
) -> None:
    """Write Mosquitto's files for the broker of DRIBLET_MQTT_URL: who may log in, and to which topics.

    Passwords are hashes. Run it again when devices have joined, and send Mosquitto a SIGHUP;
    a device that it does not know polls all the same.

    Example: DRIBLET_MQTT_URL=mqtts://driblet:secret@mqtt.example.com driblet mosquitto /etc/mosquitto/driblet
    """
    from otacloud import mosquitto
    from otacloud.app import build_services

    settings = _settings(data, database)

    async def main() -> mosquitto.Files:
        cloud = build_services(settings)
        try:
            return await mosquitto.files(cloud.db, cloud.vault, *settings.broker_names())
        finally:
            await cloud.db.close()

    made = asyncio.run(main())
    mosquitto.write(folder, made)
    if as_json:
        console.print_json({"folder": str(folder), "devices": made.devices})
    else:
        print(f"{folder}: passwords and acl of {made.devices} devices")


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="File to write: one .tar.")],
    data: Annotated[Path | None, typer.Option(help="Data folder of the service.")] = None,
    database: Annotated[str | None, typer.Option(help="SQLAlchemy URL instead of SQLite.")] = None,
    as_json: Annotated[bool, console.JSON] = False,
) -> None:
    """Write a backup of the database and every object; the service may run meanwhile.

    The master key is not in it: keep a copy of it elsewhere, once. PostgreSQL needs pg_dump.

    Example: driblet backup driblet-2026-11-21.tar --data driblet-data
    """
    from otacloud import backup

    _back_up(backup.make, file, data, database, as_json, "written")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A backup.")],
    data: Annotated[Path | None, typer.Option(help="New data folder; put the master key there too.")] = None,
    database: Annotated[str | None, typer.Option(help="SQLAlchemy URL of an empty database.")] = None,
    as_json: Annotated[bool, console.JSON] = False,
) -> None:
    """Fill a new data folder, or an empty database and storage, from a backup.

    Every object is checked by its hash before anything is written; an older schema is brought up to date.

    Example: driblet restore driblet-2026-11-21.tar --data restored
    """
    from otacloud import backup

    _back_up(backup.restore, file, data, database, as_json, "restored")


def _back_up(
    act: "BackUp", file: Path, data: Path | None, database: str | None, as_json: bool, done: str
) -> None:
    from otacloud.app import open_stores

    async def main() -> "Backup":
        db, storage = open_stores(_settings(data, database))
        try:
            return await act(db, storage, file)
        finally:
            await db.close()

    made = asyncio.run(main())
    if as_json:
        console.print_json(made.model_dump(mode="json"))
    else:
        print(f"{made.file}: {done}, {made.objects} objects, {made.bytes} bytes, schema {made.revision}")


def _settings(data: Path | None, database: str | None, **more: Any) -> "Settings":
    """What the command line gives goes before the environment."""
    from otacloud.settings import Settings

    given = {"data": data, "database_url": database, **more}
    return Settings(**{name: value for name, value in given.items() if value is not None})


def _announce(url: str, token: str | None, data: Path, as_json: bool) -> None:
    """The one line that a program waits for, or the few that a person reads."""
    if as_json:
        print(json.dumps({"url": url, "token": token, "data": str(data)}), flush=True)
        return
    print(f"driblet is at {url}")
    if token:
        print(f"admin token (shown this once): {token}")
    sys.stdout.flush()
    console.err.print(f"data is in {data}; stop with Ctrl-C")
