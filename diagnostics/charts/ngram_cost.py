"""What an n-gram model costs against a recurrent network: numbers that it could have, numbers it keeps, and gaps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from diagnostics.charts.frame import Origin, SizeName, frame, new_figure
from diagnostics.charts.labels import safe, spoken
from diagnostics.charts.ngram import Net, Order
from diagnostics.charts.palette import Style, ThemeName, styles_by_cell
from diagnostics.measures.numbers import number, percent, power_of_ten

TITLE = "What it costs: Vⁿ against V"
_PLOT_PX = 320
POSSIBLE, KEPT = "Vⁿ: a whole table of n-grams", "different n-grams that were seen"


class Prepared(NamedTuple):
    """n-grams by rising n, and networks with their styles."""

    origin: Origin
    orders: tuple[Order, ...]
    nets: tuple[tuple[Net, Style], ...]


def prepare(orders: Sequence[Order], nets: Sequence[Net], words: int) -> Prepared:
    """Take what was counted in a language of ``words`` words. Raises ``ValueError`` where there is no n-gram."""
    if not orders:
        raise ValueError("orders must have at least one n-gram, but got none")
    origin = Origin(
        "ngram_cost",
        tuple(net.run_id for net in nets),
        f"V = {words} words · numbers that each model has · percentages: held-out n-grams that were never seen",
        {"unit": "numbers", "n": [order.n for order in orders], "reduction": "counts"},
    )
    looks = styles_by_cell([POSSIBLE, KEPT, *(net.cell for net in nets)])[2:]
    named = [net._replace(label=safe(net.label)) for net in nets]
    return Prepared(origin, tuple(orders), tuple(zip(named, looks, strict=True)))


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    return spoken(
        [
            TITLE,
            *(
                f"{o.n}-grams: {number(o.possible)} possible, {number(o.kept)} seen, {percent(o.unseen)} of those in "
                "held-out sentences never seen"
                for o in prepared.orders
            ),
            *(f"{net.label}: {number(net.parameters)} parameters" for net, _ in prepared.nets),
        ]
    )


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw the counts over n on a logarithmic axis, the networks' parameters as level lines."""
    look = frame(theme, size)
    figure = new_figure(
        look, prepared.origin, TITLE, _PLOT_PX, [POSSIBLE, KEPT, *(net.label for net, _ in prepared.nets)]
    )
    n = [order.n for order in prepared.orders]
    ends = [n[0] - 0.3, n[-1] + 0.3]
    for name, values, dash, symbol in (
        (POSSIBLE, [float(o.possible) for o in prepared.orders], "dash", "circle-open"),
        (KEPT, [float(o.kept) for o in prepared.orders], "solid", "circle"),
    ):
        figure.add_scatter(
            x=n,
            y=values,
            mode="lines+markers+text" if name == KEPT else "lines+markers",
            text=[f"{percent(o.unseen)} unseen" for o in prepared.orders] if name == KEPT else None,
            # At the ends towards the middle: the words would lie on the axis.
            textposition=["bottom right", *["bottom center"] * (len(n) - 2), "bottom left"][: len(n)],
            textfont={"size": look.size.small, "color": look.theme.muted},
            line={"color": look.theme.text, "width": look.size.line, "dash": dash},
            marker={"symbol": symbol, "size": look.size.marker * 1.3, "color": look.theme.text},
            name=name,
            cliponaxis=False,
            hovertemplate=f"n = %{{x}}<br>%{{y:,.0f}}<extra>{name}</extra>",
        )
    for net, style in prepared.nets:
        figure.add_scatter(
            x=ends,
            y=[net.parameters] * 2,
            mode="lines",
            line={"color": look.theme.lines[style.colour], "width": look.size.line, "dash": style.dash},
            name=net.label,
            hovertemplate=f"%{{y:,}} parameters<extra>{net.label}</extra>",
        )
    lowest = min([o.kept for o in prepared.orders] + [net.parameters for net, _ in prepared.nets])
    first, last = len(str(max(lowest, 1))) - 2, len(str(max(o.possible for o in prepared.orders)))
    powers = list(range(max(first, 0), last + 1, max(1, (last - first) // 6)))
    figure.update_layout(
        xaxis={
            "range": ends,
            "tickvals": n,
            "ticktext": [str(value) for value in n],
            "title": {"text": "n: words that an n-gram is made of"},
        },
        yaxis={
            "type": "log",
            "range": [max(first, 0), last],
            "tickvals": [10.0**power for power in powers],
            "ticktext": [power_of_ten(power) for power in powers],
            "title": {"text": "numbers"},
        },
    )
    return figure
