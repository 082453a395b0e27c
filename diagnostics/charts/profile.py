"""The state gradient against steps back from the loss, on a log axis, runs overlaid with bands over the batch."""

from __future__ import annotations

from collections.abc import Sequence
from html import unescape
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.frame import Frame, Origin, SizeName, frame, ids, new_figure, waiting, wire
from diagnostics.charts.labels import run_labels, safe, short, spoken, text_width
from diagnostics.charts.palette import Style, ThemeName, faded, styles
from diagnostics.charts.rails import Rails, add_rails, rails_of
from diagnostics.charts.series import VALUE, Snapshot, absent, kinds, moment, ratios, received, snapshot, subject
from diagnostics.charts.ticks import log_ticks
from diagnostics.measures.numbers import number, steps
from diagnostics.measures.reach import REACH_THRESHOLD, reach
from diagnostics.measures.sentence import name_word
from diagnostics.records import Array, Run

TITLE = "How much gradient arrives, step by step back from the loss"
_PLOT_PX = 330
_ROW_PX = 17
_NARROW_CHARACTERS = 85.0
"""How many average characters of small text fit beside one another in the narrowest plot."""


class Line(NamedTuple):
    """One run's profile by lag; arrays ``[K + 1]``, index k is k steps back from the loss."""

    label: str
    style: Style
    training_step: int
    word: str
    distance: int
    p05: Array
    median: Array
    p95: Array
    gradient: Array
    """The median before any division, l2."""
    rails: Rails
    """Lags at which the median is exactly 0, infinite, or not a number."""


class Prepared(NamedTuple):
    """All lines, the decades that the axis spans, and where it all comes from."""

    origin: Origin
    lines: tuple[Line, ...]
    decades: tuple[int, int]
    normalised: bool
    nothing: str
    """Why there is no line, where there is none."""


def prepare(runs: Sequence[Run], at_step: int | None = None, normalise: bool = True) -> Prepared:
    """Take each run's profile nearest to training step ``at_step``, the newest where None.

    The newest of a run that has ended is its newest with a gradient to show.

    With ``normalise`` every value is divided by the run's median at the loss, so that runs with losses of different
    size compare; without, values are l2 norms. A profile without a finite positive value at the loss cannot be
    divided: all its values are then not a number, and say so.
    """
    labels, looks = run_labels(runs), styles(runs)
    lines, shown, steps = [], [], {}
    for run, label, style in zip(runs, labels, looks, strict=True):
        shot = snapshot(run, at_step)
        if run.facts is not None and shot is not None:
            lines.append(_line(run, label, style, shot, normalise))
            shown.append((label, shot))
            steps[run.id] = shot.training_step
    origin = Origin(
        "profile",
        ids(runs),
        _caption(subject(runs), moment(shown), normalise),
        {
            "training_steps": steps,
            "unit": "ratio of l2 norms" if normalise else "l2",
            "reduction": "median over the batch; band 5th to 95th percentile",
            "clip": "pre-clip",
        },
    )
    return Prepared(origin, tuple(lines), _decades(lines), normalise, absent(runs, "gradient profile"))


def _line(run: Run, label: str, style: Style, shot: Snapshot, normalise: bool) -> Line:
    facts = run.facts
    assert facts is not None
    at_loss = shot.at_loss if normalise else 1.0
    p05, median, p95 = (ratios(values, at_loss) for values in (shot.p05, shot.median, shot.p95))
    # An exact zero is one whatever it is compared with.
    median = np.where(shot.median == 0, 0.0, median)
    return Line(
        label=label,
        style=style,
        training_step=shot.training_step,
        word=safe(name_word(short(facts.tokens[facts.loss_step - facts.distance], 18))),
        distance=facts.distance,
        p05=p05,
        median=median,
        p95=p95,
        gradient=shot.median,
        rails=rails_of(np.arange(len(median)), median),
    )


def _caption(gradient: str, at: str, normalise: bool) -> str:
    quantity = f"{gradient} ÷ its value at the loss" if normalise else f"{gradient}, l2 norm"
    return f"{quantity} · median and 5–95 % band over the batch · pre-clip · {at}"


def _decades(lines: Sequence[Line]) -> tuple[int, int]:
    """Return the whole decades that hold every drawable median and upper band edge."""
    values = np.concatenate(
        [part[kinds(part) == VALUE] for line in lines for part in (line.median, line.p95)] or [[1.0]]
    )
    if not values.size:
        return -2, 1
    low, high = np.log10(values.min()), np.log10(values.max())
    return int(np.floor(low - 0.1)), int(np.ceil(high + 0.1))


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    return spoken([TITLE, prepared.origin.caption, *(_said(line) for line in prepared.lines)])


def _said(line: Line) -> str:
    if not (np.isfinite(line.gradient[0]) and line.gradient[0] > 0):
        return f"{line.label}: the gradient at the loss is {number(float(line.gradient[0]))}"
    reached, of = reach(line.gradient), len(line.gradient) - 1
    below = line.gradient[reached] < REACH_THRESHOLD * line.gradient[0]
    how = f"falls below 1 % after {reached} of {steps(of)}" if below else f"stays above 1 % for all {steps(of)}"
    at = float(ratios(line.gradient[line.distance], line.gradient[0]))
    return f"{line.label}: {how}, {line.word} receives {received(at)}"


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw the profiles with time running to the right: the first timestep left, the loss at the right edge."""
    look = frame(theme, size)
    if not prepared.lines:
        return waiting(look, prepared.origin, TITLE, prepared.nothing)
    places = _places(prepared)
    above = 30 + _ROW_PX * max(row for *_, row in places)
    figure = new_figure(look, prepared.origin, TITLE, _PLOT_PX, [line.label for line in prepared.lines], above_px=above)
    for line in prepared.lines:
        _band(figure, look, line, prepared.decades[0], alpha=0.16 if len(prepared.lines) <= 4 else 0.09)
    for line in prepared.lines:
        _curve(figure, look, line, prepared.normalised)
    longest = max(len(line.median) for line in prepared.lines) - 1
    rails = [(line.label, look.theme.lines[line.style.colour], line.rails) for line in prepared.lines]
    figure.update_xaxes(
        title_text="steps back from the loss  (time runs to the right; the loss is at 0)",
        range=[longest + 0.03 * longest + 0.5, -0.03 * longest - 0.5],
    )
    what = "gradient ÷ gradient at the loss" if prepared.normalised else "state gradient (l2)"
    figure.update_yaxes(title_text=what, type="log", range=list(prepared.decades), **log_ticks(prepared.decades))
    add_rails(figure, look, rails, hover="%{x} steps back")
    _marks(figure, look, prepared, places)
    return figure


def _band(figure: go.Figure, look: Frame, line: Line, lowest: int, alpha: float) -> None:
    """Fill between the percentiles; a lower edge of exactly 0 lies at minus infinity, so the fill leaves the axis."""
    lag = np.arange(len(line.median))
    upper, lower = kinds(line.p95) == VALUE, kinds(line.p05) == VALUE
    bottom = np.where(lower, line.p05, 10.0 ** (lowest - 30))
    for piece in _stretches(upper & ((line.p05 == 0) | lower)):
        figure.add_scatter(
            x=wire(np.concatenate([lag[piece], lag[piece][::-1]])),
            y=np.concatenate([line.p95[piece], bottom[piece][::-1]]),
            mode="none",
            fill="toself",
            fillcolor=faded(look.theme.lines[line.style.colour], alpha),
            legendgroup=line.label,
            showlegend=False,
            hoverinfo="skip",
        )


def _stretches(present: Array) -> list[slice]:
    """Return the stretches of consecutive True values that are at least two long."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], present.astype(np.int8), [0]])))
    return [slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 1]


def _curve(figure: go.Figure, look: Frame, line: Line, normalised: bool) -> None:
    lag = np.arange(len(line.median))
    drawable = kinds(line.median) == VALUE
    colour = look.theme.lines[line.style.colour]
    ratio = "%{y:.2e} of the gradient at the loss<br>" if normalised else ""
    figure.add_scatter(
        x=wire(lag),
        # Float64: a profile can fall below the smallest float32.
        y=np.where(drawable, line.median, np.nan),
        mode="lines+markers",
        line={"color": colour, "width": look.size.line, "dash": line.style.dash},
        marker={"symbol": line.style.symbol, "size": look.size.marker, "color": colour, "maxdisplayed": 12},
        name=line.label,
        legendgroup=line.label,
        connectgaps=False,
        customdata=line.gradient,
        hovertemplate=(
            f"%{{x}} steps back<br>{ratio}%{{customdata:.2e}} (l2, pre-clip)<br>training step {line.training_step}"
            f"<extra>{line.label}</extra>"
        ),
    )


def _places(prepared: Prepared) -> list[tuple[int, str, int]]:
    """Return (distance, text, row) per distinct informative step; texts that would touch stand in different rows."""
    words: dict[int, list[str]] = {}
    for line in prepared.lines:
        known = words.setdefault(line.distance, [])
        if line.word not in known:
            known.append(line.word)
    per_character = 1.06 * max(len(line.median) for line in prepared.lines) / _NARROW_CHARACTERS
    taken: list[float] = []  # the lag at which each row's last text ends, going from the loss to the left
    placed = []
    for distance in sorted(words):
        text = f"<b>{' / '.join(words[distance][:2])}</b>, {distance} back"
        half = 0.5 * text_width(unescape(text)[7:]) * per_character
        row = next((i for i, end in enumerate(taken) if distance - half > end), len(taken))
        taken[row:] = [distance + half, *taken[row + 1 :]]
        placed.append((distance, text, row))
    return placed


def _marks(figure: go.Figure, look: Frame, prepared: Prepared, places: Sequence[tuple[int, str, int]]) -> None:
    """Mark the informative steps and, where ratios are drawn, the line that a reach ends at."""
    for distance, text, row in places:
        figure.add_vline(x=distance, line={"color": look.theme.mark, "width": look.size.thin, "dash": "dot"})
        figure.add_annotation(
            text=text, x=distance, y=1, yref="paper", yanchor="bottom", xanchor="center", yshift=row * look.px(_ROW_PX)
        )
    if prepared.normalised:
        figure.add_hline(y=REACH_THRESHOLD, line={"color": look.theme.muted, "width": look.size.thin, "dash": "dash"})
        figure.add_annotation(
            text="1 %",
            x=1.006,
            xref="paper",
            xanchor="left",
            y=np.log10(REACH_THRESHOLD),
            yref="y",
            yanchor="middle",
            font={"color": look.theme.muted},
        )
        figure.layout.margin.r = look.px(44)
