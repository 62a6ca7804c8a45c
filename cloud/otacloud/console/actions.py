"""What the buttons do: the very functions of the management API, each with the role that it asks for."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar

from pydantic import BaseModel, ValidationError

from otacloud import audit, auth, channels, devices, groups, products, releases, rollouts, tokens, users
from otacloud.auth import Caller
from otacloud.errors import refuse
from otacloud.schemas import Role
from otacloud.services import Services

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M", bound=BaseModel)

_ROLES: tuple[tuple[Any, Role], ...] = (
    (auth.Viewer, "viewer"),
    (auth.Operator, "operator"),
    (auth.Manager, "manager"),
    (auth.Owner, "owner"),
)

# What templates ask for by name, to show a button only to whom it would serve.
NAMED: dict[str, Callable[..., Any]] = {
    "product.create": products.create_product,
    "product.change": products.change_product,
    "product.secret": products.show_product_secret,
    "device.create": devices.create_device,
    "device.change": devices.change_device,
    "device.approve": devices.approve_device,
    "device.revoke": devices.revoke_device,
    "device.reissue": devices.reissue_device,
    "device.import": devices.import_devices,
    "group.create": groups.create_group,
    "group.delete": groups.delete_group,
    "release.upload": releases.upload_release,
    "release.retry": releases.retry_release,
    "release.reissue": releases.reissue_release,
    "rollout.create": rollouts.create_rollout,
    "rollout.start": rollouts.start_rollout,
    "rollout.approve": rollouts.approve_rollout,
    "rollout.pause": rollouts.pause_rollout,
    "rollout.resume": rollouts.resume_rollout,
    "rollout.retry": rollouts.retry_rollout,
    "rollout.stop": rollouts.stop_rollout,
    "user.create": users.create_user,
    "token.create": tokens.create_token,
    "audit.list": audit.list_audit,
    "alarm.acknowledge": channels.acknowledge_alarm,
    "channel.list": channels.list_channels,
    "channel.create": channels.create_channel,
}


def needed(endpoint: Callable[..., Any]) -> Role:
    """The role that `endpoint` of the API asks for: the annotation of its caller says so."""
    wanted = inspect.get_annotations(endpoint)["caller"]
    return next(role for annotation, role in _ROLES if annotation is wanted)


def allowed(viewer: Caller, name: str) -> bool:
    """Whether the viewer may do the action called `name`."""
    return viewer.may(needed(NAMED[name]))


async def act(
    endpoint: Callable[Concatenate[Services, Caller, P], Awaitable[R]],
    cloud: Services,
    viewer: Caller,
    *args: P.args,
    **kwargs: P.kwargs,
) -> R:
    """Calls a function of the API for the viewer; NOT_ALLOWED where the role is too low."""
    role = needed(endpoint)
    if not viewer.may(role):
        raise refuse("NOT_ALLOWED", f"this needs the role {role}")
    return await endpoint(cloud, viewer, *args, **kwargs)


def filled(model: type[M], fields: Mapping[str, Any]) -> M:
    """What a form says, as the API takes it; REQUEST_INVALID names the field that is wrong."""
    try:
        return model.model_validate(fields)
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise refuse("REQUEST_INVALID", f"{where}: {first['msg']}".removeprefix(": ")) from None
