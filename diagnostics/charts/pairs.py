"""Many pairs of sentences of the same words: what each network says to the one against what it says to the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.frame import Frame, Origin, SizeName, frame, new_figure, waiting, wire
from diagnostics.charts.labels import safe, spoken
from diagnostics.charts.palette import ThemeName
from diagnostics.measures.numbers import percent
from diagnostics.records import Array

TITLE = "Every pair of held-out sentences"
WAITING = "Waiting for the first weights to be kept…"
_PLOT_PX, _BETWEEN, _ROOM = 330, 0.08, 0.04
_BESIDE = 3
"""How many squares are wide enough for their words on one line."""


class Pairs(NamedTuple):
    """One network: the probability of the wanted class [N] for each sentence that is of it, and for its pair, which
    is not."""

    label: str
    of_it: Array
    of_the_other: Array


class Cloud(NamedTuple):
    """One network as it is drawn."""

    label: str
    of_it: Array
    of_the_other: Array
    same: int
    """Pairs whose two numbers are one, to the last bit."""
    right: float
    """Share of all sentences that are answered right."""


class Prepared(NamedTuple):
    """All networks and the class that is asked about."""

    origin: Origin
    answer: str
    clouds: tuple[Cloud, ...]


def prepare(answer: str, pairs: Sequence[Pairs], run_ids: Sequence[str] = ()) -> Prepared:
    """Count the pairs that are told apart by nothing, and the answers that are right: above a half for the one, not
    above it for the other."""
    origin = Origin(
        "pairs",
        tuple(run_ids),
        f"Probability of “{safe(answer)}”, a point for each pair · in float64, from the last weights that were kept · "
        "on the diagonal: the same for both",
        {"unit": "probability", "reduction": "none: every pair"},
    )
    clouds = []
    for label, of_it, of_the_other in pairs:
        one, other = (np.asarray(values, dtype=np.float64) for values in (of_it, of_the_other))
        right = ((one > 0.5).mean() + ((other <= 0.5) & np.isfinite(other)).mean()) / 2
        clouds.append(Cloud(safe(label), one, other, int((one.view(np.int64) == other.view(np.int64)).sum()), right))
    return Prepared(origin, safe(answer), tuple(clouds))


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    if not prepared.clouds:
        return spoken([TITLE, WAITING])
    return spoken([TITLE, *(f"{cloud.label}: {_in_words(cloud)}" for cloud in prepared.clouds)])


def _in_words(cloud: Cloud) -> str:
    return f"{cloud.same} of {len(cloud.of_it)} pairs equal bit for bit, {percent(cloud.right)} right"


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw a square of points for each network."""
    look = frame(theme, size)
    if not prepared.clouds:
        return waiting(look, prepared.origin, TITLE, WAITING)
    count = len(prepared.clouds)
    between = "<br>" if count > _BESIDE else " "
    figure = new_figure(look, prepared.origin, TITLE, _PLOT_PX, above_px=50 if count > _BESIDE else 34)
    width = (1 - _BETWEEN * (count - 1)) / count
    for place, cloud in enumerate(prepared.clouds):
        left = place * (width + _BETWEEN)
        _square(figure, look, cloud, place, (left, left + width), prepared.answer, between)
    figure.update_layout(showlegend=False)
    return figure


def _square(
    figure: go.Figure, look: Frame, cloud: Cloud, place: int, domain: tuple[float, float], answer: str, between: str
) -> None:
    own = "" if place == 0 else str(place + 1)
    ends = [-_ROOM, 1 + _ROOM]
    axis = {"range": ends, "tickformat": ".0%", "tickvals": [0, 0.5, 1]}
    figure.update_layout(
        {
            f"xaxis{own}": {
                **axis,
                "domain": list(domain),
                "anchor": f"y{own}",
                "title": {"text": f"for sentences{between}about {answer}"},
            },
            f"yaxis{own}": {
                **axis,
                "anchor": f"x{own}",
                **({"title": {"text": "for their pairs, which are not"}} if place == 0 else {"showticklabels": False}),
            },
        }
    )
    where = {"xref": f"x{own}", "yref": f"y{own}"}
    figure.add_shape(
        type="rect", x0=0.5, x1=ends[1], y0=ends[0], y1=0.5, fillcolor=look.theme.rail, line={"width": 0},
        layer="below", **where,
    )  # fmt: skip
    diagonal = {"color": look.theme.mark, "width": look.size.thin, "dash": "dot"}
    figure.add_shape(type="line", x0=0, x1=1, y0=0, y1=1, line=diagonal, layer="below", **where)
    figure.add_scatter(
        x=wire(cloud.of_it),
        y=wire(cloud.of_the_other),
        mode="markers",
        xaxis=f"x{own}",
        yaxis=f"y{own}",
        marker={
            "size": look.size.marker,
            "color": look.theme.lines[place % len(look.theme.lines)],
            "opacity": 0.55,
            "line": {"width": 0},
        },
        cliponaxis=False,
        customdata=np.stack([cloud.of_it, cloud.of_the_other], axis=1),
        hovertemplate=f"%{{customdata[0]:.4f}} and %{{customdata[1]:.4f}}<extra>{cloud.label}</extra>",
    )
    equal = f"{cloud.same} of {len(cloud.of_it)} pairs equal,"
    figure.add_annotation(
        text=f"<b>{cloud.label}</b><br>{equal}{between}{percent(cloud.right)} right",
        x=sum(domain) / 2,
        y=1,
        xref="paper",
        yref="paper",
        xanchor="center",
        yanchor="bottom",
        yshift=look.px(3),
    )
    figure.add_annotation(
        text=f"both{between}right",
        x=ends[1] - 0.02,
        y=0.48,
        xanchor="right",
        yanchor="top",
        font={"color": look.theme.muted, "size": look.size.small},
        **where,
    )
