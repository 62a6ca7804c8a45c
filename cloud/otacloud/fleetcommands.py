"""Commands about products, devices and groups."""

from pathlib import Path
from typing import Annotated, Any

import typer
from otaspec.errors import code, error

from otacloud import schemas
from otacloud.client import Client
from otacloud.commands import Again, Dn, Pk, Shown, bars, calls, looked_at

product = typer.Typer(help="Products: a key, a secret, the key that signs releases.", no_args_is_help=True)
device = typer.Typer(help="Devices of a product.", no_args_is_help=True)
group = typer.Typer(help="Groups of devices.", no_args_is_help=True)


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


@calls(product, "list")
def product_list(cloud: Client) -> schemas.ProductList:
    """List the products.

    Example: driblet product list
    """
    return schemas.ProductList(products=cloud.products())


@calls(product, "change")
def product_change(
    cloud: Client,
    pk: Annotated[str, typer.Argument(help="Product key.")],
    registration: Annotated[str | None, typer.Option(help="open, approval or closed.")] = None,
    approvals: Annotated[int | None, typer.Option(help="Others that must agree to a rollout.")] = None,
    verify_first: Annotated[
        bool | None, typer.Option("--verify-first/--no-verify-first", help="Test devices come first.")
    ] = None,
    silent_after: Annotated[int | None, typer.Option(help="Seconds of silence that raise an alarm.")] = None,
) -> schemas.ProductOut:
    """Change how devices and releases of a product are let in.

    Example: driblet product change thermostat --registration approval --approvals 1
    """
    fields = {"registration": registration, "approvals": approvals}
    fields |= {"verify_first": verify_first, "silent_after": silent_after}
    return cloud.change_product(pk, schemas.ProductChange.model_validate(fields))


@calls(product, "show")
def product_show(
    cloud: Client, pk: Annotated[str, typer.Argument(help="Product key.")]
) -> schemas.ProductSecret:
    """Show a product with its secret; for owners.

    Example: driblet product show thermostat
    """
    return cloud.product_secret(pk)


@calls(product, "add-keys")
def product_add_keys(
    cloud: Client,
    pk: Annotated[str, typer.Argument(help="Product key.")],
    file: Annotated[Path, typer.Argument(help="Signed key set, of `driblet keyset sign`.")],
) -> schemas.KeySetOut:
    """Hand a signed key set to the boards of a product.

    Example: driblet product add-keys thermostat set-2.keys
    """
    try:
        signed = file.read_bytes()
    except OSError as problem:
        raise error(code("FILE_UNREADABLE"), f"{file}: {problem.strerror}"[:120]) from problem
    return cloud.add_key_set(pk, signed)


@calls(product, "keys")
def product_keys(
    cloud: Client, pk: Annotated[str, typer.Argument(help="Product key.")]
) -> schemas.KeySetList:
    """List the key sets of a product, the newest first.

    Example: driblet product keys thermostat
    """
    return cloud.key_sets(pk)


@calls(device, "create")
def device_create(
    cloud: Client,
    dn: Dn,
    pk: Pk,
    group: Annotated[str | None, typer.Option(help="Its static group.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag; may be repeated.")] = None,
) -> schemas.DeviceSecret:
    """Make a device with a secret of its own, shown this once.

    Example: driblet device create kitchen --product thermostat --tag eu
    """
    fields = {"dn": dn, **({"group": group} if group else {}), **({"tags": tag} if tag else {})}
    return cloud.create_device(pk, schemas.DeviceIn.model_validate(fields))


@calls(device, "list")
def device_list(
    cloud: Client,
    pk: Pk,
    offset: Annotated[int, typer.Option(min=0, help="How many to leave out.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many to show.")] = 100,
    access: Annotated[str | None, typer.Option(help="Only approved, pending or revoked ones.")] = None,
    watch: Again = False,
) -> Shown[schemas.DevicePage]:
    """List devices by name.

    Example: driblet device list --product thermostat --watch
    """
    return looked_at(lambda cloud: cloud.devices(pk, offset, limit, access), cloud, watch)


@calls(device, "show")
def device_show(
    cloud: Client,
    dn: Dn,
    pk: Pk,
    watch: Annotated[bool, typer.Option("--watch", help="Until it confirmed, failed or went back.")] = False,
) -> schemas.DeviceDetail:
    """Show a device, its update timeline and its last failure log.

    Example: driblet device show kitchen --product thermostat --watch
    """
    if not watch:
        return cloud.device(pk, dn)
    with bars() as drawn:
        going = drawn.add_task(dn, total=100)
        for shown in cloud.watch_device(pk, dn):
            drawn.update(going, completed=max(shown.step, 0), description=shown.state)
    return shown


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


@calls(group, "change")
def group_change(
    cloud: Client,
    name: Annotated[str, typer.Argument(help="Name of the group.")],
    pk: Pk,
    rule: Annotated[str | None, typer.Option(help="The new rule of a dynamic group.")] = None,
    test: Annotated[bool | None, typer.Option("--test/--no-test", help="Its devices verify.")] = None,
    poll_interval: Annotated[int | None, typer.Option(min=1, help="Seconds between polls.")] = None,
) -> schemas.GroupOut:
    """Change a group; a new rule moves devices at once.

    Example: driblet group change beta -p thermostat --rule "tags has beta"
    """
    given = {"rule": rule, "test": test, "poll_interval": poll_interval}
    fields = {key: value for key, value in given.items() if value is not None}
    return cloud.change_group(pk, name, schemas.GroupChange.model_validate(fields))


@calls(group, "delete")
def group_delete(
    cloud: Client, name: Annotated[str, typer.Argument(help="Name of the group.")], pk: Pk
) -> schemas.Done:
    """Take a group away; its devices stay.

    Example: driblet group delete beta --product thermostat
    """
    cloud.delete_group(pk, name)
    return schemas.Done(done=f"group {name} is deleted")
