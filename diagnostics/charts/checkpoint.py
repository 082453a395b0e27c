"""The profile of a checkpoint's recurrent layers on a probe sequence, in the manner of the profile of runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts import profile
from diagnostics.charts.frame import Origin, SizeName
from diagnostics.charts.labels import safe, short
from diagnostics.charts.palette import Style, ThemeName, styles_by_cell
from diagnostics.charts.rails import rails_of
from diagnostics.charts.series import ratios
from diagnostics.checkpoint import INPUTS, LOSSES, SAMPLES, Probed, Walk
from diagnostics.measures.numbers import number
from diagnostics.records import Array

TITLE = "How much gradient gets back through the checkpoint"
HOW_TO_READ = (
    "Each line is a layer in one direction. Follow it from the last state at the right back in time to the left: on "
    "this logarithmic axis a straight line down means that each step multiplies the gradient by the same factor below "
    "1. Where a line falls below the dashed 1 %, an error at the end teaches these weights next to nothing about what "
    "lies further back, on sequences like the probe. A trained model may do better on its own data than on noise, or "
    "worse."
)


def prepare(probed: Probed | None) -> profile.Prepared:
    """Take the profile of every layer and direction, each divided by its median at the last state."""
    if probed is None:
        return profile.Prepared(
            Origin("checkpoint", (), "", {}), (), (-2, 1), True, "Choose a part of the checkpoint.", TITLE
        )
    styles = styles_by_cell([probed.cell] * len(probed.walks))
    lines = tuple(_line(probed, walk, style) for walk, style in zip(probed.walks, styles, strict=True))
    asked = probed.asked
    fed = INPUTS[asked.inputs] + (f" × {number(asked.scale)}" if asked.inputs == "noise" else "")
    origin = Origin(
        "checkpoint",
        (),
        f"{safe(short(probed.part.title))} · state gradient ÷ its value at the last state · "
        f"loss: {LOSSES[asked.loss]} · median and 5–95 % band over {SAMPLES} sequences of {fed} · float64",
        {
            "part": probed.part.to_json(),
            "probe": asked.to_json(),
            "unit": "ratio of l2 norms",
            "reduction": f"median over {SAMPLES} probe sequences",
            "clip": "nothing is clipped",
        },
    )
    return profile.Prepared(origin, lines, profile.decades(lines), True, "", TITLE)


def _line(probed: Probed, walk: Walk, style: Style) -> profile.Line:
    gradient = walk.gradient[:, 1]
    low, median, high = (_divided(values, float(gradient[0])) for values in walk.gradient.T)
    return profile.Line(
        label=safe(probed.label(walk)),
        style=style,
        training_steps=(0, 0),
        word="",
        distance=len(gradient) - 1,
        low=low,
        median=median,
        high=high,
        gradient=gradient,
        rails=rails_of(np.arange(len(gradient)), median),
    )


def _divided(values: Array, by: float) -> Array:
    # An exact zero is one whatever it is compared with.
    return np.where(values == 0, 0.0, ratios(values, by))


def describe(prepared: profile.Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    return profile.describe(prepared)


def draw(prepared: profile.Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw the profiles with time running to the right: the first walked step left, the last state at the right."""
    figure = profile.draw(prepared, theme=theme, size=size)
    if prepared.lines:
        figure.layout.xaxis.title.text = "steps back from the last state, as the layer walked them"
        figure.layout.yaxis.title.text = "gradient ÷ gradient at the last state"
    return figure


def rows(probed: Probed) -> tuple[Sequence[str], list[list[str]]]:
    """The header and, for every layer and direction, the numbers of its recurrent weights, in words."""
    gates = [f" of {name}" if len(probed.gate_names) > 1 else "" for name in probed.gate_names]
    header = ["recurrent weights", *(f"σ max{gate}" for gate in gates), *(f"largest |λ|{gate}" for gate in gates)]
    return header, [
        [probed.label(walk), *map(_said, walk.sigma_max), *map(_said, walk.spectral_radius)] for walk in probed.walks
    ]


def _said(value: float) -> str:
    return "–" if np.isnan(value) else number(value, 3)
