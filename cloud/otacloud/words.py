"""Answers of the service as text for a terminal, and numbers as people read them."""

import time
from functools import singledispatch

from otaboards import console
from pydantic import BaseModel
from rich.table import Table

from otacloud import schemas


def size(count: int | None) -> str:
    """1234567 -> 1.2 MB; decimal units, as data plans are sold."""
    if count is None:
        return "-"
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 99.5 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def moment(seconds: int | None) -> str:
    """UNIX seconds as UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds)) if seconds else "never"


def saved(part: int, whole: int) -> str:
    """How much less `part` is than `whole`."""
    return f"{100 * (1 - part / whole):.1f} %" if whole else "-"


def say(text: str) -> None:
    console.out.print(text, markup=False)


def say_problem(problem: schemas.Problem, indent: str = "") -> None:
    say(f"{indent}{problem.code} {problem.name} {problem.detail}".rstrip())
    say(f"{indent}{problem.cause}")
    say(f"{indent}What to do: {problem.remedy}")


@singledispatch
def show(model: BaseModel) -> None:
    """Prints `model` for a person."""
    raise TypeError(type(model))


@show.register
def _(made: schemas.ProductSecret) -> None:
    say(f"product {made.pk}")
    say(f"secret  {made.ps}")
    say(f"signs with {made.kid}, public key {made.public_key}")


@show.register
def _(found: schemas.KeySetOut) -> None:
    floor = "" if found.seq_floor is None else f", seq floor {found.seq_floor}"
    say(f"key set {found.version}: {found.threshold} of {len(found.roots)} roots sign the next one{floor}")
    for key in found.keys:
        say(f"  signs    {key.kid} {'for ' + key.product if key.product else 'any product'}")
    for kid in found.revoked:
        say(f"  revoked  {kid}")
    if not found.signs_releases:
        say("  The key that this service signs with is not in it: its releases would be refused.")


@show.register
def _(found: schemas.KeySetList) -> None:
    for one in found.keysets:
        show(one)


def _table(*titles: str) -> Table:
    return Table(*titles, box=None, pad_edge=False)


@show.register
def _(user: schemas.UserOut) -> None:
    say(f"{user.name}: {user.role}{', disabled' if user.disabled else ''}")


@show.register
def _(found: schemas.UserList) -> None:
    for user in found.users:
        show(user)


@show.register
def _(token: schemas.TokenOut) -> None:
    state = f"revoked {moment(token.revoked_at)}" if token.revoked_at else "in force"
    held = f" only for {', '.join(token.scopes)}," if token.scopes else ""
    say(f"{token.id} {token.name}: {token.role} of {token.product or 'all products'},{held} {state}")


@show.register
def _(made: schemas.TokenSecret) -> None:
    say(made.token)


@show.register
def _(found: schemas.TokenList) -> None:
    for token in found.tokens:
        show(token)


@show.register
def _(found: schemas.AuditList) -> None:
    table = _table("", "when (UTC)", "who", "what", "to")
    for e in found.entries:
        table.add_row(str(e.number), moment(e.created_at).removesuffix(" UTC"), e.who, e.action, e.object)
    console.out.print(table)


@show.register
def _(check: schemas.AuditCheck) -> None:
    if check.broken_at is None:
        say(f"{check.entries} entries, whole; the last has the hash {check.head}")
    else:
        say(f"entry {check.broken_at} was changed, added or taken out; {check.entries} before it are whole")


@show.register
def _(made: schemas.DeviceSecret) -> None:
    say(f"device {made.dn}")
    say(f"secret {made.ds}")


@show.register
def _(group: schemas.GroupOut) -> None:
    kind = f"rule {group.rule}" if group.rule else "filled by hand"
    say(f"{group.name}: {group.devices} devices, {kind}{', for tests' if group.test else ''}")


@show.register
def _(found: schemas.GroupList) -> None:
    for group in found.groups:
        show(group)


@show.register
def _(result: schemas.Imported) -> None:
    say(f"{result.made} devices made, {len(result.known)} known before")


@show.register
def _(found: schemas.DevicePage) -> None:
    table = _table("device", "version", "state", "error", "seen (UTC)")
    for d in found.devices:
        state = d.state if d.access == "approved" else d.access
        table.add_row(
            d.dn,
            d.version or "-",
            state,
            d.error.name if d.error else "",
            moment(d.last_seen_at).removesuffix(" UTC"),
        )
    console.out.print(table)
    say(f"{len(found.devices)} of {found.total}")


@show.register
def _(d: schemas.DeviceOut) -> None:
    state = d.state if d.access == "approved" else d.access
    say(f"{d.dn}: {d.version or '-'} in {d.slot or '-'} of {d.board or '-'}, {state}")
    if d.error:
        say_problem(d.error)


@show.register
def _(d: schemas.DeviceDetail) -> None:
    show.dispatch(schemas.DeviceOut)(d)
    if d.held:
        say_problem(d.held, "  ")
    for r in d.reports:
        cause = f" {r.error.name}" if r.error else ""
        say(f"  {moment(r.received_at)}  {r.version}  {r.state}{cause}")
    if d.log:
        say(d.log)


@show.register
def _(made: schemas.ReleaseOut) -> None:
    say(f"{made.version} (seq {made.seq}) for {made.board}, image {size(made.image_size)}: {made.state}")
    for job in made.jobs:
        base = f"from {job.base_version or (job.base_sha256 or '')[:8]}" if job.base_sha256 else "full"
        say(f"  {base:14} {_package(job, made.image_size) if job.size else job.state}")
        if job.error:
            say_problem(job.error, "    ")


def _package(job: schemas.JobOut, whole: int) -> str:
    part = job.size or 0
    return f"{size(part):>8}" + (f", {saved(part, whole)} saved" if part < whole else "")


@show.register
def _(r: schemas.RolloutOut) -> None:
    counts = ", ".join(f"{count} {name}" for name, count in r.counts.model_dump().items() if count)
    say(f"rollout {r.id} of {r.version}: {r.state}; {counts or 'no device'}")
    if r.state == "draft" and r.approvals_needed:
        say(f"waits for approval: {len(r.approved_by)} of {r.approvals_needed} agreed")
    if r.state == "running" and r.phase < len(r.phases):
        say(f"phase {r.phase + 1} of {len(r.phases)}, then everyone")
    if r.why:
        say(f"why: {r.why}")
    if r.counts.confirmed:
        say(f"sent {size(r.package_bytes)} instead of {size(r.image_bytes)}")


@show.register
def _(r: schemas.RolloutDetail) -> None:
    show.dispatch(schemas.RolloutOut)(r)
    for failed in r.failures + r.held:
        say(f"  {failed.dn}:")
        if failed.error:
            say_problem(failed.error, "    ")


@show.register
def _(found: schemas.TargetList) -> None:
    table = _table("device", "state", "tries", "error", "since (UTC)")
    for t in found.targets:
        at = moment(t.updated_at).removesuffix(" UTC")
        table.add_row(t.dn, t.state, str(t.attempts), t.error.name if t.error else "", at)
    console.out.print(table)


@show.register
def _(done: schemas.Done) -> None:
    say(done.done)


@show.register
def _(me: schemas.Me) -> None:
    say(f"{me.kind} {me.name}: {me.role} of {me.tenant}")


@show.register
def _(p: schemas.ProductOut) -> None:
    say(f"{p.pk}: {p.name}, board {p.board or 'not yet known'}, registration {p.registration}")
    say(f"signs with {p.kid}, public key {p.public_key}")


@show.register
def _(found: schemas.ProductList) -> None:
    table = _table("product", "name", "board", "registration")
    for p in found.products:
        table.add_row(p.pk, p.name, p.board or "-", p.registration)
    console.out.print(table)


@show.register
def _(found: schemas.ReleaseList) -> None:
    table = _table("version", "seq", "board", "channel", "image", "state", "best delta")
    for r in found.releases:
        best = min((job.size for job in r.jobs if job.size and job.base_sha256), default=None)
        table.add_row(r.version, str(r.seq), r.board, r.channel, size(r.image_size), r.state, size(best))
    console.out.print(table)


@show.register
def _(found: schemas.ReleaseFit) -> None:
    for fit in found.boards:
        verdict = f"{fit.delta} take a delta, {fit.full} the full package"
        said = "it does not run there" if fit.problem else verdict
        say(f"{fit.board}: {fit.devices} devices, {said}")
        if fit.problem:
            say_problem(fit.problem, "  ")


@show.register
def _(found: schemas.RolloutList) -> None:
    table = _table("", "version", "state", "confirmed", "failed", "of", "why")
    for r in found.rollouts:
        count = r.counts
        numbers = (str(count.confirmed), str(count.failed), str(r.total))
        table.add_row(str(r.id), r.version, r.state, *numbers, r.why)
    console.out.print(table)


@show.register
def _(channel: schemas.ChannelOut) -> None:
    off = ", disabled" if channel.disabled else ""
    say(f"{channel.id} {channel.kind} {channel.target}: {', '.join(channel.kinds)}{off}")


@show.register
def _(made: schemas.ChannelSecret) -> None:
    show.dispatch(schemas.ChannelOut)(made)
    if made.secret:
        say(f"secret {made.secret}")


@show.register
def _(found: schemas.ChannelList) -> None:
    for channel in found.channels:
        show(channel)


@show.register
def _(found: schemas.AlarmList) -> None:
    for alarm in found.alarms:
        seen = f", seen by {alarm.acknowledged_by}" if alarm.acknowledged_by else ""
        say(f"{alarm.id} {moment(alarm.created_at)} {alarm.kind}{seen}")
        say(f"  {alarm.text}")
        for sent in alarm.deliveries:
            say(f"  {sent.target}: {sent.state} {sent.problem}".rstrip())
