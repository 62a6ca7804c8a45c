"""Commands about alarms and where they go."""

import time
from collections.abc import Iterator
from typing import Annotated

import typer

from otacloud import schemas
from otacloud.client import Client
from otacloud.commands import Shown, calls

alarm = typer.Typer(help="Alarms: what went wrong.", no_args_is_help=True)
channel = typer.Typer(help="Where alarms go: webhooks and e-mail.", no_args_is_help=True)

KINDS = ["device.reverted", "device.silent", "rollout.stopped", "job.failed"]


@calls(alarm, "list")
def alarm_list(
    cloud: Client,
    open_only: Annotated[bool, typer.Option("--open", help="Only what nobody has acknowledged.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many to show.")] = 20,
    watch: Annotated[bool, typer.Option("--watch", help="Go on with those that come, until Ctrl-C.")] = False,
) -> Shown[schemas.AlarmList]:
    """List alarms, newest first, with how far their deliveries are.

    Example: driblet alarm list --open
    """
    found = cloud.alarms(open_only, limit)
    return _coming(cloud, found, open_only, limit) if watch else found


def _coming(
    cloud: Client, found: schemas.AlarmList, open_only: bool, limit: int
) -> Iterator[schemas.AlarmList]:
    """The oldest first, then those that come."""
    known: set[int] = set()
    while True:
        new = [each for each in found.alarms if each.id not in known]
        known |= {each.id for each in new}
        if new:
            yield schemas.AlarmList(alarms=new[::-1])
        time.sleep(2)
        found = cloud.patiently(lambda: cloud.alarms(open_only, limit))


@calls(alarm, "acknowledge")
def alarm_acknowledge(
    cloud: Client, alarm_id: Annotated[int, typer.Argument(help="Number of the alarm.")]
) -> schemas.Done:
    """Say that you look after it.

    Example: driblet alarm acknowledge 7
    """
    cloud.acknowledge_alarm(alarm_id)
    return schemas.Done(done=f"alarm {alarm_id} is acknowledged")


@calls(channel, "create")
def channel_create(
    cloud: Client,
    target: Annotated[str, typer.Argument(help="https://... or an e-mail address.")],
    kind: Annotated[list[str] | None, typer.Option(help="Only these alarms; may be repeated.")] = None,
) -> schemas.ChannelSecret:
    """Send alarms somewhere. A webhook's signing secret is shown this once.

    Example: driblet channel create https://ops.example.com/driblet --kind rollout.stopped
    """
    how = "webhook" if "://" in target else "email"
    fields = {"kind": how, "target": target, "kinds": kind or KINDS}
    return cloud.create_channel(schemas.ChannelIn.model_validate(fields))


@calls(channel, "list")
def channel_list(cloud: Client) -> schemas.ChannelList:
    """List where alarms go.

    Example: driblet channel list
    """
    return cloud.channels()


@calls(channel, "disable")
def channel_disable(
    cloud: Client, channel_id: Annotated[int, typer.Argument(help="Number of the channel.")]
) -> schemas.Done:
    """Send nothing there any more.

    Example: driblet channel disable 2
    """
    cloud.disable_channel(channel_id)
    return schemas.Done(done=f"channel {channel_id} is disabled")
