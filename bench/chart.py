"""Patch sizes as a bar chart: SVG, one group of bars a pair, logarithmic; on light and on dark pages."""

import math
from xml.sax.saxutils import escape

_WIDTH, _LEFT, _RIGHT, _TOP = 860, 112, 86, 78
_BAR, _GAP = 12, 12
_LOW, _HIGH = 100, 2_000_000
_SERIES = (("driblet", "#0d9488"), ("best other tool", "#8b949e"), ("detools + heatshrink", "#d97706"))
_TITLE = "Patch size in bytes"
_NOTE = "logarithmic; shorter is better"
_TEXT = "#6e7781"  # 4 : 1 or more on white and on black


def _x(size: float) -> float:
    share = math.log(max(size, _LOW) / _LOW) / math.log(_HIGH / _LOW)
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y}" {more}>{escape(text)}</text>'


def _rect(x: float, y: float, width: float, height: float, fill: str) -> str:
    return f'<rect x="{x}" y="{y}" width="{width:.1f}" height="{height}" rx="2" fill="{fill}"/>'


def _legend() -> list[str]:
    parts = []
    for i, (name, colour) in enumerate(_SERIES):
        parts.append(_rect(_LEFT + i * 170, 38, 12, 12, colour))
        parts.append(_text(_LEFT + i * 170 + 18, 48.5, name))
    return parts


def _scale(height: float) -> list[str]:
    parts = []
    for power in range(2, 7):
        x = _x(10**power)
        parts.append(f'<path d="M{x:.1f} {_TOP - 8}V{height - 24}" stroke="#7f7f7f" stroke-opacity=".3"/>')
        parts.append(_text(x, height - 8, f"{10**power:,}", 'text-anchor="middle"'))
    return parts


def chart(rows: list[tuple[str, int, int, int]]) -> str:
    """The chart; rows: (pair, ours, the best other tool's, today's) in bytes."""
    group = len(_SERIES) * _BAR + _GAP
    height = _TOP + len(rows) * group + 30
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img"'
    parts = [
        f'{head} aria-label="{_TITLE}" font-family="sans-serif" font-size="12" fill="{_TEXT}">',
        _text(_LEFT, 20, _TITLE, 'font-size="15" font-weight="bold"'),
        _text(_LEFT + 150, 20, _NOTE),
        *_legend(),
        *_scale(height),
    ]
    for i, (pair, *sizes) in enumerate(rows):
        y = _TOP + i * group
        parts.append(_text(_LEFT - 8, y + 2 * _BAR - 1, pair, 'text-anchor="end" font-weight="bold"'))
        for j, size in enumerate(sizes):
            top = y + j * _BAR
            parts.append(_rect(_LEFT, top, _x(size) - _LEFT, _BAR - 2, _SERIES[j][1]))
            parts.append(_text(_x(size) + 5, top + _BAR - 3, f"{size:,}", 'font-size="11"'))
    return "\n".join([*parts, "</svg>"]) + "\n"
