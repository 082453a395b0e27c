"""n-gram models beside recurrent networks: perplexity, and the word that only a distant one decides, over n."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.frame import Frame, Origin, SizeName, frame, new_figure
from diagnostics.charts.labels import safe, spoken
from diagnostics.charts.palette import Style, ThemeName, styles_by_cell
from diagnostics.measures.numbers import number, percent

TITLE = "What looking back n − 1 words is worth"
NGRAM = "n-gram, counted"
_PLOT_PX, _SPACE = 420, 0.12


class Order(NamedTuple):
    """One n-gram model: ``perplexity`` over every next held-out word, ``success`` (0 to 1) at the last one, the share
    of held-out n-grams never ``unseen`` before, those ``kept`` and the Vⁿ ``possible``."""

    n: int
    perplexity: float
    success: float
    unseen: float
    kept: int
    possible: int


class Net(NamedTuple):
    """One network: the same numbers on the same held-out sentences, and its ``parameters``."""

    run_id: str
    label: str
    cell: str
    perplexity: float
    success: float
    parameters: int


class Prepared(NamedTuple):
    """n-grams by rising n, networks with their styles, what guessing gives, and from which n the answer is in sight."""

    origin: Origin
    orders: tuple[Order, ...]
    nets: tuple[tuple[Net, Style], ...]
    chance: float
    in_sight: int


def prepare(orders: Sequence[Order], nets: Sequence[Net], chance: float, distance: int) -> Prepared:
    """Take what was measured; the word that decides lies ``distance`` words before the last one.

    Raises ``ValueError`` where there is no n-gram, or their n do not rise.
    """
    if not orders or any(b.n <= a.n for a, b in pairwise(orders)):
        raise ValueError(f"orders must rise in n, but got {[order.n for order in orders]}")
    origin = Origin(
        "ngram",
        tuple(net.run_id for net in nets),
        "Held-out sentences · above: perplexity over every next word · below: right last words, which only the "
        "country, far back, tells · dotted: guessing",
        {"unit": "perplexity; share", "n": [order.n for order in orders], "reduction": "mean over the held-out set"},
    )
    looks = styles_by_cell([NGRAM, *(net.cell for net in nets)])[1:]
    named = [net._replace(label=safe(net.label)) for net in nets]
    return Prepared(origin, tuple(orders), tuple(zip(named, looks, strict=True)), chance, distance + 1)


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    return spoken(
        [
            TITLE,
            *(
                f"{order.n}-gram: perplexity {number(order.perplexity, 3)}, last word {percent(order.success)}"
                for order in prepared.orders
            ),
            *(
                f"{net.label}: perplexity {number(net.perplexity, 3)}, last word {percent(net.success)}"
                for net, _ in prepared.nets
            ),
            f"guessing {percent(prepared.chance)}",
        ]
    )


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw the n-grams as points over n, the networks, which have no n, as level lines."""
    look = frame(theme, size)
    labels = [NGRAM, *(net.label for net, _ in prepared.nets)]
    figure = new_figure(look, prepared.origin, TITLE, _PLOT_PX, labels)
    n = [order.n for order in prepared.orders]
    ends = [n[0] - 0.3, n[-1] + 0.3]
    for axis, name in (("", "perplexity"), ("2", "success")):
        shown = {"xaxis": f"x{axis}", "yaxis": f"y{axis}", "showlegend": not axis, "cliponaxis": False}
        form = ".1%" if axis else ".3g"
        figure.add_scatter(
            x=n,
            y=[getattr(order, name) for order in prepared.orders],
            mode="lines+markers",
            line={"color": look.theme.text, "width": look.size.line},
            marker={"symbol": "circle", "size": look.size.marker * 1.3, "color": look.theme.text},
            name=NGRAM,
            legendgroup=NGRAM,
            hovertemplate=f"n = %{{x}}<br>{name} %{{y:{form}}}<extra>{NGRAM}</extra>",
            **shown,
        )
        for net, style in prepared.nets:
            figure.add_scatter(
                x=ends,
                y=[getattr(net, name)] * 2,
                mode="lines",
                line={"color": look.theme.lines[style.colour], "width": look.size.line, "dash": style.dash},
                name=net.label,
                legendgroup=net.label,
                hovertemplate=f"{name} %{{y:{form}}}<extra>{net.label}</extra>",
                **shown,
            )
    _axes(figure, look, prepared, ends)
    return figure


def _axes(figure: go.Figure, look: Frame, prepared: Prepared, ends: Sequence[float]) -> None:
    each = [o.perplexity for o in prepared.orders] + [net.perplexity for net, _ in prepared.nets]
    finite = [value for value in each if np.isfinite(value)] or [1.0]
    low, high = np.log10(0.85 * min(finite)), np.log10(1.18 * max(finite))
    ticks = [m * 10.0**e for e in range(int(np.floor(low)), int(np.ceil(high)) + 1) for m in (1, 2, 3, 5)]
    n = [order.n for order in prepared.orders]
    shared = {"range": list(ends), "tickvals": n, "ticktext": [str(value) for value in n]}
    middle = 0.5 + _SPACE / 2
    figure.update_layout(
        {
            "xaxis": {**shared, "anchor": "y", "showticklabels": False},
            "yaxis": {
                "domain": [middle, 1],
                "type": "log",
                "range": [low, high],
                "tickvals": ticks,
                "ticktext": [number(tick) for tick in ticks],
                "title": {"text": "perplexity"},
            },
            "xaxis2": {**shared, "anchor": "y2", "title": {"text": "n: words that an n-gram is made of"}},
            "yaxis2": {
                "domain": [0, middle - _SPACE],
                "range": [-0.04, 1.08],
                "tickformat": ".0%",
                "title": {"text": "last word right"},
            },
        }
    )
    line = {"color": look.theme.mark, "width": look.size.thin, "dash": "dot"}
    figure.add_shape(
        type="line", xref="x2 domain", x0=0, x1=1, yref="y2", y0=prepared.chance, y1=prepared.chance, line=line
    )
    if n[0] < prepared.in_sight <= n[-1]:
        figure.add_shape(
            type="line", xref="x2", x0=prepared.in_sight, x1=prepared.in_sight, yref="y2 domain", y0=0, y1=1, line=line
        )
        figure.add_annotation(
            text=f"the country is within sight from n = {prepared.in_sight} on",
            xref="x2", x=prepared.in_sight, xanchor="right", xshift=-6, yref="y2 domain", y=0.55,
        )  # fmt: skip
