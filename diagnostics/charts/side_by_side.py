"""Two sentences of the same words, side by side: what each network says to either, to the last bit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from diagnostics.charts.frame import Frame, Origin, SizeName, frame, new_figure, waiting
from diagnostics.charts.labels import safe, spoken
from diagnostics.charts.palette import ThemeName
from diagnostics.measures.numbers import percent

TITLE = "The same words, the other order"
WAITING = "Waiting for the first weights to be kept…"
_BLOCK_PX, _WIDTH = 96, 0.34


class Said(NamedTuple):
    """One network: the probability of the first class for either sentence, as it was computed."""

    label: str
    one: float
    other: float


class Prepared(NamedTuple):
    """Both sentences, the class that is asked about, and what every network says."""

    origin: Origin
    sentences: tuple[str, str]
    answer: str
    said: tuple[Said, ...]


def prepare(sentences: tuple[str, str], answer: str, said: Sequence[Said], run_ids: Sequence[str] = ()) -> Prepared:
    """Make labels safe; numbers stay as they are, to the last digit."""
    one, other = sentences
    origin = Origin(
        "side_by_side",
        tuple(run_ids),
        f"Probability of “{safe(answer)}” for either sentence · in float64, from the last weights that were kept · "
        "with as many digits as it takes to tell any two numbers apart",
        {"unit": "probability", "reduction": "one pair of sentences"},
    )
    shown = tuple(Said(safe(label), float(first), float(second)) for label, first, second in said)
    return Prepared(origin, (safe(one), safe(other)), safe(answer), shown)


def same(said: Said) -> bool:
    """Whether both numbers are one number, to the last bit."""
    return said.one.hex() == said.other.hex()


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    if not prepared.said:
        return spoken([TITLE, WAITING])
    one, other = prepared.sentences
    parts = [
        f"{said.label} gives “{prepared.answer}” {percent(said.one)} for “{one}” and {percent(said.other)} for "
        f"“{other}”" + (", the same number to the last bit" if same(said) else "")
        for said in prepared.said
    ]
    return spoken([TITLE, *parts])


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw two bars for each network, one below the other, with every digit of their lengths."""
    look = frame(theme, size)
    if not prepared.said:
        return waiting(look, prepared.origin, TITLE, WAITING)
    count = len(prepared.said)
    figure = new_figure(look, prepared.origin, TITLE, _BLOCK_PX * count + 10, prepared.sentences)
    for which, (sentence, shape) in enumerate(zip(prepared.sentences, ("", "/"), strict=True)):
        values = [(said.one, said.other)[which] for said in prepared.said]
        figure.add_bar(
            orientation="h",
            x=[value if math.isfinite(value) else 0.0 for value in values],
            y=[place + (which - 0.5) * (_WIDTH + 0.04) for place in range(count)],
            width=_WIDTH,
            name=sentence,
            marker={
                "color": look.theme.lines[which],
                "line": {"width": 0},
                "pattern": {
                    "shape": shape,
                    "fgcolor": look.theme.paper,
                    "solidity": 0.15,
                    "size": look.px(9),
                    "fillmode": "overlay",
                },
            },
            hovertext=[repr(value) for value in values],
            hovertemplate=f"%{{hovertext}}<extra>{sentence}</extra>",
        )
    figure.update_layout(
        annotations=[note for place, said in enumerate(prepared.said) for note in _notes(look, said, place)],
        xaxis={
            "title": {"text": f"probability of “{prepared.answer}”"},
            "range": [0, 1.62],
            "tickvals": [0, 0.25, 0.5, 0.75, 1],
            "tickformat": ".0%",
            "domain": [0, 1],
        },
        yaxis={
            "tickvals": list(range(count)),
            "ticktext": [said.label for said in prepared.said],
            "range": [count - 0.5, -0.5],
            "tickfont": {"size": look.size.text, "color": look.theme.text},
            "showgrid": False,
        },
    )
    half = {"color": look.theme.mark, "width": look.size.line, "dash": "dot"}
    figure.add_shape(type="line", x0=0.5, x1=0.5, y0=0, y1=1, yref="paper", line=half)
    return figure


def _notes(look: Frame, said: Said, place: int) -> list[dict[str, object]]:
    """The digits beside each bar, and whether they are the same."""
    digits: list[dict[str, object]] = [
        {
            "text": repr(value),
            "x": 1.04,
            "y": place + side * (_WIDTH + 0.04),
            "xanchor": "left",
            "yanchor": "middle",
            "font": {"size": look.size.small, "family": "monospace"},
        }
        for value, side in ((said.one, -0.5), (said.other, 0.5))
    ]
    verdict: dict[str, object] = {
        "text": "<b>equal, bit for bit</b>" if same(said) else "not equal",
        "x": 1.61,
        "y": place,
        "xanchor": "right",
        "yanchor": "middle",
        "font": {"size": look.size.small, "color": look.theme.text if same(said) else look.theme.muted},
    }
    return [*digits, verdict]
