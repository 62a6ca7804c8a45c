"""Commands that call a running service: product, device, release, rollout."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec

import typer
from otaboards import console
from otaspec import errors
from pydantic import BaseModel, ValidationError
from rich.progress import BarColumn, Progress, TextColumn

from otacloud import schemas, words
from otacloud.client import Client

product = typer.Typer(help="Products: a key, a secret, the key that signs releases.", no_args_is_help=True)
device = typer.Typer(help="Devices of a product.", no_args_is_help=True)
release = typer.Typer(help="Releases of a product and their packages.", no_args_is_help=True)
rollout = typer.Typer(help="Rollouts: a release goes to devices.", no_args_is_help=True)

group = typer.Typer(help="Groups of devices.", no_args_is_help=True)
user = typer.Typer(help="People of the team.", no_args_is_help=True)
token = typer.Typer(help="API tokens, for programs.", no_args_is_help=True)
audit = typer.Typer(help="Who did what.", no_args_is_help=True)

LOCAL = "http://127.0.0.1:8070"

Pk = Annotated[str, typer.Option("--product", "-p", help="Product key.")]
Dn = Annotated[str, typer.Argument(help="Device name.")]
Board = Annotated[str | None, typer.Option(help="Board id, where several have that version.")]
Number = Annotated[int, typer.Argument(help="Number of the rollout.")]
Watch = Annotated[bool, typer.Option("--watch", help="Until it is done or stopped.")]

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

P = ParamSpec("P")
Command = Callable[Concatenate[Client, P], BaseModel]


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
            except ValidationError as problem:
                raise _invalid(problem) from None
            if as_json:
                console.print_json(answer.model_dump(mode="json"))
            else:
                words.show(answer)
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


def _invalid(problem: ValidationError) -> errors.OtaError:
    first = problem.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return errors.error(errors.code("REQUEST_INVALID"), f"{where}: {first['msg']}"[:120])


def _bars() -> Progress:
    count = TextColumn("{task.completed:.0f}/{task.total}")
    return Progress(
        TextColumn("{task.description:8}"), BarColumn(), count, console=console.err, transient=True
    )


@calls(product, "create")
def product_create(
    cloud: Client,
    pk: Annotated[str | None, typer.Option("--pk", help="Product key; made up where it is left out.")] = None,
    name: Annotated[str, typer.Option(help="Name for people.")] = "",
    board: Annotated[str | None, typer.Option(help="Board id; else the first release sets it.")] = None,
    registration: Annotated[str, typer.Option(help="open, approval or closed.")] = "open",
) -> schemas.ProductSecret:
    """Make a product, its secret and its signing key.

    Example: driblet product create --pk thermostat
    """
    fields = {"pk": pk, "name": name, "board": board, "registration": registration}
    return cloud.create_product(schemas.ProductIn.model_validate(fields))


@calls(product, "show")
def product_show(
    cloud: Client, pk: Annotated[str, typer.Argument(help="Product key.")]
) -> schemas.ProductSecret:
    """Show a product with its secret; for owners.

    Example: driblet product show thermostat
    """
    return cloud.product_secret(pk)


@calls(device, "create")
def device_create(cloud: Client, dn: Dn, pk: Pk) -> schemas.DeviceSecret:
    """Make a device with a secret of its own, shown this once.

    Example: driblet device create kitchen --product thermostat
    """
    return cloud.create_device(pk, dn)


@calls(device, "list")
def device_list(
    cloud: Client,
    pk: Pk,
    offset: Annotated[int, typer.Option(min=0, help="How many to leave out.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many to show.")] = 100,
) -> schemas.DevicePage:
    """List devices by name.

    Example: driblet device list --product thermostat
    """
    return cloud.devices(pk, offset, limit)


@calls(device, "show")
def device_show(cloud: Client, dn: Dn, pk: Pk) -> schemas.DeviceDetail:
    """Show a device, its update timeline and its last failure log.

    Example: driblet device show kitchen --product thermostat
    """
    return cloud.device(pk, dn)


@calls(device, "approve")
def device_approve(cloud: Client, dn: Dn, pk: Pk) -> schemas.DeviceOut:
    """Let a device in that waits, or that was revoked.

    Example: driblet device approve kitchen --product thermostat
    """
    return cloud.approve_device(pk, dn)


@calls(device, "revoke")
def device_revoke(cloud: Client, dn: Dn, pk: Pk) -> schemas.DeviceOut:
    """Lock a device out at once.

    Example: driblet device revoke kitchen --product thermostat
    """
    return cloud.revoke_device(pk, dn)


@calls(device, "reissue")
def device_reissue(cloud: Client, dn: Dn, pk: Pk) -> schemas.DeviceSecret:
    """Give a device a new secret, shown this once; the old one stops to hold.

    Example: driblet device reissue kitchen --product thermostat
    """
    return cloud.reissue_device(pk, dn)


@calls(release, "upload")
def release_upload(
    cloud: Client,
    image: Annotated[Path, typer.Argument(help="App image (.app-bin).")],
    pk: Pk,
    version: Annotated[str, typer.Option("--version", "-v", help="What people call it.")],
    board: Annotated[str | None, typer.Option(help="Board id; left out: the product's.")] = None,
    notes: Annotated[str, typer.Option(help="What is new.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Until its packages are made.")] = False,
) -> schemas.ReleaseOut:
    """Upload an image as a release; the service makes the packages.

    Example: driblet release upload build/firmware.bin -p thermostat -v 1.2.0 --wait
    """
    with _bars() as bars:
        sending = bars.add_task("upload", total=None)
        made = cloud.upload_release(
            pk, version, image, board, notes, lambda at, end: bars.update(sending, completed=at, total=end)
        )
        making = bars.add_task("packages", total=len(made.jobs), visible=wait)
        for now in cloud.watch_release(pk, version, made.board) if wait else ():
            ended = sum(job.state in ("done", "failed") for job in now.jobs)
            bars.update(making, completed=ended, total=len(now.jobs))
            made = now
    return made


@calls(release, "show")
def release_show(
    cloud: Client, version: Annotated[str, typer.Argument(help="Version.")], pk: Pk, board: Board = None
) -> schemas.ReleaseOut:
    """Show a release and how far its packages are.

    Example: driblet release show 1.2.0 --product thermostat
    """
    return cloud.release(pk, version, board)


@calls(rollout, "create")
def rollout_create(
    cloud: Client,
    pk: Pk,
    version: Annotated[str, typer.Option("--version", "-v", help="Release to roll out.")],
    board: Board = None,
    device: Annotated[list[str] | None, typer.Option(help="Only this device; may be repeated.")] = None,
    group: Annotated[str | None, typer.Option(help="Only this group.")] = None,
    canary: Annotated[int, typer.Option(min=0, help="Boards that must confirm first.")] = 1,
    phase: Annotated[
        list[str] | None,
        typer.Option(help="Instead of a canary: 1%:3600 (percent, or boards; soak seconds)."),
    ] = None,
    parallel: Annotated[int, typer.Option(min=0, help="Boards under way at once; 0: any number.")] = 0,
    stop_after_failures: Annotated[int, typer.Option(min=0, help="0: never stops by itself.")] = 1,
    retry_after: Annotated[int, typer.Option(min=0, help="Seconds until a board is asked again.")] = 300,
    draft: Annotated[bool, typer.Option("--draft", help="Do not start yet.")] = False,
    watch: Watch = False,
) -> schemas.RolloutOut:
    """Roll a release out: to all devices of the product, to a group, or to those named.

    Examples:

        driblet rollout create -p thermostat -v 1.2.0 --canary 3 --watch

        driblet rollout create -p thermostat -v 1.2.0 --phase 1%:3600 --phase 10%:3600
    """
    fields = {
        **{"version": version, "board": board, "devices": device or None, "group": group, "canary": canary},
        **{"phases": [_phase(text) for text in phase or []], "draft": draft},
        **{"parallel": parallel, "stop_after_failures": stop_after_failures, "retry_after": retry_after},
    }
    made = cloud.create_rollout(pk, schemas.RolloutIn.model_validate(fields))
    return _watch(cloud, pk, made.id) if watch else made


def _phase(text: str) -> dict[str, Any]:
    """`5%:3600` or `20:60`: percent or number of boards, and how long to wait after its success."""
    size, _, soak = text.partition(":")
    try:
        share = {"percent": float(size[:-1])} if size.endswith("%") else {"count": int(size)}
        return {**share, "soak": int(soak or 0)}
    except ValueError:
        raise typer.BadParameter(f"{text} is not like 5%:3600 or 20:60") from None


@calls(rollout, "show")
def rollout_show(cloud: Client, rollout_id: Number, pk: Pk, watch: Watch = False) -> schemas.RolloutDetail:
    """Show how far a rollout is, and why boards failed.

    Example: driblet rollout show 1 --product thermostat --watch
    """
    return _watch(cloud, pk, rollout_id) if watch else cloud.rollout(pk, rollout_id)


def _watch(cloud: Client, pk: str, rollout_id: int) -> schemas.RolloutDetail:
    with _bars() as bars:
        going = bars.add_task("boards", total=None)
        for shown in cloud.watch_rollout(pk, rollout_id):
            counts = shown.counts
            ended = counts.confirmed + counts.failed + counts.unneeded
            bars.update(going, completed=ended, total=sum(counts.model_dump().values()))
    return shown


@calls(rollout, "pause")
def rollout_pause(cloud: Client, rollout_id: Number, pk: Pk) -> schemas.RolloutOut:
    """Offer it to no further board; those under way go on.

    Example: driblet rollout pause 1 --product thermostat
    """
    return cloud.move_rollout(pk, rollout_id, "pause")


@calls(rollout, "resume")
def rollout_resume(cloud: Client, rollout_id: Number, pk: Pk) -> schemas.RolloutOut:
    """Go on, also after it stopped by itself.

    Example: driblet rollout resume 1 --product thermostat
    """
    return cloud.move_rollout(pk, rollout_id, "resume")


@calls(rollout, "start")
def rollout_start(cloud: Client, rollout_id: Number, pk: Pk) -> schemas.RolloutOut:
    """Start a draft.

    Example: driblet rollout start 1 --product thermostat
    """
    return cloud.move_rollout(pk, rollout_id, "start")


@calls(rollout, "approve")
def rollout_approve(cloud: Client, rollout_id: Number, pk: Pk) -> schemas.RolloutOut:
    """Agree to a draft that somebody else made.

    Example: driblet rollout approve 1 --product thermostat
    """
    return cloud.move_rollout(pk, rollout_id, "approve")


@calls(rollout, "retry")
def rollout_retry(cloud: Client, rollout_id: Number, pk: Pk) -> schemas.RolloutOut:
    """Offer it once more to the boards that failed.

    Example: driblet rollout retry 1 --product thermostat
    """
    return cloud.move_rollout(pk, rollout_id, "retry")


@calls(rollout, "stop")
def rollout_stop(cloud: Client, rollout_id: Number, pk: Pk) -> schemas.RolloutOut:
    """Offer it to no further board.

    Example: driblet rollout stop 1 --product thermostat
    """
    return cloud.move_rollout(pk, rollout_id, "stop")


@calls(group, "create")
def group_create(
    cloud: Client,
    name: Annotated[str, typer.Argument(help="Name of the group.")],
    pk: Pk,
    rule: Annotated[
        str | None, typer.Option(help="Fills it by itself: 'version < 1.2 and tags has eu'.")
    ] = None,
    test: Annotated[bool, typer.Option("--test", help="Its devices verify releases.")] = False,
    poll_interval: Annotated[int | None, typer.Option(min=1, help="Seconds between polls.")] = None,
) -> schemas.GroupOut:
    """Make a group: filled by hand, or by a rule.

    Example: driblet group create beta -p thermostat --rule "tags has beta and inventory.region = eu"
    """
    fields = {"name": name, "rule": rule, "test": test, "poll_interval": poll_interval}
    return cloud.create_group(pk, schemas.GroupIn.model_validate(fields))


@calls(group, "list")
def group_list(cloud: Client, pk: Pk) -> schemas.GroupList:
    """List the groups of a product.

    Example: driblet group list --product thermostat
    """
    return cloud.groups(pk)


@calls(device, "change")
def device_change(
    cloud: Client,
    dn: Dn,
    pk: Pk,
    group: Annotated[str | None, typer.Option(help="Its static group; '' takes it out.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Its tags, all of them; may be repeated.")] = None,
) -> schemas.DeviceOut:
    """Move a device to another group, or tag it.

    Example: driblet device change kitchen -p thermostat --group beta --tag eu
    """
    fields: dict[str, Any] = {} if group is None else {"group": group or None}
    fields |= {} if tag is None else {"tags": tag}
    return cloud.change_device(pk, dn, schemas.DeviceChange.model_validate(fields))


@calls(device, "import")
def device_import(
    cloud: Client, file: Annotated[Path, typer.Argument(help="CSV: dn, group, tags, ds.")], pk: Pk
) -> schemas.Imported:
    """Name devices beforehand, from a list in CSV.

    Example: driblet device import factory.csv --product thermostat
    """
    return cloud.import_devices(pk, file)


@calls(release, "reissue")
def release_reissue(
    cloud: Client,
    version: Annotated[str, typer.Argument(help="Version that is known to be good.")],
    new_version: Annotated[str, typer.Argument(help="What it is called now.")],
    pk: Pk,
    board: Board = None,
) -> schemas.ReleaseOut:
    """Release an image once more with a newer seq, so that boards go back to it.

    Example: driblet release reissue 1.0.0 1.0.0-again --product thermostat
    """
    return cloud.reissue_release(pk, version, new_version, board)


@calls(user, "create")
def user_create(
    cloud: Client,
    name: Annotated[str, typer.Argument(help="Name to sign in with.")],
    role: Annotated[str, typer.Option(help="viewer, operator, manager or owner.")] = "viewer",
    password: Annotated[
        str,
        typer.Option(prompt=True, hide_input=True, confirmation_prompt=True, help="At least 10 characters."),
    ] = "",
) -> schemas.UserOut:
    """Add a person, who then signs in with the password.

    Example: driblet user create ada --role manager
    """
    fields = {"name": name, "role": role, "password": password}
    return cloud.create_user(schemas.UserIn.model_validate(fields))


@calls(user, "list")
def user_list(cloud: Client) -> schemas.UserList:
    """List the people of the team.

    Example: driblet user list
    """
    return cloud.users()


@calls(user, "disable")
def user_disable(cloud: Client, name: Annotated[str, typer.Argument(help="Name.")]) -> schemas.UserOut:
    """Lock a person out and end their sessions.

    Example: driblet user disable ada
    """
    return cloud.change_user(name, schemas.UserChange(disabled=True))


@calls(token, "create")
def token_create(
    cloud: Client,
    name: Annotated[str, typer.Argument(help="What it is for.")],
    role: Annotated[str, typer.Option(help="viewer, operator, manager or owner.")] = "viewer",
    product: Annotated[str | None, typer.Option("--product", "-p", help="Only for this product.")] = None,
) -> schemas.TokenSecret:
    """Make a token for a program, shown this once.

    Example: driblet token create ci --role manager --product thermostat
    """
    fields = {"name": name, "role": role, "product": product}
    return cloud.create_token(schemas.TokenIn.model_validate(fields))


@calls(token, "list")
def token_list(cloud: Client) -> schemas.TokenList:
    """List the tokens; none of them can be read again.

    Example: driblet token list
    """
    return cloud.tokens()


@calls(token, "revoke")
def token_revoke(
    cloud: Client, token_id: Annotated[int, typer.Argument(help="Number of the token.")]
) -> schemas.TokenOut:
    """End a token at once.

    Example: driblet token revoke 3
    """
    return cloud.revoke_token(token_id)


@calls(audit, "list")
def audit_list(
    cloud: Client, limit: Annotated[int, typer.Option(min=1, max=500, help="How many to show.")] = 50
) -> schemas.AuditList:
    """List what was done, newest first.

    Example: driblet audit list
    """
    return cloud.audit(limit)


@calls(audit, "check")
def audit_check(cloud: Client) -> schemas.AuditCheck:
    """Walk the chain of hashes: was the log changed?

    Example: driblet audit check
    """
    return cloud.check_audit()
