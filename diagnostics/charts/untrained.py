"""The profile of layers before any training, in the manner of the profile of runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts import profile
from diagnostics.charts.frame import Origin, SizeName
from diagnostics.charts.labels import safe
from diagnostics.charts.palette import Style, ThemeName, styles_by_cell
from diagnostics.charts.rails import rails_of
from diagnostics.charts.series import ratios
from diagnostics.measures.untrained import SAMPLES, Untrained
from diagnostics.records import Array

TITLE = "How much gradient arrives before any training"


def prepare(named: Sequence[tuple[str, Untrained]], hidden: int) -> profile.Prepared:
    """Take the profiles of (name, untrained), each divided by its median at the loss; ``hidden`` is H of all."""
    ways = [one.way for _, one in named]
    lines = tuple(
        _line(name, one, style)
        for (name, one), style in zip(named, styles_by_cell([way.cell for way in ways]), strict=True)
    )
    origin = Origin(
        "untrained",
        (),
        f"State gradient ÷ its value at the loss · median and 5th to 95th percentile over {SAMPLES} random sequences · "
        f"before any update · {hidden} hidden units",
        {
            "ways": [list(way) for way in ways],
            "hidden": hidden,
            "unit": "ratio of l2 norms",
            "reduction": "median over the samples",
            "clip": "pre-clip",
        },
    )
    return profile.Prepared(origin, lines, profile.decades(lines), True, "Choose at least one cell.", TITLE)


def _line(name: str, one: Untrained, style: Style) -> profile.Line:
    at_loss = one.median[0]
    low, median, high = (_divided(values, at_loss) for values in (one.low, one.median, one.high))
    return profile.Line(
        label=safe(name),
        style=style,
        training_steps=(0, 0),
        word="",
        distance=len(median) - 1,
        low=low,
        median=median,
        high=high,
        gradient=one.median,
        rails=rails_of(np.arange(len(median)), median),
    )


def _divided(values: Array, by: float) -> Array:
    # An exact zero is one whatever it is compared with.
    return np.where(values == 0, 0.0, ratios(values, by))


def describe(prepared: profile.Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    return profile.describe(prepared)


def draw(prepared: profile.Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw the profiles with time running to the right: the first timestep left, the loss at the right edge."""
    return profile.draw(prepared, theme=theme, size=size)
