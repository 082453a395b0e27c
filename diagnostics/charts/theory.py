"""The measured state gradient beside what theory says of it: a bound, two rates and an exponent, each named."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.frame import LINE_PX, Frame, Origin, SizeName, frame, new_figure, waiting, words_above
from diagnostics.charts.inspected import check_layer, nothing_in
from diagnostics.charts.inspected_seeds import Shown, bundled, members, origin_over, span
from diagnostics.charts.labels import spoken
from diagnostics.charts.palette import ThemeName
from diagnostics.charts.panels import add_place, add_rail
from diagnostics.charts.series import INFINITE, NAN, VALUE, ZERO, kinds
from diagnostics.charts.theory_lines import CEILING, FLOOR, Panel, draw_curves, draw_names, plain
from diagnostics.charts.theory_panel import panel_of
from diagnostics.charts.ticks import log_ticks
from diagnostics.measures.numbers import number, power_of_ten, steps

TITLE = "What theory says, and what the gradient does"
NEEDS = ("state_grad",)
MOST_PANELS = 6
_ALONE_PX, _PANEL_PX = 400, 250
_SPACE_PX, _RAIL_PX = 78, 24
_GUTTER, _SEEDS_GUTTER = 0.47, 0.64
"""What the lines' names take beyond the longest lag, as a share of it: more where they say what seeds span."""
_BEYOND = 4
"""How many decades beyond the measured profile the axis shows, where a line of theory goes there."""


class Prepared(NamedTuple):
    """A panel for each inspection, on one pair of axes."""

    origin: Origin
    panels: tuple[Panel, ...]
    decades: tuple[int, int]
    nothing: str


def prepare(inspections: Sequence[Shown], layer: int = 0) -> Prepared:
    """Take the profile of each (name, inspection) and the lines (γσ_max)^k, ρ^k, β^k and e^(λ₁k), 1 at the loss.

    Of several seeds everything is the median over them, and the profile has a band; a seed without a finite gradient
    above 0 at the loss is left out where others have one, which the caption says. A line whose factor is not there, or
    not a number, is left out; a gated cell has neither bound nor radius, and a sentence says why. Raises ``ValueError``
    for more than six inspections or where one has no such layer.
    """
    if len(inspections) > MOST_PANELS:
        raise ValueError(f"inspections must be at most {MOST_PANELS} to be told apart, but got {len(inspections)}")
    bundles = bundled(inspections)
    for _, one in members(bundles):
        check_layer(one, layer)
    lack = nothing_in(members(bundles), NEEDS)
    panels = () if lack else tuple(panel_of(bundle, layer) for bundle in bundles)
    origin = origin_over(
        "theory",
        bundles,
        "State gradient of the last answer's loss ÷ its value at the loss · median over the samples · pre-clip · "
        "lines of theory begin at 1 at the loss",
        layer,
        unit="ratio of l2 norms",
        reduction="median over the samples",
        clip="pre-clip",
        band="median over the seeds, the measured one in a band from the lowest to the highest",
        more=" · ".join(panel.left_out for panel in panels if panel.left_out),
    )
    return Prepared(origin, panels, _decades(panels), lack)


def _decades(panels: Sequence[Panel]) -> tuple[int, int]:
    """Return the decades of all measured values, and up to four more where theory or a band's lower edge goes there."""
    upper = [panel.over.high for panel in panels if panel.over is not None]
    drawn = [*(panel.measured for panel in panels), *upper]
    known = [np.log10(values[kinds(values) == VALUE]) for values in drawn]
    values = np.concatenate([*known, [0.0]])
    lower = [np.log10(panel.over.low[kinds(panel.over.low) == VALUE]) for panel in panels if panel.over is not None]
    ends = np.concatenate([[0.0], *lower, [line.log10[-1] for panel in panels for line in panel.lines]])
    low, high = values.min(), values.max()
    low = max(min(low, ends.min()), low - _BEYOND, FLOOR)
    high = min(max(high, ends.max()), high + _BEYOND, CEILING)
    return math.floor(low - 0.1), math.ceil(high + 0.1)


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    return spoken([TITLE, prepared.origin.caption, *(_said(panel) for panel in prepared.panels)])


def _said(panel: Panel) -> str:
    at = _where_it_matters(panel)
    lines = ", ".join(f"{plain(line.name)} says {_power(float(line.log10[at]))}" for line in panel.lines)
    measured = f"{number(float(panel.measured[at]))}{span(panel.over, at)}"
    return f"{panel.label}: {steps(at)} back the measured ratio is {measured}; {lines}. {plain(panel.sentence)}"


def _power(log10: float) -> str:
    if abs(log10) < CEILING:
        return number(10.0**log10)
    return power_of_ten(round(log10)) if math.isfinite(log10) else "0" if log10 < 0 else "infinity"


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw a panel per inspection, one above another; time runs to the right, and the loss is at 0."""
    look = frame(theme, size)
    if not prepared.panels:
        return waiting(look, prepared.origin, TITLE, prepared.nothing)
    n = len(prepared.panels)
    one_px = _ALONE_PX if n == 1 else _PANEL_PX
    more = LINE_PX * max(_above(look, prepared, panel).count("<br>") for panel in prepared.panels)
    space = _SPACE_PX + more
    plot_px = n * one_px + (n - 1) * space
    figure = new_figure(look, prepared.origin, TITLE, plot_px, above_px=LINE_PX + 24 + more)
    for i, panel in enumerate(prepared.panels):
        top = 1 - i * (one_px + space) / plot_px
        _draw_panel(figure, look, prepared, panel, i, (max(top - one_px / plot_px, 0.0), top), plot_px)
    return figure


def _above(look: Frame, prepared: Prepared, panel: Panel) -> str:
    """Return the words above a panel: its name, where there are several, and what is to be said of the bound."""
    name = [f"<b>{panel.label}</b>"] if len(prepared.panels) > 1 else []
    words = [" · ".join([*name, *([panel.sentence] if panel.sentence else [])]), _truth(panel)]
    return "<br>".join(words_above(look, text)[0] for text in words if text)


def _truth(panel: Panel) -> str:
    """Say by what factor each line is off where it matters, the closest first; empty where that cannot be said."""
    at = _where_it_matters(panel)
    measured = panel.measured[at]
    if at == 0 or kinds(measured) != VALUE or not panel.lines:
        return ""
    off = [(abs(float(line.log10[at]) - math.log10(measured)), line.name) for line in panel.lines]
    # A factor does not part from its sign at the end of a line.
    told = ", ".join(f"{name.rpartition(' ')[0]} ×\N{NO-BREAK SPACE}{_power(decades)}" for decades, name in sorted(off))
    ratio = f"{number(float(measured))}{span(panel.over, at)}"
    return f"{steps(at).capitalize()} back the measured ratio is {ratio}. Off by: {told}."


def _where_it_matters(panel: Panel) -> int:
    """Return the lag of the word that matters, or of the first timestep where there is none."""
    return panel.distance if panel.distance > 0 else len(panel.measured) - 1


def _draw_panel(
    figure: go.Figure,
    look: Frame,
    prepared: Prepared,
    panel: Panel,
    i: int,
    domain: tuple[float, float],
    plot_px: float,
) -> None:
    axis = str(i + 1) if i else ""
    longest = max(len(other.measured) for other in prepared.panels) - 1 or 1
    bottom = domain[0]
    odd = [kind for kind in (ZERO, INFINITE, NAN) if (kinds(panel.measured) == kind).any()]
    plot = bottom + len(odd) * _RAIL_PX / plot_px, domain[1]
    gutter = _GUTTER if all(other.over is None for other in prepared.panels) else _SEEDS_GUTTER
    last, alone = i == len(prepared.panels) - 1, len(prepared.panels) == 1
    figure.update_layout(
        {
            f"xaxis{axis}": {
                "title": {
                    "text": "steps back from the loss  (time runs to the right; the loss is at 0)" if last else ""
                },
                "range": [longest * (1 + gutter), -0.03 * longest - 0.3],
                "tickvals": _lag_ticks(longest),
                "anchor": "free",
                "position": bottom,
            },
            f"yaxis{axis}": {
                "title": {"text": "gradient ÷ gradient at the loss" if alone else "gradient ÷ at the loss"},
                "type": "log",
                "range": list(prepared.decades),
                "domain": list(plot),
                "anchor": f"x{axis}",
                **log_ticks(prepared.decades, most=9 if alone else 5),
            },
        }
    )
    _words_above(figure, look, panel, axis, prepared)
    draw_curves(figure, look, panel, axis, prepared.decades[0])
    draw_names(figure, look, panel, axis, prepared.decades, (plot[1] - plot[0]) * plot_px, longest)
    for row, kind in enumerate(odd):
        low = bottom + (len(odd) - 1 - row) * _RAIL_PX / plot_px
        add_rail(
            figure,
            look,
            np.flatnonzero(kinds(panel.measured) == kind),
            kind,
            axis=axis,
            own=str(10 * (i + 1) + row),
            domain=(low, low + 0.85 * _RAIL_PX / plot_px),
            hover="measured, %{x} steps back",
        )


def _lag_ticks(longest: int) -> list[int]:
    raw = longest / 5
    every = next(m * 10**p for p in range(7) for m in (1, 2, 5) if m * 10**p >= raw)
    return list(range(0, longest + 1, every))


def _words_above(figure: go.Figure, look: Frame, panel: Panel, axis: str, prepared: Prepared) -> None:
    """Write the panel's name and what is to be said of the bound above it, and mark the word that matters."""
    figure.add_annotation(
        text=_above(look, prepared, panel),
        x=0,
        xref=f"x{axis} domain",
        xanchor="left",
        y=1,
        yref=f"y{axis} domain",
        yanchor="bottom",
        yshift=look.px(18 if panel.distance >= 0 else 4),
        align="left",
        font={"color": look.theme.muted if len(prepared.panels) == 1 else look.theme.text},
    )
    if panel.distance >= 0:
        add_place(figure, look, panel.distance, axis, f"<b>{panel.word}</b>, {panel.distance} back")
