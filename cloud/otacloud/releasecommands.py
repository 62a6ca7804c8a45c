"""Commands about releases and rollouts."""

from pathlib import Path
from typing import Annotated, Any

import typer
from otaboards import console

from otacloud import schemas
from otacloud.client import Client
from otacloud.commands import Board, Pk, bars, calls

release = typer.Typer(help="Releases of a product and their packages.", no_args_is_help=True)
rollout = typer.Typer(help="Rollouts: a release goes to devices.", no_args_is_help=True)

Number = Annotated[int, typer.Argument(help="Number of the rollout.")]
Watch = Annotated[bool, typer.Option("--watch", help="Until it is done or stopped.")]


@calls(release, "upload")
def release_upload(
    cloud: Client,
    image: Annotated[Path, typer.Argument(help="App image (.app-bin).")],
    pk: Pk,
    version: Annotated[str, typer.Option("--version", "-v", help="What people call it.")],
    board: Annotated[str | None, typer.Option(help="Board id; left out: the product's.")] = None,
    notes: Annotated[str, typer.Option(help="What is new.")] = "",
    channel: Annotated[str, typer.Option(help="Others than stable go to groups only.")] = "stable",
    wait: Annotated[bool, typer.Option("--wait", help="Until its packages are made.")] = False,
) -> schemas.ReleaseOut:
    """Upload an image as a release; the service makes the packages.

    Example: driblet release upload build/firmware.bin -p thermostat -v 1.2.0 --wait
    """
    with bars() as drawn:
        sending = drawn.add_task("upload", total=None)

        def told(at: int, end: int) -> None:
            drawn.update(sending, completed=at, total=end)

        made = cloud.upload_release(pk, version, image, board, notes, told, channel)
        making = drawn.add_task("packages", total=len(made.jobs), visible=wait)
        for now in cloud.watch_release(pk, version, made.board) if wait else ():
            ended = sum(job.state in ("done", "failed") for job in now.jobs)
            drawn.update(making, completed=ended, total=len(now.jobs))
            made = now
    return made


@calls(release, "show")
def release_show(
    cloud: Client,
    version: Annotated[str, typer.Argument(help="Version.")],
    pk: Pk,
    board: Board = None,
    watch: Annotated[bool, typer.Option("--watch", help="Until its packages are made.")] = False,
) -> schemas.ReleaseOut:
    """Show a release and how far its packages are.

    Example: driblet release show 1.2.0 --product thermostat --watch
    """
    shown = cloud.release(pk, version, board)
    with bars() as drawn:
        making = drawn.add_task("packages", total=len(shown.jobs), visible=watch)
        for now in cloud.watch_release(pk, version, shown.board) if watch else ():
            ended = sum(job.state in ("done", "failed") for job in now.jobs)
            drawn.update(making, completed=ended, total=len(now.jobs))
            shown = now
    return shown


@calls(release, "list")
def release_list(cloud: Client, pk: Pk) -> schemas.ReleaseList:
    """List releases, newest first.

    Example: driblet release list --product thermostat
    """
    return schemas.ReleaseList(releases=cloud.releases(pk))


@calls(release, "change")
def release_change(
    cloud: Client,
    version: Annotated[str, typer.Argument(help="Version.")],
    pk: Pk,
    channel: Annotated[str | None, typer.Option(help="stable, or a name of yours.")] = None,
    notes: Annotated[str | None, typer.Option(help="What is new.")] = None,
    board: Board = None,
) -> schemas.ReleaseOut:
    """Move a release to another channel, or word its notes anew.

    Example: driblet release change 1.2.0 -p thermostat --channel stable
    """
    change = schemas.ReleaseChange.model_validate({"channel": channel, "notes": notes})
    return cloud.change_release(pk, version, change, board)


@calls(release, "fit")
def release_fit(
    cloud: Client, version: Annotated[str, typer.Argument(help="Version.")], pk: Pk, board: Board = None
) -> schemas.ReleaseFit:
    """Say on which boards in use it runs, and which package they will take.

    Example: driblet release fit 1.2.0 --product thermostat
    """
    return cloud.fit_release(pk, version, board)


@calls(release, "retry")
def release_retry(
    cloud: Client, version: Annotated[str, typer.Argument(help="Version.")], pk: Pk
) -> schemas.ReleaseOut:
    """Make its failed packages once more.

    Example: driblet release retry 1.2.0 --product thermostat
    """
    return cloud.retry_release(pk, version)


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
    user_applies: Annotated[bool, typer.Option("--user-applies", help="Asks boards' users first.")] = False,
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
        **{"phases": [_phase(text) for text in phase or []], "draft": draft, "user_applies": user_applies},
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


@calls(rollout, "list")
def rollout_list(cloud: Client, pk: Pk) -> schemas.RolloutList:
    """List rollouts, newest first.

    Example: driblet rollout list --product thermostat
    """
    return schemas.RolloutList(rollouts=cloud.rollouts(pk))


def _watch(cloud: Client, pk: str, rollout_id: int) -> schemas.RolloutDetail:
    console.err.print(f"rollout {rollout_id}; Ctrl-C ends only the watching")
    with bars() as drawn:
        going = drawn.add_task("boards", total=None)
        for shown in cloud.watch_rollout(pk, rollout_id):
            counts = shown.counts
            ended = counts.confirmed + counts.failed + counts.unneeded
            drawn.update(going, completed=ended, total=sum(counts.model_dump().values()))
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
