"""The fault lab's HTML report, one page that needs nothing else: operations along x, outcome as colour."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from otasim.faults import KINDS
from otasim.lab import Survey, Verdict
from otasim.points import Regions
from otasim.prove import Summary

_WIDTH, _ROW, _LEFT, _TOP = 960, 18, 80, 4
_STEPS = [n * 10**e for e in range(8) for n in (1, 2, 5)]
_COLOURS = {
    "new": "#2e7d32",
    "old": "#1565c0",
    "unmonitored": "#ef6c00",
    "not_converged": "#ad1457",
    "wrong": "#6a1b9a",
    "lost": "#6a1b9a",
    "brick": "#c62828",
}
_WORDS = {
    "new": "ends on the new image, confirmed",
    "old": "is back on the old image, as it should",
    "unmonitored": "dead release boots unmonitored (the stock bootloader's residual)",
    "not_converged": "neither updated nor settled",
    "wrong": "wrong image or wrong state",
    "lost": "the lab lost the run",
    "brick": "nothing boots",
}
_REGION_COLOURS = {
    "nvs": "#9e9e9e",
    "otadata": "#fbc02d",
    "head": "#00838f",
    "slot": "#80cbc4",
    "other": "#bdbdbd",
}
_REGION_WORDS = {name: name for name in _REGION_COLOURS} | {"nvs": "NVS", "head": "first sector of a slot"}
_Words = dict[str, str]
_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
.verdict { font-size: 1.4rem; font-weight: 600; }
.good { color: #2e7d32; } .bad { color: #c62828; }
@media (prefers-color-scheme: dark) { .good { color: #81c784; } .bad { color: #ef9a9a; } }
table { border-collapse: collapse; } td, th { padding: .2rem .8rem .2rem 0; text-align: left; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
svg { width: 100%; height: auto; } svg text { fill: currentColor; font-size: 11px; }
.key span { display: inline-block; width: .8rem; height: .8rem; margin: 0 .3rem 0 1rem; }
"""


@dataclass(frozen=True)
class Group:
    """One picture: what was tried, its uncut run, what became of the cut ones."""

    name: str
    base: Survey
    verdicts: Sequence[Verdict]


def page(title: str, regions: Regions, groups: Sequence[Group], summary: Summary) -> str:
    """The report as HTML."""
    pictures = "".join(f"<h2>{escape(g.name)}</h2>{_svg(g, regions)}" for g in groups if g.verdicts)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f"<h1>{escape(title)}</h1>{_verdict(summary)}{_table(summary)}"
        f'<p class="key">{_key(_COLOURS, _WORDS, set(summary.outcomes))}</p>{pictures}{_bad(summary)}</html>'
    )


def _verdict(summary: Summary) -> str:
    good = not (summary.bricks or summary.not_converged or summary.wrong)
    text = (
        f"{summary.runs:,} power cuts, {summary.bricks} bricks"
        + (f", {summary.unmonitored} unmonitored" if summary.unmonitored else "")
        + (f", {summary.not_converged} not converged" if summary.not_converged else "")
        + (f", {summary.wrong} wrong" if summary.wrong else "")
    )
    return f'<p class="verdict {"good" if good else "bad"}">{text}</p>'


def _table(summary: Summary) -> str:
    rows = [
        ("Flash and NVS operations of one update", f"{summary.operations:,}"),
        ("Runs, each cut once or twice and judged", f"{summary.runs:,}"),
        ("Most bytes that a cut cost", f"{summary.extra_bytes:,}"),
        ("Most erases that a cut cost", f"{summary.extra_erases:,}"),
        ("Seconds", f"{summary.seconds:,.0f}"),
    ]
    return "<table>" + "".join(f'<tr><td>{a}<td class="n">{b}' for a, b in rows) + "</table>"


def _key(colours: dict[str, str], words: dict[str, str], shown: set[str]) -> str:
    return "".join(f'<span style="background:{colours[n]}"></span>{words[n]}' for n in colours if n in shown)


def _svg(group: Group, regions: Regions) -> str:
    """One row for each kind of cut, and one below that says what the operations work on."""
    tried = [v.point.operation for v in group.verdicts]
    kinds = [kind for kind in KINDS if any(v.point.kind == kind for v in group.verdicts)]
    first, last = (1 if min(tried) < group.base.operations // 4 else min(tried)), max(tried)
    axis = _Axis(first, last)
    height = _TOP + (len(kinds) + 2) * _ROW
    parts = [f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="outcome by operation">']
    for row, kind in enumerate(kinds):
        worst = _worst([v for v in group.verdicts if v.point.kind == kind])
        parts.append(_row(kind, _TOP + row * _ROW, _ROW - 3, axis, worst, _COLOURS, _WORDS))
    works = {n: regions.of(*op) for n, op in enumerate(group.base.trace, 1) if first <= n <= last}
    y = _TOP + len(kinds) * _ROW
    parts.append(_row("works on", y, _ROW - 8, axis, works, _REGION_COLOURS, _REGION_WORDS))
    parts += [f'<text x="{axis.x(n):.0f}" y="{height - 4}">{n:,}</text>' for n in axis.ticks()]
    key = _key(_REGION_COLOURS, _REGION_WORDS, set(works.values()))
    return "".join([*parts, f'</svg><p class="key">{key}</p>'])


class _Axis:
    """Operations `first` to `last` along the width of the picture."""

    def __init__(self, first: int, last: int) -> None:
        self._first, self._last = first, last
        self.scale = (_WIDTH - _LEFT) / (last - first + 1)

    def x(self, operation: int) -> float:
        return _LEFT + (operation - self._first) * self.scale

    def ticks(self) -> range:
        """At most a dozen round numbers."""
        step = next(n for n in _STEPS if (self._last - self._first) / n <= 12)
        return range(-(-self._first // step) * step, self._last + 1, step)


def _worst(verdicts: Sequence[Verdict]) -> dict[int, str]:
    """The worst outcome of each operation."""
    order = list(_COLOURS)
    found: dict[int, str] = {}
    for v in verdicts:
        before = found.get(v.point.operation, order[0])
        found[v.point.operation] = max(before, v.outcome, key=order.index)
    return found


def _row(
    name: str,
    y: int,
    height: int,
    axis: _Axis,
    values: dict[int, str],
    colours: dict[str, str],
    words: dict[str, str],
) -> str:
    """One bar for each stretch of operations with the same value."""
    parts = [f'<text x="0" y="{y + 12}">{escape(name)}</text>']
    stretches: list[tuple[int, int, str]] = []
    for number in sorted(values):
        if stretches and stretches[-1][1:] == (number - 1, values[number]):
            stretches[-1] = (stretches[-1][0], number, values[number])
        else:
            stretches.append((number, number, values[number]))
    for first, last, value in stretches:
        x, width = axis.x(first), max((last - first + 1) * axis.scale, 1.2)
        parts.append(
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{height}" fill="{colours[value]}">'
            f"<title>{first}..{last}: {words[value]}</title></rect>"
        )
    return "".join(parts)


def _bad(summary: Summary) -> str:
    if not summary.bad:
        return ""
    rows = "".join(
        f"<tr><td>{v.outcome}<td class=n>{v.point.operation}<td>{v.point.kind}<td class=n>{v.point.seed}"
        f"<td>{v.point.then or ''}<td>{escape(v.why)}"
        for v in summary.bad[:100]
    )
    return (
        "<h2>What went wrong</h2><table><tr><th>outcome<th>operation<th>cut<th>seed<th>second cut<th>why"
        f"{rows}</table>"
    )
