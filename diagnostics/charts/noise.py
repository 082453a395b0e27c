"""Gradient noise: the signal to noise of the weight gradient over the samples, step by step back from the loss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.back_lines import BackLine, BackLines, by_lag, draw_back, labels_and_styles, line_of, marks_of
from diagnostics.charts.frame import SizeName
from diagnostics.charts.inspected import check_layer, nothing_in
from diagnostics.charts.inspected_seeds import Shown, bundled, members, origin_over, span
from diagnostics.charts.labels import plain, spoken
from diagnostics.charts.palette import ThemeName
from diagnostics.charts.series import VALUE, kinds
from diagnostics.measures.numbers import number, steps

TITLE = "Do the samples agree on where to go?"
NEEDS = ("noise",)
CHANCE = 1.0


def prepare(inspections: Sequence[Shown], layer: int = 0) -> BackLines:
    """Take the signal to noise of each (name, inspection) by steps back from the loss.

    Raises ``ValueError`` where they are too many to be told apart, or one has no such layer.
    """
    looks = labels_and_styles(inspections)
    bundles = bundled(inspections)
    named = members(bundles)
    for _, one in named:
        check_layer(one, layer)
    lack = nothing_in(named, NEEDS)
    if any(one.samples < 2 for _, one in named) and not lack:
        lack = "Noise is the difference between samples, and this inspection has only one: ask for two or more."
    lines = () if lack else tuple(
        line_of(bundle, label, style, lambda one: by_lag(one, one["noise"][layer]))
        for bundle, (label, style) in zip(bundles, looks, strict=True)
    )  # fmt: skip
    origin = origin_over(
        "noise",
        bundles,
        "Squared norm of the mean over the samples ÷ what chance adds to it, of each timestep's share of the gradient "
        "of W<sub>hh</sub> · pre-clip",
        layer,
        unit="ratio",
        reduction="mean and covariance over the samples",
        clip="pre-clip",
    )
    return BackLines(origin, lines, marks_of(inspections), lack)


def describe(prepared: BackLines) -> str:
    """Say what the figure shows, for those who cannot see it."""
    return spoken([TITLE.rstrip("?"), plain(prepared.origin.caption), *(_said(line) for line in prepared.lines)])


def _said(line: BackLine) -> str:
    drawable = np.flatnonzero(kinds(line.values) == VALUE)
    if not drawable.size:
        return f"{line.label}: no timestep has a ratio that is a finite number above 0"
    above = float(np.mean(line.values[drawable] > CHANCE))
    best = int(drawable[np.argmax(line.values[drawable])])
    return (
        f"{line.label}: above 1 at {100 * above:.0f} % of the timesteps, most, {number(float(line.values[best]))}"
        f"{span(line.over, best)}, "
        f"{steps(best)} back"
    )


def draw(prepared: BackLines, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw the ratios with time running to the right, and the level that chance gives."""
    return draw_back(
        prepared,
        TITLE,
        theme=theme,
        size=size,
        y_title="signal ÷ noise",
        hover="%{x} steps back<br>signal ÷ noise %{y:.3g}",
        reference=(CHANCE, "1: chance"),
    )
