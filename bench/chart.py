"""Patch sizes as a bar chart: SVG, one group of bars a pair, logarithmic."""

import math
from collections.abc import Mapping
from xml.sax.saxutils import escape

_WIDTH, _LEFT, _RIGHT, _TOP = 860, 120, 90, 64
_BAR, _GAP = 11, 12
_LOW, _HIGH = 100, 2_000_000
_SERIES = (("driblet", "#0f766e"), ("best other tool", "#94a3b8"), ("detools + heatshrink", "#f59e0b"))
_TITLE = "Patch size in bytes (logarithmic; shorter is better)"


def _x(size: float) -> float:
    share = math.log(max(size, _LOW) / _LOW) / math.log(_HIGH / _LOW)
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _text(x: float, y: float, text: str, fill: str = "#334155", more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y}" fill="{fill}" {more}>{escape(text)}</text>'


def _rect(x: float, y: float, width: float, height: float, fill: str) -> str:
    return f'<rect x="{x}" y="{y}" width="{width:.1f}" height="{height}" fill="{fill}"/>'


def chart(rows: list[tuple[str, Mapping[str, int], int]], ours: str) -> str:
    """The chart; rows: (pair, sizes by tool, size of the best other tool)."""
    group = 3 * _BAR + _GAP
    height = _TOP + len(rows) * group + 30
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img"'
    parts = [
        f'{head} aria-label="{_TITLE}" font-family="sans-serif" font-size="12">',
        _rect(0, 0, _WIDTH, height, "#ffffff"),
        _text(_LEFT, 20, _TITLE, "#0f172a", 'font-size="15"'),
    ]
    for i, (name, colour) in enumerate(_SERIES):
        parts.append(_rect(_LEFT + i * 170, 32, 12, 12, colour))
        parts.append(_text(_LEFT + i * 170 + 18, 43, name))
    for power in range(2, 7):
        x = _x(10**power)
        parts.append(f'<path d="M{x:.1f} {_TOP - 8}V{height - 24}" stroke="#e2e8f0"/>')
        parts.append(_text(x, height - 8, f"{10**power:,}", "#64748b", 'text-anchor="middle"'))
    for i, (pair, sizes, best) in enumerate(rows):
        y = _TOP + i * group
        parts.append(_text(_LEFT - 8, y + 2 * _BAR, pair, "#0f172a", 'text-anchor="end"'))
        for j, size in enumerate((sizes[ours], best, sizes["detools heatshrink"])):
            top = y + j * _BAR
            parts.append(_rect(_LEFT, top, _x(size) - _LEFT, _BAR - 2, _SERIES[j][1]))
            parts.append(_text(_x(size) + 5, top + _BAR - 3, f"{size:,}", more='font-size="10"'))
    return "\n".join([*parts, "</svg>"]) + "\n"
