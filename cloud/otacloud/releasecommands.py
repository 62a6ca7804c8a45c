"""Commands about releases and rollouts."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from otaboards import console
from otadiff import bundles

from otacloud import schemas
from otacloud.client import Client
from otacloud.commands import Again, Board, Pk, Shown, bars, calls, looked_at

release = typer.Typer(help="Releases of a product and their packages.", no_args_is_help=True)
rollout = typer.Typer(help="Rollouts: a release goes to devices.", no_args_is_help=True)

TIMES = ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d"]
Number = Annotated[int, typer.Argument(help="Number of the rollout.")]
Bundle = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="The application's files, beside the image.")
]
Watch = Annotated[bool, typer.Option("--watch", help="Until it is done or stopped.")]
WatchJobs = Annotated[bool, typer.Option("--watch", help="Until its packages are made.")]


@calls(release, "upload")
def release_upload(
    cloud: Client,
    image: Annotated[Path, typer.Argument(help="App image (.app-bin).")],
    pk: Pk,
    version: Annotated[str, typer.Option("--version", "-v", help="What people call it.")],
    board: Annotated[str | None, typer.Option(help="Board id; left out: the product's.")] = None,
    notes: Annotated[str, typer.Option(help="What is new.")] = "",
    channel: Annotated[str, typer.Option(help="Others than stable go to groups only.")] = "stable",
    bundle: Bundle = None,
    watch: Annotated[bool, typer.Option("--watch", "--wait", help="Until its packages are made.")] = False,
) -> schemas.ReleaseOut:
    """Upload an image as a release; the service makes the packages.

    Example: driblet release upload build/firmware.bin -p thermostat -v 1.2.0 --watch
    """
    files = bundles.pack(bundle) if bundle else b""
    with bars() as drawn:
        sending = drawn.add_task("upload", total=None)

        def told(at: int, end: int) -> None:
            drawn.update(sending, completed=at, total=end)

        made = cloud.upload_release(pk, version, image, board, notes, told, channel, files)
    return _watch_jobs(cloud, pk, made) if watch else made


def _watch_jobs(cloud: Client, pk: str, shown: schemas.ReleaseOut) -> schemas.ReleaseOut:
    with bars() as drawn:
        making = drawn.add_task("packages", total=len(shown.jobs))
        for now in cloud.watch_release(pk, shown.version, shown.board):
            ended = sum(job.state in ("done", "failed") for job in now.jobs)
            drawn.update(making, completed=ended, total=len(now.jobs))
    return now


@calls(release, "show")
def release_show(
    cloud: Client,
    version: Annotated[str, typer.Argument(help="Version.")],
    pk: Pk,
    board: Board = None,
    watch: WatchJobs = False,
) -> schemas.ReleaseOut:
    """Show a release and how far its packages are.

    Example: driblet release show 1.2.0 --product thermostat --watch
    """
    shown = cloud.release(pk, version, board)
    return _watch_jobs(cloud, pk, shown) if watch else shown


@calls(release, "list")
def release_list(cloud: Client, pk: Pk, watch: Again = False) -> Shown[schemas.ReleaseList]:
    """List releases, newest first.

    Example: driblet release list --product thermostat
    """
    return looked_at(lambda cloud: schemas.ReleaseList(releases=cloud.releases(pk)), cloud, watch)


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
    cloud: Client,
    version: Annotated[str, typer.Argument(help="Version.")],
    pk: Pk,
    watch: WatchJobs = False,
) -> schemas.ReleaseOut:
    """Make its failed packages once more.

    Example: driblet release retry 1.2.0 --product thermostat --watch
    """
    shown = cloud.retry_release(pk, version)
    return _watch_jobs(cloud, pk, shown) if watch else shown


@calls(release, "reissue")
def release_reissue(
    cloud: Client,
    version: Annotated[str, typer.Argument(help="Version that is known to be good.")],
    new_version: Annotated[str, typer.Argument(help="What it is called now.")],
    pk: Pk,
    board: Board = None,
    bundle: Bundle = None,
    watch: WatchJobs = False,
) -> schemas.ReleaseOut:
    """Release an image once more with a newer seq: boards go back to it, or get other files beside it.

    Examples:

        driblet release reissue 1.0.0 1.0.0-again --product thermostat --watch

        driblet release reissue 1.2.0 1.2.1 --product thermostat --bundle app
    """
    files = bundles.pack(bundle) if bundle else b""
    made = cloud.reissue_release(pk, version, new_version, board, files)
    return _watch_jobs(cloud, pk, made) if watch else made


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
        typer.Option(help="Instead of a canary: 1%:3600:95 (percent, or boards; soak s; % that confirm)."),
    ] = None,
    parallel: Annotated[int, typer.Option(min=0, help="Boards under way at once; 0: any number.")] = 0,
    per_minute: Annotated[int, typer.Option(min=0, help="Offers in a minute; 0: any number.")] = 0,
    start_at: Annotated[
        datetime | None, typer.Option(formats=TIMES, help="Not before this time, UTC.", show_default=False)
    ] = None,
    window: Annotated[str | None, typer.Option(help="Only at this time of day, UTC: 22:00-05:30.")] = None,
    stop_after_failures: Annotated[int, typer.Option(min=0, help="0: never stops by itself.")] = 1,
    stop_at_percent: Annotated[float, typer.Option(min=0, max=100, help="The same, in % of all.")] = 0,
    retry_after: Annotated[int, typer.Option(min=0, help="Seconds until a board is asked again.")] = 300,
    user_applies: Annotated[bool, typer.Option("--user-applies", help="Asks boards' users first.")] = False,
    draft: Annotated[bool, typer.Option("--draft", help="Do not start yet.")] = False,
    watch: Watch = False,
) -> schemas.RolloutOut:
    """Roll a release out: to all devices of the product, to a group, or to those named.

    Examples:

        driblet rollout create -p thermostat -v 1.2.0 --canary 3 --watch

        driblet rollout create -p thermostat -v 1.2.0 --phase 1%:3600 --phase 10%:3600

        driblet rollout create -p thermostat -v 1.2.0 --window 22:00-05:30 --per-minute 50
    """
    fields = {
        **{"version": version, "board": board, "devices": device or None, "group": group, "canary": canary},
        **{"phases": [_phase(text) for text in phase or []], "draft": draft, "user_applies": user_applies},
        **{"parallel": parallel, "stop_after_failures": stop_after_failures, "retry_after": retry_after},
        **{"per_minute": per_minute, "stop_at_percent": stop_at_percent, "window": _window(window)},
        "start_at": int(start_at.replace(tzinfo=UTC).timestamp()) if start_at else 0,
    }
    made = cloud.create_rollout(pk, schemas.RolloutIn.model_validate(fields))
    return _watch(cloud, pk, made.id) if watch else made


def _phase(text: str) -> dict[str, Any]:
    """`5%:3600:95` or `20:60`: percent or number of boards; seconds after success; percent that is one."""
    size, _, rest = text.partition(":")
    soak, _, success = rest.partition(":")
    try:
        share = {"percent": float(size[:-1])} if size.endswith("%") else {"count": int(size)}
        return {**share, "soak": int(soak or 0), "success": float(success.removesuffix("%") or 100)}
    except ValueError:
        raise typer.BadParameter(f"{text} is not like 5%:3600, 20:60 or 10%:3600:95") from None


def _window(text: str | None) -> tuple[int, int] | None:
    """`22:00-05:30` as minutes of the day."""
    if text is None:
        return None
    try:
        begin, end = (datetime.strptime(each.strip(), "%H:%M") for each in text.split("-"))
    except ValueError:
        raise typer.BadParameter(f"{text} is not like 22:00-05:30") from None
    return begin.hour * 60 + begin.minute, end.hour * 60 + end.minute


@calls(rollout, "show")
def rollout_show(cloud: Client, rollout_id: Number, pk: Pk, watch: Watch = False) -> schemas.RolloutDetail:
    """Show how far a rollout is, and why boards failed.

    Example: driblet rollout show 1 --product thermostat --watch
    """
    return _watch(cloud, pk, rollout_id) if watch else cloud.rollout(pk, rollout_id)


@calls(rollout, "list")
def rollout_list(cloud: Client, pk: Pk, watch: Again = False) -> Shown[schemas.RolloutList]:
    """List rollouts, newest first.

    Example: driblet rollout list --product thermostat --watch
    """
    return looked_at(lambda cloud: schemas.RolloutList(rollouts=cloud.rollouts(pk)), cloud, watch)


@calls(rollout, "boards")
def rollout_boards(
    cloud: Client,
    rollout_id: Number,
    pk: Pk,
    state: Annotated[
        str | None, typer.Option(help="waiting, offered, deferred, confirmed, failed or unneeded.")
    ] = None,
    offset: Annotated[int, typer.Option(min=0, help="How many to leave out.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many to show.")] = 100,
    watch: Again = False,
) -> Shown[schemas.TargetList]:
    """Show where each board of a rollout stands, by name.

    Example: driblet rollout boards 1 --product thermostat --state failed
    """
    return looked_at(lambda cloud: cloud.rollout_targets(pk, rollout_id, state, offset, limit), cloud, watch)


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
def rollout_resume(cloud: Client, rollout_id: Number, pk: Pk, watch: Watch = False) -> schemas.RolloutOut:
    """Go on, also after it stopped by itself.

    Example: driblet rollout resume 1 --product thermostat --watch
    """
    moved = cloud.move_rollout(pk, rollout_id, "resume")
    return _watch(cloud, pk, rollout_id) if watch else moved


@calls(rollout, "start")
def rollout_start(cloud: Client, rollout_id: Number, pk: Pk, watch: Watch = False) -> schemas.RolloutOut:
    """Start a draft.

    Example: driblet rollout start 1 --product thermostat --watch
    """
    moved = cloud.move_rollout(pk, rollout_id, "start")
    return _watch(cloud, pk, rollout_id) if watch else moved


@calls(rollout, "approve")
def rollout_approve(cloud: Client, rollout_id: Number, pk: Pk, watch: Watch = False) -> schemas.RolloutOut:
    """Agree to a draft that somebody else made.

    Example: driblet rollout approve 1 --product thermostat --watch
    """
    moved = cloud.move_rollout(pk, rollout_id, "approve")
    return _watch(cloud, pk, rollout_id) if watch else moved


@calls(rollout, "retry")
def rollout_retry(cloud: Client, rollout_id: Number, pk: Pk, watch: Watch = False) -> schemas.RolloutOut:
    """Offer it once more to the boards that failed.

    Example: driblet rollout retry 1 --product thermostat --watch
    """
    moved = cloud.move_rollout(pk, rollout_id, "retry")
    return _watch(cloud, pk, rollout_id) if watch else moved


@calls(rollout, "stop")
def rollout_stop(cloud: Client, rollout_id: Number, pk: Pk) -> schemas.RolloutOut:
    """Offer it to no further board.

    Example: driblet rollout stop 1 --product thermostat
    """
    return cloud.move_rollout(pk, rollout_id, "stop")
