"""Success on sentences as they were trained on, and on the same sentences moved by some words, for several networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from diagnostics.charts.frame import Origin, SizeName, frame, new_figure, waiting
from diagnostics.charts.labels import safe, spoken
from diagnostics.charts.palette import ThemeName, text_on
from diagnostics.measures.numbers import percent

TITLE = "The same sentences, moved"
WAITING = "Waiting for the first weights to be kept…"
_PLOT_PX, _WIDTH = 300, 0.36


class Shares(NamedTuple):
    """One network: the share of right answers ``before`` and ``after`` the sentences are moved; nan: not known yet."""

    label: str
    before: float
    after: float


class Prepared(NamedTuple):
    """All networks, by how many words the sentences were moved, and what guessing gives."""

    origin: Origin
    shares: tuple[Shares, ...]
    by: int
    chance: float


def prepare(shares: Sequence[Shares], by: int, chance: float, run_ids: Sequence[str] = ()) -> Prepared:
    """Take what is known; networks of which nothing is are left out."""
    known = tuple(
        one._replace(label=safe(one.label))
        for one in shares
        if math.isfinite(one.before) or (by and math.isfinite(one.after))
    )
    caption = "Share of held-out sentences that are answered right, from the last weights that were kept"
    caption += " · dotted: guessing" + (f" · hatched: each sentence with {_words(by)} more in front" if by else "")
    origin = Origin("moved", tuple(run_ids), caption, {"unit": "share", "reduction": "all held-out sentences"})
    return Prepared(origin, known, by, chance)


def _words(by: int) -> str:
    return "one word" if by == 1 else f"{by} words"


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    if not prepared.shares:
        return spoken([TITLE, WAITING])
    moved = f", {{}} moved by {_words(prepared.by)}" if prepared.by else ""
    said = [f"{one.label}: {percent(one.before)} right{moved.format(percent(one.after))}" for one in prepared.shares]
    return spoken([TITLE, *said, f"guessing gives {percent(prepared.chance)}"])


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw a bar for each network before, and a hatched one after."""
    look = frame(theme, size)
    if not prepared.shares:
        return waiting(look, prepared.origin, TITLE, WAITING)
    sides = [("as in training", [one.before for one in prepared.shares], 0, "")]
    if prepared.by:
        sides.append((f"moved by {_words(prepared.by)}", [one.after for one in prepared.shares], 1, "/"))
    figure = new_figure(look, prepared.origin, TITLE, _PLOT_PX, [name for name, *_ in sides])
    middle = (len(sides) - 1) / 2
    for place, (name, values, colour, shape) in enumerate(sides):
        hue = look.theme.lines[colour]
        figure.add_bar(
            x=[number + (place - middle) * (_WIDTH + 0.03) for number in range(len(values))],
            y=values,
            width=_WIDTH,
            name=name,
            marker={
                "color": hue,
                "line": {"width": 0},
                "pattern": {
                    "shape": shape,
                    "fgcolor": look.theme.paper,
                    "solidity": 0.15,
                    "size": look.px(9),
                    "fillmode": "overlay",
                },
            },
            text=[percent(value) if math.isfinite(value) else "" for value in values],
            textposition=["inside" if value > 0.15 else "outside" for value in values],
            insidetextanchor="end",
            insidetextfont={"size": look.size.text + 2, "color": text_on(hue)},
            outsidetextfont={"size": look.size.text + 2, "color": look.theme.text},
            textangle=0,
            constraintext="none",
            hovertemplate=f"%{{text}} right<extra>{name}</extra>",
        )
    figure.update_layout(
        showlegend=len(sides) > 1,
        xaxis={
            "tickvals": list(range(len(prepared.shares))),
            "ticktext": [one.label for one in prepared.shares],
            "range": [-0.6, len(prepared.shares) - 0.4],
            "tickfont": {"size": look.size.text, "color": look.theme.text},
            "showgrid": False,
        },
        yaxis={"title": {"text": "right answers"}, "range": [0, 1.04], "tickformat": ".0%", "dtick": 0.25},
    )
    figure.add_hline(prepared.chance, line={"color": look.theme.mark, "width": look.size.line, "dash": "dot"})
    return figure
