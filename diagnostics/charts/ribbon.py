"""The sentence, a ribbon per run: each word coloured by the gradient that reaches it, one log scale for all runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.frame import Frame, Origin, SizeName, frame, ids, new_figure, waiting, wire
from diagnostics.charts.labels import run_labels, safe, spoken
from diagnostics.charts.layout import Layout, Place, Strip, arrange
from diagnostics.charts.palette import ThemeName, gradient_colour, text_on
from diagnostics.charts.scale import colour_axis
from diagnostics.charts.series import (
    MEANINGS,
    NAN,
    SYMBOLS,
    UNDERWAY,
    VALUE,
    Sheaf,
    absent,
    drawn_from,
    ending,
    kinds,
    log10,
    received,
    sheaf,
    subject,
    training_steps,
    watched,
)
from diagnostics.measures.numbers import number
from diagnostics.measures.seeds import Group, groups, singles
from diagnostics.measures.sentence import name_word
from diagnostics.records import Array, Run, TaskFacts

TITLE = "Which words can the network still learn from?"
WITHOUT_WORDS = "Which timesteps can the network still learn from?"
"""Of watched runs alone: what their models read is not known."""
COLUMNS = 88.0
"""Average characters per line: fits a figure of 700 pixels and more."""
_STRIP_CELLS = 120
_UNIT_PX, _HEADER, _GAP, _BAR = 33, 0.95, 0.45, 0.84


class Ribbon(NamedTuple):
    """One run's sentence; every array has one entry per timestep, ``[T]``."""

    label: str
    remark: str
    """What the informative step receives, in words."""
    tokens: tuple[str, ...]
    answer: str
    layout: Layout
    lag: Array
    """Steps back from the loss; negative after it."""
    gradient: Array
    """Median state gradient, l2, pre-clip; nan where nothing has been recorded."""
    ratio: Array
    """Gradient ÷ gradient at the loss."""
    kind: Array
    """VALUE, ZERO, INFINITE or NAN; −1 where nothing has been recorded yet."""
    informative: Array


class Prepared(NamedTuple):
    """All ribbons and where they come from."""

    origin: Origin
    ribbons: tuple[Ribbon, ...]
    columns: float
    nothing: str
    """Why there is no ribbon, where there is none."""
    title: str = TITLE


def prepare(
    runs: Sequence[Run], at_step: int | None = None, columns: float = COLUMNS, over_seeds: bool = False
) -> Prepared:
    """Lay out each run's example sentence and look up the gradient that reaches every word of it.

    ``at_step`` picks the profile recorded nearest to that training step, the newest where None (of a run that has
    ended the newest with a gradient to show); ``columns`` is the width of a line in average characters. Runs that have
    not said their task yet are left out. With ``over_seeds`` runs that differ only in their seed are one ribbon, the
    median over them at every timestep, under the first one's sentence.
    """
    bundles = groups(runs) if over_seeds else singles(runs)
    faces = [group.face for group in bundles]
    found = [
        (label, group, sheaf(group, at_step, over_seeds), sheaf(group, at_step, over_seeds, ahead=True))
        for label, group, face in zip(run_labels(faces), bundles, faces, strict=True)
        if face.facts is not None
    ]
    wordless = bool(runs) and all(map(watched, runs))
    place = "timestep" if wordless else "word"
    reduction = "median over the batch" + (", then over the seeds" if over_seeds else "")
    shown = drawn_from([one[:3] for one in found])
    origin = Origin(
        "ribbon",
        ids(runs),
        f"{subject(runs)} at each {place} ÷ its value at the loss · {reduction} · pre-clip · {shown}",
        {
            "training_steps": training_steps([one for *_, one, _ in found]),
            "unit": "ratio of l2 norms",
            "reduction": reduction,
            "clip": "pre-clip",
            "over_seeds": over_seeds,
        },
    )
    nothing = absent(runs, "gradient profile", waiting="Waiting for the first run to say its sentence…")
    ribbons = tuple(_ribbon(group, label, one, after, columns) for label, group, one, after in found)
    return Prepared(origin, ribbons, columns, nothing, WITHOUT_WORDS if wordless else TITLE)


def _ribbon(group: Group, label: str, one: Sheaf | None, after: Sheaf | None, columns: float) -> Ribbon:
    run = group.face
    facts = run.facts
    assert facts is not None
    T = len(facts.tokens)
    lag = facts.loss_step - np.arange(T)
    gradient, ratio, kind = np.full(T, np.nan), np.full(T, np.nan), np.full(T, -1, dtype=np.int8)
    if one is not None:
        before = slice(0, facts.loss_step + 1)
        gradient[before] = one.gradient.median[::-1]
        ratio[before] = one.ratio.median[::-1]
        kind[before] = kinds(gradient[before])
        # Without a value at the loss nothing can be compared with it; zeros and infinities stay what they are.
        kind[before] = np.where(np.isnan(ratio[before]) & (kind[before] == VALUE), NAN, kind[before])
    if after is not None:
        behind = slice(facts.loss_step + 1, T)
        gradient[behind], ratio[behind] = after.gradient.median[1:], after.ratio.median[1:]
        kind[behind] = kinds(gradient[behind])
        kind[behind] = np.where(np.isnan(ratio[behind]) & (kind[behind] == VALUE), NAN, kind[behind])
    step = facts.needed
    return Ribbon(
        label=label,
        remark=_absent(run) if one is None else _remark(facts, gradient[step], ratio[step]),
        tokens=tuple(safe(token) for token in facts.tokens),
        answer=safe(facts.answer),
        layout=arrange(facts.tokens, facts.answer, facts.informative_steps, columns),
        lag=lag,
        gradient=gradient,
        ratio=ratio,
        kind=kind,
        informative=np.isin(np.arange(T), facts.informative_steps),
    )


def _absent(run: Run) -> str:
    return "waiting for the first profile" if run.state in UNDERWAY else f"{ending(run)} before its first profile"


def _remark(facts: TaskFacts, gradient: float, ratio: float) -> str:
    word = safe(name_word(facts.tokens[facts.needed]))
    if math.isnan(ratio) and math.isfinite(gradient) and gradient > 0:
        return f"{word} receives {number(gradient)} (l2); nothing finite at the loss to compare it with"
    return f"{word} receives {received(gradient if gradient == 0 or not math.isfinite(gradient) else ratio)}"


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    said = [f"{ribbon.label}: {ribbon.remark}" for ribbon in prepared.ribbons]
    return spoken([prepared.title.rstrip("?"), prepared.origin.caption, *said])


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw the ribbons below one another, with one colour bar for all."""
    look = frame(theme, size)
    if not prepared.ribbons:
        return waiting(look, prepared.origin, prepared.title, prepared.nothing)
    height = sum(_HEADER + ribbon.layout.lines + _GAP for ribbon in prepared.ribbons)
    figure = new_figure(look, prepared.origin, prepared.title, plot_px=_UNIT_PX * height)
    top, notes = 0.0, []
    for ribbon in prepared.ribbons:
        notes.append(_header(look, ribbon, top))
        _words(figure, look, ribbon, top + _HEADER)
        strips = ribbon.layout.strips
        notes += [_strip(figure, look, ribbon, strip, top + _HEADER, prepared.columns) for strip in strips]
        notes.append(_answer(look, ribbon, top + _HEADER))
        top += _HEADER + ribbon.layout.lines + _GAP
    figure.update_xaxes(visible=False, range=[-0.4, prepared.columns + 0.4], fixedrange=True)
    figure.update_yaxes(visible=False, range=[height, 0], fixedrange=True)
    figure.update_layout(
        showlegend=False,
        dragmode=False,
        coloraxis=colour_axis(look),
        annotations=notes,
        margin={"l": look.px(12), "r": look.px(12), "b": look.px(66)},
    )
    return figure


def _header(look: Frame, ribbon: Ribbon, top: float) -> dict[str, object]:
    return {
        "text": f"<b>{ribbon.label}</b>  <span style='color:{look.theme.muted}'>{ribbon.remark}</span>",
        "x": 0,
        "y": top + 0.5 * _HEADER + 0.04,
        "xanchor": "left",
        "yanchor": "middle",
        "font": {"size": look.size.text + 1},
    }


def _words(figure: go.Figure, look: Frame, ribbon: Ribbon, top: float) -> None:
    places = ribbon.layout.places
    _ring(figure, look, [place for place in places if ribbon.informative[place.step]], top)
    shown = np.array([ribbon.kind[place.step] for place in places])
    for is_value in (True, False):
        chosen = [place for place, kind in zip(places, shown, strict=True) if (kind == VALUE) == is_value]
        if not chosen:
            continue
        at = np.array([place.step for place in chosen])
        informative = ribbon.informative[at]
        figure.add_bar(
            orientation="h",
            base=wire(np.array([place.left + 0.12 for place in chosen])),
            x=wire(np.array([place.width - 0.24 for place in chosen])),
            y=wire(np.array([top + place.line + 0.5 for place in chosen])),
            width=_BAR,
            text=[_cell_text(ribbon, step) for step in at],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            constraintext="inside",
            textfont={"size": look.size.text + 1, "color": _text_colours(look, ribbon, at, is_value)},
            marker={
                "cornerradius": look.px(4),
                "line": {
                    "color": look.theme.paper,
                    "width": np.where(informative, 2 * look.size.scale, 0).astype(np.float32),
                },
                **(_value_fill(ribbon, at) if is_value else _special_fill(look, shown[shown != VALUE])),
            },
            # Float64: what a person reads off a word is the recorded number, however small or large.
            customdata=np.stack([at, ribbon.lag[at], ribbon.ratio[at], ribbon.gradient[at]], axis=1),
            hovertemplate=_hover(ribbon.label, is_value),
            hovertext=None if is_value else [_meaning(kind) for kind in shown[shown != VALUE]],
        )


def _ring(figure: go.Figure, look: Frame, places: Sequence[Place], top: float) -> None:
    """Ring the informative words: behind a cell of any colour, so that it stands out from dark and bright ones."""
    figure.add_bar(
        orientation="h",
        base=wire(np.array([place.left + 0.12 for place in places])),
        x=wire(np.array([place.width - 0.24 for place in places])),
        y=wire(np.array([top + place.line + 0.5 for place in places])),
        width=_BAR,
        marker={
            "color": look.theme.mark,
            "cornerradius": look.px(5),
            "line": {"color": look.theme.mark, "width": 6 * look.size.scale},
        },
        hoverinfo="skip",
    )


def _cell_text(ribbon: Ribbon, step: int) -> str:
    token = ribbon.tokens[step]
    sign = SYMBOLS.get(int(ribbon.kind[step]), "")
    text = f"{token} {sign}" if sign else token
    return f"<b>{text}</b>" if ribbon.informative[step] else text


def _text_colours(look: Frame, ribbon: Ribbon, at: Array, is_value: bool) -> list[str]:
    if not is_value:
        return [look.theme.text] * len(at)
    return [text_on(gradient_colour(float(value))) for value in log10(ribbon.ratio[at])]


def _value_fill(ribbon: Ribbon, at: Array) -> dict[str, object]:
    return {"color": wire(log10(ribbon.ratio[at])), "coloraxis": "coloraxis"}


def _special_fill(look: Frame, kind: Array) -> dict[str, object]:
    shapes = {-1: "", 1: "/", 2: "x", 3: "x"}
    pattern = {
        "shape": [shapes[int(k)] for k in kind],
        "fgcolor": look.theme.axis,
        "fgopacity": 0.45,
        "size": look.px(7),
        "solidity": 0.18,
        "fillmode": "overlay",
    }
    return {"color": look.theme.no_value, "pattern": pattern}


def _meaning(kind: int) -> str:
    return MEANINGS.get(int(kind), "no gradient recorded here")


def _hover(label: str, is_value: bool) -> str:
    where = "<b>%{text}</b><br>timestep %{customdata[0]}, %{customdata[1]} steps back from the loss<br>"
    value = "%{customdata[2]:.2e} of the gradient at the loss<br>%{customdata[3]:.2e} (l2, pre-clip)"
    return where + (value if is_value else "%{hovertext}") + f"<extra>{label}</extra>"


def _strip(
    figure: go.Figure, look: Frame, ribbon: Ribbon, strip: Strip, top: float, columns: float
) -> dict[str, object]:
    """Draw timesteps without text as slivers, a block of several where more than fit; return the note above them."""
    count = strip.last - strip.first + 1
    cells = min(count, _STRIP_CELLS)
    edges = strip.first + np.arange(cells + 1) * count // cells
    value = np.array([np.median(ribbon.ratio[a:b]) for a, b in pairwise(edges)])
    drawable = kinds(value) == VALUE
    left = columns * (edges[:-1] - strip.first) / count
    for chosen, fill in (
        (drawable, {"color": wire(log10(value[drawable])), "coloraxis": "coloraxis"}),
        (~drawable, {"color": look.theme.no_value}),
    ):
        if chosen.any():
            figure.add_bar(
                orientation="h",
                base=wire(left[chosen]),
                x=wire(columns * np.diff(edges)[chosen] / count),
                y=np.full(int(chosen.sum()), top + strip.line + 0.7, dtype=np.float32),
                width=0.34,
                marker={"line": {"width": 0}, **fill},
                customdata=np.stack([edges[:-1][chosen], edges[1:][chosen] - 1, value[chosen]], axis=1),
                hovertemplate=(
                    "timesteps %{customdata[0]} to %{customdata[1]}<br>median %{customdata[2]:.2e} of the gradient "
                    f"at the loss<extra>{ribbon.label}</extra>"
                ),
            )
    return {
        "text": f"⋯ {count} steps without their text, timesteps {strip.first} to {strip.last} ⋯",
        "x": columns / 2,
        "y": top + strip.line + 0.27,
        "yanchor": "middle",
        "font": {"color": look.theme.muted, "size": look.size.small},
    }


def _answer(look: Frame, ribbon: Ribbon, top: float) -> dict[str, object]:
    place = ribbon.layout.answer
    return {
        "text": f"→ <i>{ribbon.answer}</i>" if ribbon.answer else "",
        "x": place.left + 0.6,
        "y": top + place.line + 0.5,
        "xanchor": "left",
        "yanchor": "middle",
        "font": {"size": look.size.text + 1, "color": look.theme.text},
    }
