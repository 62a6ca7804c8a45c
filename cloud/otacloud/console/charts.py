"""Numbers as pictures: what the inline SVG of the pages is drawn from. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from otacloud.phases import Phase

CODECS = {0: "full image", 1: "heatshrink", 2: "bsdiff + heatshrink", 3: "address-aware"}
# Names of the differ, as its facts list what it tried.
TRIED = {"image": CODECS[0], "heatshrink": CODECS[1], "bsdiff": CODECS[2], "address": CODECS[3]}

DAY = 86_400
UNITS = ((DAY, "d"), (3600, "h"), (60, "min"), (1, "s"))


def lasting(seconds: float | None) -> str:
    """90 -> 90 s, 7000 -> 117 min, 10000 -> 3 h: the largest unit of which there are at least two."""
    if seconds is None:
        return "-"
    for size, name in UNITS:
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s"


def many(count: float, word: str) -> str:
    """1 board, 3 boards, 12,000 boards."""
    return f"{count:,g} {word}" + ("" if count == 1 else "s")


def codec_name(codec: int | str | None) -> str:
    if isinstance(codec, str):
        return TRIED.get(codec, codec)
    return CODECS.get(-1 if codec is None else codec, f"codec {codec}")


def width(part: float, whole: float) -> float:
    """The part in percent of the whole, 0..100; what is there at all can be seen."""
    if not whole or not part:
        return 0
    return round(min(max(100 * part / whole, 0.6), 100), 2)


@dataclass(frozen=True)
class Slice:
    """A piece of a bar that is 100 wide."""

    name: str
    count: int
    x: float
    width: float


def slices(counts: Iterable[tuple[str, int]]) -> list[Slice]:
    """The counts as pieces of one bar; those of zero are left out."""
    pairs = [(name, count) for name, count in counts if count]
    total = sum(count for _, count in pairs)
    made: list[Slice] = []
    at = 0.0
    for name, count in pairs:
        share = 100 * count / total
        made.append(Slice(name, count, round(at, 2), round(share, 2)))
        at += share
    return made


# a rollout

ORDER = ("confirmed", "unneeded", "offered", "deferred", "failed", "waiting")
STATE_WORDS = {
    "confirmed": "confirmed",
    "unneeded": "did not need it",
    "offered": "under way",
    "deferred": "put off",
    "failed": "failed",
    "waiting": "waiting",
}


@dataclass(frozen=True)
class Step:
    """One phase as it is drawn. gate: what must be true before the next one: open, now or shut."""

    title: str
    size: int
    settled: int
    needed: int
    state: str  # done, now, next
    gate: str
    soak_left: int


def steps(
    planned: Sequence[Phase], settled: Sequence[int], total: int, at: int, reached_at: int | None, now: int
) -> list[Step]:
    """The phases and at last everyone. `settled`: boards that confirmed or needed nothing, phase by phase,
    the last number those of all."""
    made = []
    for index, phase in enumerate(planned):
        size = phase.size(total) if total else 0
        title = many(phase.count, "board") if phase.count else f"{phase.percent:g} %"
        left = max(reached_at + phase.soak - now, 0) if index == at and reached_at is not None else 0
        rule = f"{phase.success:g} % confirmed" + (f", then {lasting(phase.soak)}" if phase.soak else "")
        state = "done" if index < at else "now" if index == at else "next"
        made.append(Step(title, size, min(settled[index], size), phase.needed(total), state, rule, left))
    state = "now" if at >= len(planned) else "next"
    made.append(Step("everyone", total, settled[-1], total, state, "", 0))
    return made


def finished(step: Step) -> Step:
    return replace(step, state="done", soak_left=0)


def forecast(ended: int, total: int, elapsed: float, soak: float) -> float | None:
    """Seconds until all have ended, if they go on as they went; None before anything is known.

    `soak`: seconds that the phases to come will wait for nothing but time.
    """
    if not ended or elapsed <= 0:
        return None
    return (total - ended) * elapsed / ended + soak


def soak_to_come(planned: Sequence[Phase], at: int, reached_at: int | None, now: int) -> int:
    left = [phase.soak for phase in planned[at:]]
    if left and reached_at is not None:
        left[0] = max(reached_at + left[0] - now, 0)
    return sum(left)


# a fleet


@dataclass(frozen=True)
class Band:
    """So many devices are so far behind."""

    title: str
    count: int


BANDS = ((0, "up to date"), (7, "up to 7 days"), (30, "8 to 30 days"), (90, "31 to 90 days"))


def bands(days: Mapping[int | None, int]) -> list[Band]:
    """Devices by days behind; None: of a version that is no release here."""
    counts = [0] * (len(BANDS) + 1)
    for behind, count in days.items():
        if behind is not None:
            place = next((i for i, (limit, _) in enumerate(BANDS) if behind <= limit), len(BANDS))
            counts[place] += count
    titles = [title for _, title in BANDS] + ["more than 90 days"]
    made = [Band(title, count) for title, count in zip(titles, counts, strict=True)]
    return [*made, Band("not a release of yours", days[None])] if days.get(None) else made


def percentile(days: Mapping[int | None, int], share: float) -> int | None:
    """The days behind that `share` of the devices do not exceed."""
    known = sorted((behind, count) for behind, count in days.items() if behind is not None)
    wanted = share * sum(count for _, count in known)
    for behind, count in known:
        wanted -= count
        if wanted <= 0:
            return behind
    return None


# a board


@dataclass(frozen=True)
class SlotView:
    """One app slot as it is drawn. `share`: percent of it that the image takes, where that is known."""

    label: str
    offset: int
    size: int
    role: str  # running, writing, backup
    version: str
    share: float
    step: int


def slots(
    rows: Sequence[Any], running: str | None, version: str | None, image: int, update: Mapping[str, Any]
) -> list[SlotView]:
    """`update`: version, size, step and state of what goes on in the other slot; `backup` and `backup_size`:
    what it holds while nothing does."""
    made = []
    for row in rows:
        if row.label == running:
            share = width(image, row.size)
            made.append(SlotView(row.label, row.offset, row.size, "running", version or "", share, 0))
            continue
        writing = update["state"] in ("downloading", "applying", "verifying", "rebooting")
        role = "writing" if writing else "backup"
        named = update["version"] if writing else update["backup"]
        written = update["size"] * update["step"] / 100 if writing else update["backup_size"]
        share = width(written, row.size)
        made.append(SlotView(row.label, row.offset, row.size, role, named, share, update["step"]))
    return made
