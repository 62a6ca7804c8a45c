"""What a device told, as attempts with their stages; and its flash as a picture. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from otaboards import loader
from otaspec.errors import OtaError

from otacloud.console import charts
from otacloud.models import Device
from otacloud.schemas import Problem, ReportOut

WENT_BACK = " (went back)"
FINAL = ("confirmed", "reverted", "failed", "idle")


@dataclass
class Stage:
    """`seconds` until the next stage; None: it goes on, or ended the attempt."""

    state: str
    at: int
    step: int
    seconds: int | None = None


@dataclass
class Attempt:
    """One try of one release: the reports between its begin and its end."""

    rollout: int | None
    version: str
    began: int
    ended: int
    state: str
    stages: list[Stage] = field(default_factory=list)
    error: Problem | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> int:
        return self.ended - self.began

    @property
    def slices(self) -> list[charts.Slice]:
        """The stages as one bar, by time; a stage of less than a second still shows."""
        return charts.slices((s.state, max(s.seconds, 1)) for s in self.stages if s.seconds is not None)


def attempts(reports: Sequence[ReportOut]) -> list[Attempt]:
    """`reports` newest first, as the attempts: newest first too."""
    made: list[Attempt] = []
    for told in reversed(reports):
        last = made[-1] if made else None
        same = last is not None and (last.rollout, last.version) == (told.rollout, told.version)
        if last is None or not same or last.state in FINAL:
            last = Attempt(told.rollout, told.version, told.received_at, told.received_at, told.state)
            made.append(last)
        _add(last, told)
    return made[::-1]


def _add(attempt: Attempt, told: ReportOut) -> None:
    before = attempt.stages[-1] if attempt.stages else None
    if before is None or before.state != told.state:
        if before is not None:
            before.seconds = told.received_at - before.at
        attempt.stages.append(Stage(told.state, told.received_at, told.step))
    attempt.stages[-1].step = told.step
    attempt.state, attempt.ended = told.state, told.received_at
    attempt.error = told.error
    attempt.facts |= told.data


@dataclass(frozen=True)
class Flash:
    """The app slots of a board; `others`: what else the flash holds, in words."""

    slots: list[charts.SlotView]
    flash_size: int
    others: list[str]


def flash(
    device: Device,
    board: str | None,
    running_size: int,
    tries: Sequence[Attempt],
    sizes: Mapping[str, int],
    base: str,
) -> Flash | None:
    """None for a board that is not known here.

    sizes: bytes of the images by version, as far as they are known. base: version that the last delta was
    made from.
    """
    try:
        kind = loader.load(board or "")
    except OtaError:
        return None
    target = tries[0].version if tries else ""
    held = backup_version(device, tries) or (base if base != device.version else "")
    update = {
        "state": device.state,
        "version": target,
        "step": max(device.step, 0),
        "size": sizes.get(target, 0),
        "backup": held,
        "backup_size": sizes.get(held.removesuffix(WENT_BACK), 0),
    }
    drawn = charts.slots(kind.slots, device.slot, device.version, running_size, update)
    rest = [f"{row.label} {row.size // 1024} KiB" for row in kind.rows if row not in kind.slots]
    return Flash(drawn, kind.flash_size, rest)


def backup_version(device: Device, tries: Sequence[Attempt]) -> str:
    """What the slot that does not run holds, as far as the reports tell."""
    for tried in tries:
        if tried.version != device.version and tried.state in ("confirmed", "reverted"):
            return tried.version + (WENT_BACK if tried.state == "reverted" else "")
    return ""
