"""The profile as a small picture that needs neither plotly.js nor a browser's script: for a notebook that is exported.

It has the same prepared data as the figure that can be zoomed, without bands and marks: lines, axes, a legend.
"""

from __future__ import annotations

import math

from diagnostics.charts.palette import THEMES
from diagnostics.charts.profile import Prepared
from diagnostics.charts.series import VALUE, kinds
from diagnostics.measures.numbers import power_of_ten

_LEFT, _TOP, _WIDTH, _HEIGHT, _ROW = 60, 34, 640, 250, 18
_TICKS_AT_MOST = 7


def svg(prepared: Prepared) -> str:
    """The lines of the profile by steps back from the loss, time running to the right, as one ``<svg>`` element.

    Values that are exactly 0 or not finite leave a gap. Labels are escaped already, as plotly wants them.

    Raises ``ValueError`` where there is no line.
    """
    if not prepared.lines:
        raise ValueError(f"prepared must have a line to draw, but has none: {prepared.nothing}")
    look, (low, high) = THEMES["light"], prepared.decades
    longest = max(max(len(line.median) for line in prepared.lines) - 1, 1)

    def x(lag: float) -> str:
        return f"{_LEFT + _WIDTH * (1 - lag / longest):.1f}"

    def y(decade: float) -> str:
        return f"{_TOP + _HEIGHT * (high - decade) / (high - low):.1f}"

    drawn = [f'<text x="{_LEFT}" y="16" font-weight="bold">{prepared.title}</text>']
    for decade in range(high, low - 1, -math.ceil((high - low) / _TICKS_AT_MOST)):
        drawn.append(f'<path d="M{_LEFT} {y(decade)}h{_WIDTH}" stroke="{look.grid}"/>')
        drawn.append(f'<text x="{_LEFT - 6}" y="{y(decade)}" dy="4" text-anchor="end">{power_of_ten(decade)}</text>')
    drawn.extend(
        f'<text x="{x(lag)}" y="{_TOP + _HEIGHT + 16}" text-anchor="middle">{lag}</text>'
        for lag in range(0, longest + 1, max(1, round(longest / _TICKS_AT_MOST)))
    )
    below = _TOP + _HEIGHT + 34
    drawn.append(f'<text x="{_LEFT}" y="{below}">steps back from the loss; up: gradient ÷ gradient at the loss</text>')
    for row, line in enumerate(prepared.lines, 1):
        colour, path, pen = look.lines[line.style.colour], "", "M"
        for lag, (value, kind) in enumerate(zip(line.median, kinds(line.median), strict=True)):
            path, pen = (path + f"{pen}{x(lag)} {y(math.log10(value))}", "L") if kind == VALUE else (path, "M")
        drawn.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn.append(f'<path d="M{_LEFT} {below + _ROW * row - 4}h24" stroke="{colour}" stroke-width="2"/>')
        drawn.append(f'<text x="{_LEFT + 30}" y="{below + _ROW * row}">{line.label}</text>')
    width, height = _LEFT + _WIDTH + 20, below + _ROW * len(prepared.lines) + 10
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" font-family="sans-serif" font-size="12" fill="{look.text}">'
        f'<rect width="100%" height="100%" fill="{look.paper}"/>{"".join(drawn)}</svg>'
    )
