"""Commands of the cloud."""

import asyncio
import json
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from otaboards import console

from otacloud import fleetcommands, releasecommands, teamcommands

if TYPE_CHECKING:
    from otacloud.settings import Settings

app = typer.Typer()
app.add_typer(teamcommands.user, name="user")
app.add_typer(teamcommands.token, name="token")
app.add_typer(teamcommands.audit, name="audit")
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
    """Run the service: API, boards and console on one port.

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
    logs.set_up(settings.log_json)
    listen = Listen(host, port, cert, key)
    cloud = build_services(settings)

    async def main(listener: socket.socket) -> None:
        made = await prepare(cloud)
        _announce(listen.url(listener), made, settings.data, as_json)
        await run(cloud, listen, listener)

    with listen.bind() as listener:  # before a token is made that is shown only once
        asyncio.run(main(listener))


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
