"""The state gradient against steps back from the loss, on a log axis, with bands over the batch or the seeds."""

from __future__ import annotations

from collections.abc import Sequence
from html import unescape
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.bands import add_log_band, alpha_of
from diagnostics.charts.frame import Frame, Origin, SizeName, add_level, frame, ids, new_figure, waiting, wire
from diagnostics.charts.labels import run_labels, safe, short, spoken, text_width
from diagnostics.charts.palette import Style, ThemeName, styles
from diagnostics.charts.rails import Rails, add_rails, rails_of
from diagnostics.charts.series import (
    VALUE,
    Sheaf,
    absent,
    cuts,
    drawn_from,
    kinds,
    ratios,
    received,
    reduction,
    sheaf,
    subject,
    training_steps,
    watched,
)
from diagnostics.charts.ticks import log_ticks
from diagnostics.measures.numbers import number, steps
from diagnostics.measures.reach import REACH_THRESHOLD, reach
from diagnostics.measures.seeds import groups, singles
from diagnostics.measures.sentence import name_word
from diagnostics.records import Array, Run

TITLE = "How much gradient arrives, step by step back from the loss"
_PLOT_PX = 330
_ROW_PX = 17
_NARROW_CHARACTERS = 85.0
"""How many average characters of small text fit beside one another in the narrowest plot."""


class Line(NamedTuple):
    """The profile of a run, or of runs over their seeds, by lag; arrays ``[K + 1]``, index k is k steps away."""

    label: str
    style: Style
    training_steps: tuple[int, int]
    """The first and the last training step that it is from; one run has one."""
    word: str
    """The word that matters, ``distance`` steps back or ahead; "" where no word does."""
    distance: int
    low: Array
    """The lower edge of the band: the 5th percentile over the batch, or the least seed."""
    median: Array
    high: Array
    gradient: Array
    """The median before any division, l2."""
    rails: Rails
    """Lags at which the median is exactly 0, infinite, or not a number."""
    ahead: bool = False
    """Whether lags are counted forwards from the loss, since what matters comes after it."""
    cuts: tuple[int, ...] = ()
    """Lags of the states that were handed on without their gradient: truncation ends it there."""


class Prepared(NamedTuple):
    """All lines, the decades that the axis spans, and where it all comes from."""

    origin: Origin
    lines: tuple[Line, ...]
    decades: tuple[int, int]
    normalised: bool
    nothing: str
    """Why there is no line, where there is none."""
    title: str = TITLE


def prepare(
    runs: Sequence[Run], at_step: int | None = None, normalise: bool = True, over_seeds: bool = False
) -> Prepared:
    """Take each run's profile nearest to training step ``at_step``, the newest where None.

    The newest of a run that has ended is its newest with a gradient to show.

    With ``normalise`` every value is divided by the run's median at the loss, so that runs with losses of different
    size compare; without, values are l2 norms. A profile without a finite positive value at the loss cannot be
    divided: all its values are then not a number, and say so.

    With ``over_seeds`` runs that differ only in their seed are one line: the median of their medians, each divided by
    its own value at the loss, in a band from the least to the greatest.
    """
    bundles = groups(runs) if over_seeds else singles(runs)
    faces = [group.face for group in bundles]
    found = [
        (label, group, sheaf(group, at_step, over_seeds, ahead=group.face.facts is not None and group.face.facts.ahead))
        for label, group in zip(run_labels(faces), bundles, strict=True)
    ]
    lines = [
        _line(face, label, style, one, normalise)
        for face, style, (label, _, one) in zip(faces, styles(faces), found, strict=True)
        if face.facts is not None and one is not None
    ]
    quantity = f"{subject(runs)} ÷ its value at the loss" if normalise else f"{subject(runs)}, l2 norm"
    origin = Origin(
        "profile",
        ids(runs),
        f"{quantity} · {reduction(over_seeds)} · pre-clip · {drawn_from(found)}",
        {
            "training_steps": training_steps([one for *_, one in found]),
            "unit": "ratio of l2 norms" if normalise else "l2",
            "reduction": reduction(over_seeds),
            "clip": "pre-clip",
            "over_seeds": over_seeds,
        },
    )
    return Prepared(origin, tuple(lines), decades(lines), normalise, absent(runs, "gradient profile"))


def _line(face: Run, label: str, style: Style, one: Sheaf, normalise: bool) -> Line:
    facts = face.facts
    assert facts is not None
    low, median, high = one.ratio if normalise else one.gradient
    steps_of = [shot.training_step for _, shot in one.shots]
    return Line(
        label=label,
        style=style,
        training_steps=(min(steps_of), max(steps_of)),
        word="" if _whole(face) else safe(name_word(short(facts.tokens[facts.needed], 18))),
        distance=abs(facts.distance),
        ahead=facts.ahead,
        low=low,
        median=median,
        high=high,
        gradient=one.gradient.median,
        rails=rails_of(np.arange(len(median)), median),
        cuts=tuple(facts.loss_step - t + 1 for t in cuts(face) if t <= facts.loss_step),
    )


def _whole(run: Run) -> bool:
    """Whether no one step matters more than the others: all of a watched sequence, where nobody said which does."""
    return watched(run) and run.facts is not None and not run.facts.informative_steps


def decades(lines: Sequence[Line]) -> tuple[int, int]:
    """Return the whole decades that hold every drawable median and upper band edge."""
    values = np.concatenate(
        [part[kinds(part) == VALUE] for line in lines for part in (line.median, line.high)] or [[1.0]]
    )
    if not values.size:
        return -2, 1
    low, high = np.log10(values.min()), np.log10(values.max())
    return int(np.floor(low - 0.1)), int(np.ceil(high + 0.1))


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    return spoken([prepared.title, prepared.origin.caption, *(_said(line) for line in prepared.lines)])


def _said(line: Line) -> str:
    if not (np.isfinite(line.gradient[0]) and line.gradient[0] > 0):
        return f"{line.label}: the gradient at the loss is {number(float(line.gradient[0]))}"
    reached, of = reach(line.median), len(line.median) - 1
    below = line.median[reached] < REACH_THRESHOLD * line.median[0]
    how = f"falls below 1 % after {reached} of {steps(of)}" if below else f"stays above 1 % for all {steps(of)}"
    if line.cuts:
        how += f", cut off {' and '.join(map(str, line.cuts[:6]))} steps back, where the state was detached"
    if not line.word:
        return f"{line.label}: {how}"
    at = float(ratios(line.median[line.distance], line.median[0]))
    return f"{line.label}: {how}, {line.word} receives {received(at)}"


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw the profiles with time running to the right: the first timestep left, the loss at the right edge."""
    look = frame(theme, size)
    if not prepared.lines:
        return waiting(look, prepared.origin, prepared.title, prepared.nothing)
    places = _places(prepared)
    above = 30 + _ROW_PX * max((row for *_, row in places), default=-1)
    figure = new_figure(
        look, prepared.origin, prepared.title, _PLOT_PX, [line.label for line in prepared.lines], above_px=above
    )
    for line in prepared.lines:
        add_log_band(
            figure,
            np.arange(len(line.median)),
            (line.low, line.high),
            prepared.decades[0],
            look.theme.lines[line.style.colour],
            line.label,
            alpha=alpha_of(len(prepared.lines)),
        )
    for line in prepared.lines:
        _curve(figure, look, line, prepared.normalised)
    longest = max(len(line.median) for line in prepared.lines) - 1
    rails = [(line.label, look.theme.lines[line.style.colour], line.rails) for line in prepared.lines]
    ahead = any(line.ahead for line in prepared.lines)
    figure.layout.xaxis = {
        "title": {"text": _ACROSS[ahead]},
        "range": [longest + 0.03 * longest + 0.5, -0.03 * longest - 0.5],
    }
    what = "gradient ÷ gradient at the loss" if prepared.normalised else "state gradient (l2)"
    ticks = log_ticks(prepared.decades)
    figure.layout.yaxis = {"title": {"text": what}, "type": "log", "range": list(prepared.decades), **ticks}
    add_rails(figure, look, rails, hover=f"%{{x}} steps {'ahead' if ahead else 'back'}")
    _marks(figure, look, prepared, places)
    return figure


def _curve(figure: go.Figure, look: Frame, line: Line, normalised: bool) -> None:
    lag = np.arange(len(line.median))
    drawable = kinds(line.median) == VALUE
    colour = look.theme.lines[line.style.colour]
    ratio = "%{y:.2e} of the gradient at the loss<br>" if normalised else ""
    where = f"%{{x}} steps {'ahead' if line.ahead else 'back'}"
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
            f"{where}<br>{ratio}%{{customdata:.2e}} (l2, pre-clip)<br>training step {_when(line)}"
            f"<extra>{line.label}</extra>"
        ),
    )


def _when(line: Line) -> str:
    first, last = line.training_steps
    return str(first) if first == last else f"{first} to {last}"


_ACROSS = (
    "steps back from the loss  (time runs to the right; the loss is at 0)",
    "steps from the loss towards what the answer depends on  (the loss is at 0)",
)
"""The axis where all that is needed lies behind the loss, and where some of it lies ahead."""


def _places(prepared: Prepared) -> list[tuple[int, str, int]]:
    """Return (distance, text, row) per distinct informative step; texts that would touch stand in different rows."""
    words: dict[tuple[int, str], list[str]] = {}
    for line in (line for line in prepared.lines if line.word):
        known = words.setdefault((line.distance, "ahead" if line.ahead else "back"), [])
        if line.word not in known:
            known.append(line.word)
    per_character = 1.06 * max(len(line.median) for line in prepared.lines) / _NARROW_CHARACTERS
    taken: list[float] = []  # the lag at which each row's last text ends, going from the loss to the left
    placed = []
    for (distance, way), known in sorted(words.items()):
        text = f"<b>{' / '.join(known[:2])}</b>, {distance} {way}"
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
    _cuts(figure, look, prepared)
    if prepared.normalised:
        add_level(figure, look, REACH_THRESHOLD, "1 %", margin_px=44)


_CUTS_AT_MOST = 40


def _cuts(figure: go.Figure, look: Frame, prepared: Prepared) -> None:
    """Mark where the state was detached: the gradient ends there for want of a way, and has not faded."""
    lags = sorted({lag for line in prepared.lines for lag in line.cuts})[:_CUTS_AT_MOST]
    for lag in lags:
        # Between the state that was handed on and the one before it.
        figure.add_vline(x=lag - 0.5, line={"color": look.theme.muted, "width": look.size.thin, "dash": "dashdot"})
    if lags:
        figure.add_annotation(
            text="✂ state detached",
            x=lags[0] - 0.5,
            y=0,
            yref="y domain",  # above the rail of exact zeros, which is full where a state was detached
            yanchor="bottom",
            xanchor="right",
            bgcolor=look.theme.plot,
            font={"color": look.theme.muted},
        )
