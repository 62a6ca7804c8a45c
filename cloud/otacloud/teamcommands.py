"""Commands about people, tokens and the audit log."""

from typing import Annotated

import typer

from otacloud import schemas
from otacloud.client import Client
from otacloud.commands import calls

user = typer.Typer(help="People of the team.", no_args_is_help=True)
token = typer.Typer(help="API tokens, for programs.", no_args_is_help=True)
audit = typer.Typer(help="Who did what.", no_args_is_help=True)


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


@calls(user, "whoami")
def user_whoami(cloud: Client) -> schemas.Me:
    """Say whom the token stands for.

    Example: driblet user whoami
    """
    return cloud.me()


@calls(user, "change")
def user_change(
    cloud: Client,
    name: Annotated[str, typer.Argument(help="Name.")],
    role: Annotated[str | None, typer.Option(help="viewer, operator, manager or owner.")] = None,
    enable: Annotated[bool, typer.Option("--enable", help="Let a disabled person in again.")] = False,
) -> schemas.UserOut:
    """Give a person another role, or let them in again.

    Example: driblet user change ada --role operator
    """
    fields = {"role": role, "disabled": False if enable else None}
    return cloud.change_user(name, schemas.UserChange.model_validate(fields))


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
    scope: Annotated[
        list[str] | None, typer.Option(help="Only this, like releases:write; may be repeated.")
    ] = None,
) -> schemas.TokenSecret:
    """Make a token for a program, shown this once.

    A scope is what a call is about (products, devices, groups, releases, rollouts,
    alarms, users, tokens, audit, secrets) and read or write.

    Example: driblet token create ci --role manager -p thermostat --scope releases:write
    """
    fields = {"name": name, "role": role, "product": product, "scopes": scope or []}
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
