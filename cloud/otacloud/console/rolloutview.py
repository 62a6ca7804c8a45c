"""A rollout as the pages draw it."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from otacloud import phases, rollouts
from otacloud.console import charts, queries
from otacloud.models import Rollout
from otacloud.schemas import RolloutOut
from otacloud.targets import phase_now


@dataclass(frozen=True)
class RolloutView:
    """`eta` in seconds; None where nothing can be said yet."""

    shown: RolloutOut
    steps: list[charts.Step]
    counts: list[tuple[str, int]]
    ended: int
    eta: float | None


async def detail(session: AsyncSession, rollout: Rollout, now: int) -> RolloutView:
    shown = await rollouts.out(session, rollout)
    planned = phases.read(rollout.phases)
    at = phase_now(rollout, now) if rollout.started_at else -1
    settled = await queries.settled_by_phase(session, rollout)
    counts = shown.counts.model_dump()
    ended = counts["confirmed"] + counts["failed"] + counts["unneeded"]
    eta = None
    if rollout.state == "running" and rollout.started_at and ended < rollout.total:
        soak = charts.soak_to_come(planned, at, rollout.reached_at, now)
        eta = charts.forecast(ended, rollout.total, now - rollout.started_at, soak)
    drawn = charts.steps(planned, settled, rollout.total, at, rollout.reached_at, now)
    if rollout.state == "done":
        drawn = [charts.finished(step) for step in drawn]
    return RolloutView(shown, drawn, [(name, counts[name]) for name in charts.ORDER], ended, eta)
