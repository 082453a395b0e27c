"""What clipping would have done to the gradients of runs, at every threshold: by norm one figure, by value another.

Both have two plots over one axis of thresholds: how often the rule engages, and what is left of the gradient.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.bands import add_band
from diagnostics.charts.frame import Frame, Origin, SizeName, frame, ids, new_figure, waiting
from diagnostics.charts.labels import spoken
from diagnostics.charts.palette import Style, ThemeName
from diagnostics.charts.series import absent
from diagnostics.charts.ticks import log_ticks
from diagnostics.charts.whole import wholes
from diagnostics.measures.band import band
from diagnostics.measures.clipping import THRESHOLD_LEAST, THRESHOLD_MOST
from diagnostics.measures.numbers import number, percent
from diagnostics.measures.seeds import Envelope, envelope
from diagnostics.measures.what_if import OLD, by_norm, by_value, sizes_of, suggest
from diagnostics.records import Array, Run

Kind = Literal["norm", "value"]

TITLES = {
    "norm": "What would clipping by norm have done?",
    "value": "What would clipping by value have done?",
}
_PER_DECADE = 24
_PLOT_PX = 380
_GAP = 0.07


class Line(NamedTuple):
    """What is drawn of a run, or of runs over their seeds; every curve has one value per threshold."""

    label: str
    style: Style
    engaged: Envelope
    """Share of the training steps that are clipped (norm), or of the entries that are cut (value)."""
    left: Envelope
    """Norm after ÷ before, median over the clipped steps (norm), or cosine between raw and cut gradient (value)."""
    least: Array
    """By norm, the factor of the step that is clipped hardest; by value nan."""


class Prepared(NamedTuple):
    """All lines over one axis of thresholds."""

    origin: Origin
    kind: Kind
    thresholds: Array
    lines: tuple[Line, ...]
    at: float
    """The threshold that is looked at; nan where none is."""
    percentiles: tuple[tuple[int, float], ...]
    """Of a single run by norm: the percentiles of its norms, each with its threshold."""
    nothing: str
    """Why there is no line, where there is none."""
    lacking: tuple[str, ...]
    """The labels of runs that the figure has no line of."""


def prepare_norm(runs: Sequence[Run], over_seeds: bool = False, at: float = math.nan) -> Prepared:
    """Ask every threshold of the runs' own scale what clipping by norm would have done, from the norms of all steps."""
    norms = {run.id: _norms(run) for run in runs}
    thresholds = _thresholds([values for values in norms.values() if values.size], at)
    lines, lacking = [], []
    found = wholes(runs, over_seeds)
    for group, label, style, _ in found:
        answers = [by_norm(norms[run.id], thresholds) for run in group.runs if norms[run.id].size]
        answers = [answer for answer in answers if answer.steps]
        if not answers:
            lacking.append(label)
            continue
        lines.append(
            Line(
                label,
                style,
                engaged=envelope([answer.share for answer in answers]),
                left=envelope([answer.median_factor for answer in answers]),
                least=envelope([answer.least_factor for answer in answers]).low,
            )
        )
    alone = [run for one in found for run in one.group.runs if norms[run.id].size]
    suggested = suggest(norms[alone[0].id]).suggestions if len(alone) == 1 else ()
    how = "median over the clipped steps; dotted: the step clipped hardest"
    return Prepared(
        _origin(
            "what_if_norm",
            runs,
            f"Norms of the gradient of all parameters, l2, pre-clip, every step · {how}",
            over_seeds,
        ),
        "norm",
        thresholds,
        tuple(lines),
        at,
        tuple((suggestion.percentile, suggestion.threshold) for suggestion in suggested),
        absent(runs, "training step with a finite norm"),
        tuple(lacking),
    )


def prepare_value(runs: Sequence[Run], over_seeds: bool = False, at: float = math.nan) -> Prepared:
    """Ask every edge of the recorded sizes what cutting each entry there would have done, over all profiles."""
    answers = {run.id: by_value(sizes) for run in runs if (sizes := sizes_of(run.records)) is not None}
    lines, lacking = [], []
    for group, label, style, _ in wholes(runs, over_seeds):
        found = [answers[run.id] for run in group.runs if run.id in answers and len(answers[run.id].rows)]
        if not found:
            lacking.append(label)
            continue
        if group.several:
            engaged, left = (
                envelope([np.median(getattr(answer, name), axis=0) for answer in found]) for name in ("share", "cosine")
            )
        else:
            engaged, left = _over_profiles(found[0].share), _over_profiles(found[0].cosine)
        lines.append(Line(label, style, engaged, left, np.full(len(found[0].thresholds), np.nan)))
    thresholds = next((answer.thresholds for answer in answers.values()), np.empty(0))
    shown = _where_something_happens(lines, thresholds, at)
    return Prepared(
        _origin(
            "what_if_value",
            runs,
            "Entries of the gradient of all parameters, pre-clip · "
            + ("median over the recorded steps" if over_seeds else "median and 5–95 % band over the recorded steps"),
            over_seeds,
        ),
        "value",
        thresholds[shown],
        tuple(_cut(line, shown) for line in lines),
        at,
        (),
        _why_no_sizes(runs),
        tuple(lacking),
    )


def _origin(figure: str, runs: Sequence[Run], caption: str, over_seeds: bool) -> Origin:
    reduction = caption.split(" · ")[1] + (
        "; over the seeds median, and band from the lowest to the highest" * over_seeds
    )
    if over_seeds:
        caption += " · over the seeds: median, and band from the lowest to the highest"
    if len(wholes(runs)) < len(runs):
        caption += " · one line for all parts of a model"
    return Origin(
        figure,
        ids(runs),
        caption,
        {
            "training_steps": {run.id: run.records.rows("step") for run in runs},
            "unit": "share; ratio",
            "reduction": reduction,
            "clip": "pre-clip",
            "over_seeds": over_seeds,
        },
    )


def _norms(run: Run) -> Array:
    values = np.asarray(run.records.get("grad_norm_pre", np.empty(0)), dtype=np.float64)
    return values if np.isfinite(values).any() else np.empty(0)


def _thresholds(norms: Sequence[Array], at: float) -> Array:
    """Every threshold from where each step is clipped to where none is, 24 a decade, as far as a run can be asked."""
    usable = [values[np.isfinite(values) & (values > 0)] for values in norms]
    usable = [values for values in usable if values.size]
    if not usable:
        return np.logspace(-1, 1, 2 * _PER_DECADE + 1)
    low = min(max(float(values.min()), 1e-6 * float(np.median(values))) for values in usable)
    high = max(float(values.max()) for values in usable)
    if math.isfinite(at) and at > 0:
        low, high = min(low, at), max(high, at)
    bottom = min(math.floor(math.log10(max(low / 2, THRESHOLD_LEAST))), round(math.log10(THRESHOLD_MOST)) - 1)
    top = max(math.ceil(math.log10(min(2 * high, THRESHOLD_MOST))), bottom + 1)
    return np.logspace(bottom, top, _PER_DECADE * (top - bottom) + 1)


def _over_profiles(values: Array) -> Envelope:
    """The band over recorded profiles ``[P, K]``."""
    low, median, high = band(values.T).T
    return Envelope(low, median, high, np.full(values.shape[1], len(values)))


def _where_something_happens(lines: Sequence[Line], thresholds: Array, at: float) -> slice:
    """The edges from the last that cuts everything to the first that cuts nothing, with one more on either side."""
    if not lines:
        return slice(0, 0)
    partial = np.zeros(len(thresholds), dtype=bool)
    for line in lines:
        partial |= (line.engaged.high > 0) & (line.engaged.low < 0.999)
    if math.isfinite(at):
        partial |= np.isclose(thresholds, at)
    where = np.flatnonzero(partial)
    if not where.size:
        return slice(0, len(thresholds))
    return slice(max(int(where[0]) - 1, 0), int(where[-1]) + 2)


def _cut(line: Line, shown: slice) -> Line:
    engaged, left = (Envelope(*(part[shown] for part in over)) for over in (line.engaged, line.left))
    return line._replace(engaged=engaged, left=left, least=line.least[shown])


def has_sizes(runs: Sequence[Run]) -> bool:
    """Whether clipping by value can be asked of any of these runs."""
    return any(sizes_of(run.records) is not None for run in runs)


def _why_no_sizes(runs: Sequence[Run]) -> str:
    if not any(run.records.rows("profile") for run in runs):
        return absent(runs, "gradient")
    if has_sizes(runs):
        return "No recorded gradient is finite and above 0: there is nothing to cut."
    return (
        f"{'This run was' if len(runs) == 1 else 'These runs were'} {OLD}. Clipping by norm can be asked all the same."
    )


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    said = [_said(prepared, line) for line in prepared.lines]
    said += [f"{label}: nothing recorded that this figure could show" for label in prepared.lacking]
    return spoken([TITLES[prepared.kind].rstrip("?"), prepared.origin.caption, *said])


def _said(prepared: Prepared, line: Line) -> str:
    at = prepared.at if math.isfinite(prepared.at) else float(prepared.thresholds[len(prepared.thresholds) // 2])
    k = int(np.argmin(np.abs(np.log(prepared.thresholds) - math.log(at))))
    engaged, left = float(line.engaged.median[k]), float(line.left.median[k])
    of, kept = ("steps", "norm after ÷ before") if prepared.kind == "norm" else ("entries", "cosine")
    rest = f", {kept} {number(left)}" if math.isfinite(left) else ""
    return f"{line.label}: at {number(float(prepared.thresholds[k]))}, {percent(engaged)} of the {of}{rest}"


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw how often the rule engages above, and what it leaves below."""
    look = frame(theme, size)
    title = TITLES[prepared.kind]
    if not prepared.lines:
        return waiting(look, prepared.origin, title, prepared.nothing)
    labels = [line.label for line in prepared.lines]
    figure = new_figure(look, prepared.origin, title, _PLOT_PX, labels, above_px=26)
    decades = (math.floor(math.log10(prepared.thresholds[0])), math.ceil(math.log10(prepared.thresholds[-1])))
    ends = [math.log10(prepared.thresholds[0]), math.log10(prepared.thresholds[-1])]
    below = 0.5 - _GAP / 2
    figure.update_layout(
        xaxis={
            "type": "log",
            "range": ends,
            "anchor": "y2",
            **log_ticks(decades),
            "title": {"text": _AXIS[prepared.kind]},
        },
        yaxis={
            "domain": [1 - below, 1],
            "range": [-0.03, 1.03],
            "tickformat": ".0%",
            "title": {"text": "steps clipped" if prepared.kind == "norm" else "entries cut"},
        },
        yaxis2={"domain": [0, below], "anchor": "x", **_left_axis(prepared)},
    )
    for line in prepared.lines:
        _curves(figure, look, prepared, line)
    _marks(figure, look, prepared)
    return figure


_AXIS = {"norm": "threshold of clipping by norm", "value": "threshold ±c of clipping by value"}


def _left_axis(prepared: Prepared) -> dict[str, object]:
    if prepared.kind == "value":
        return {"range": [-0.03, 1.03], "title": {"text": "cosine, raw and cut"}}
    parts = [part for line in prepared.lines for part in (line.left.low, line.least)]
    drawn = np.concatenate([part[np.isfinite(part) & (part > 0)] for part in parts])
    low = math.floor(math.log10(drawn.min())) if drawn.size else -1
    decades = (min(low, -1), 0)
    return {
        "type": "log",
        "range": [decades[0] - 0.05, 0.1],
        "title": {"text": "norm after ÷ before"},
        **log_ticks(decades, most=5),
    }


def _curves(figure: go.Figure, look: Frame, prepared: Prepared, line: Line) -> None:
    colour = look.theme.lines[line.style.colour]
    of = "of the steps" if prepared.kind == "norm" else "of the entries"
    what = "norm after ÷ before, median" if prepared.kind == "norm" else "cosine"
    for over, axis, hover in (
        (line.engaged, "y", f"%{{y:.1%}} {of}"),
        (line.left, "y2", f"{what} %{{y:.3g}}"),
    ):
        if not np.array_equal(over.low, over.high, equal_nan=True):
            add_band(figure, prepared.thresholds, over, colour, line.label, axis)
        figure.add_scatter(
            x=prepared.thresholds,
            y=over.median,
            yaxis=axis,
            mode="lines+markers",
            line={"color": colour, "width": look.size.line, "dash": line.style.dash},
            marker={"symbol": line.style.symbol, "size": look.size.marker, "color": colour, "maxdisplayed": 8},
            name=line.label,
            legendgroup=line.label,
            showlegend=axis == "y",
            hovertemplate=f"threshold %{{x:.3g}}<br>{hover}<extra>{line.label}</extra>",
        )
    if np.isfinite(line.least).any():
        figure.add_scatter(
            x=prepared.thresholds,
            y=line.least,
            yaxis="y2",
            mode="lines",
            line={"color": colour, "width": look.size.thin, "dash": "dot"},
            legendgroup=line.label,
            showlegend=False,
            hovertemplate=f"threshold %{{x:.3g}}<br>the step clipped hardest: %{{y:.3g}}<extra>{line.label}</extra>",
        )


def _marks(figure: go.Figure, look: Frame, prepared: Prepared) -> None:
    """Mark the threshold that is looked at and, of a single run, the percentiles of its norms."""
    chosen = [(prepared.at, f"<b>{number(prepared.at, 3)}</b>", look.theme.mark, "solid")] * math.isfinite(prepared.at)
    taken = [at for at, *_ in chosen]
    span = math.log10(prepared.thresholds[-1] / prepared.thresholds[0])
    for percentile, threshold in prepared.percentiles:
        # Where two texts would touch, the line alone says it.
        apart = all(abs(math.log10(threshold / other)) > 0.09 * span for other in taken)
        taken.append(threshold)
        chosen.append((threshold, f"{percentile} %" if apart else "", look.theme.muted, "dot"))
    for threshold, text, colour, dash in chosen:
        figure.add_shape(
            type="line",
            xref="x",
            yref="paper",
            x0=threshold,
            x1=threshold,
            y0=0,
            y1=1,
            line={"color": colour, "width": look.size.thin, "dash": dash},
        )
        if text:
            figure.add_annotation(
                text=text,
                x=math.log10(threshold),
                xref="x",
                y=1,
                yref="paper",
                yanchor="bottom",
                xanchor="center",
                font={"color": look.theme.text if dash == "solid" else look.theme.muted},
            )
