"""The norm of the whole gradient before and after clipping, a plot per run on one shared log axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.bands import add_band
from diagnostics.charts.blocks import block_edges, block_peak, block_size
from diagnostics.charts.frame import Frame, Origin, SizeName, frame, ids, new_figure, waiting
from diagnostics.charts.labels import safe, spoken
from diagnostics.charts.palette import ThemeName, faded
from diagnostics.charts.rails import MARKS, Rails, add_ground, rail_axis, rails_of
from diagnostics.charts.series import INFINITE, MEANINGS, NAN, VALUE, ZERO, absent, kinds
from diagnostics.charts.ticks import log_ticks
from diagnostics.charts.whole import wholes
from diagnostics.measures.clipping import clipped_share
from diagnostics.measures.evidence import loss_known
from diagnostics.measures.numbers import number, percent
from diagnostics.measures.seed_verdict import span
from diagnostics.measures.seeds import Envelope, Group, envelope, spread
from diagnostics.records import Array, Run

TITLE = "What clipping does to the gradient's norm"
MOST_POINTS = 600
_MOST_SHARED = 7
"""Panels share their axis up to this many decades; beyond, a run that explodes would flatten the others."""
_PANEL_PX, _RAIL_PX = 120, 15
_HEAD_PX = {1: 40, 2: 58}
"""The room above a panel, by the number of columns: in two, its words stand on two lines."""


class Panel(NamedTuple):
    """The norms of a run, or of runs over their seeds: l2 over all parameters, in float64; arrays of one length."""

    label: str
    colour: int
    remark: str
    step: Array
    pre: Array
    """Of several runs the median over the seeds; so is ``post``."""
    post: Array
    pre_range: Envelope | None
    """From the least to the greatest seed; None for a single run."""
    threshold: float
    """The norm above which clipping by norm engages; nan for any other rule."""
    rails: Rails
    """Training steps whose pre-clip norm is exactly 0, infinite, or not a number, in any of the runs."""
    diverged_steps: tuple[int, ...]
    """The first step of each run whose loss was not a finite number."""


class Prepared(NamedTuple):
    """All panels, the decades they share and where they come from."""

    origin: Origin
    panels: tuple[Panel, ...]
    decades: tuple[tuple[int, int], ...]
    """The decades of each panel's axis: the same for all, unless they lie too far apart to be read together."""
    nothing: str
    """Why there is no panel, where there is none."""


def prepare(runs: Sequence[Run], over_seeds: bool = False) -> Prepared:
    """Gather the norms of runs; above 600 steps each point is the largest of a block, so that no peak is lost.

    With ``over_seeds`` runs that differ only in their seed share a panel: the median of those that came so far, in a
    band from the least to the greatest.
    """
    begun = [one for one in wholes(runs, over_seeds) if any(run.records.rows("step") for run in one.group.runs)]
    panels = tuple(_panel(one.group, one.label, one.style.colour, one.parts) for one in begun)
    block = max((block_size(run.records.rows("step"), MOST_POINTS) for run in runs), default=1)
    points = "every step" if block == 1 else f"each point the largest of up to {block} steps"
    seeds = "lines: median over the seeds; bands: lowest to highest seed" if over_seeds else ""
    origin = Origin(
        "clipping",
        ids(runs),
        " · ".join(
            filter(
                None,
                ("Norm of the gradient of all parameters, l2", "solid: pre-clip, dashed: post-clip", points, seeds),
            )
        ),
        {
            "training_steps": {run.id: run.records.rows("step") for run in runs},
            "unit": "l2",
            "reduction": "; ".join(filter(None, (f"largest of blocks of up to {block} steps", seeds))),
            "clip": "pre-clip and post-clip",
            "clipped_share": {run.id: _json_share(run) for run in runs},
            "over_seeds": over_seeds,
        },
    )
    shared = _decades(panels)
    apart = shared[1] - shared[0] > _MOST_SHARED
    decades = tuple(_decades([panel]) if apart else shared for panel in panels)
    return Prepared(origin, panels, decades, absent(runs, "training step"))


def _json_share(run: Run) -> float | None:
    share = clipped_share(run.records["clip_factor"]) if "clip_factor" in run.records else math.nan
    return share if math.isfinite(share) else None


def _panel(group: Group, label: str, colour: int, parts: int = 1) -> Panel:
    begun = [run for run in group.runs if run.records.rows("step")]
    longest = max((run.records["step"] for run in begun), key=len)
    edges = block_edges(len(longest), MOST_POINTS)
    pre, post = (_peaks(begun, name, len(longest)) for name in ("grad_norm_pre", "grad_norm_post"))
    losses = [(run.records["step"], run.records["loss"]) for run in begun if loss_known(run)]
    broken = [(step, np.flatnonzero(~np.isfinite(loss))) for step, loss in losses]
    diverged = tuple(int(step[at[0]]) for step, at in broken if at.size)
    rails = [rails_of(run.records["step"], run.records["grad_norm_pre"]) for run in begun]
    rule = str(group.runs[0].spec.get("clip", ""))
    others = f"; the same for all {parts} parts of the model" if parts > 1 else ""
    return Panel(
        label=label,
        colour=colour,
        remark=_remark(rule, [clipped_share(run.records["clip_factor"]) for run in begun], diverged, len(group.runs))
        + others,
        step=longest[edges[:-1]],
        pre=pre.median,
        post=post.median,
        pre_range=pre if group.several else None,
        threshold=_threshold(rule),
        rails=Rails(*(np.unique(np.concatenate(parts)) for parts in zip(*rails, strict=True))),
        diverged_steps=diverged,
    )


def _peaks(runs: Sequence[Run], name: str, length: int) -> Envelope:
    """The largest of each block of steps, drawable on a log axis, over the runs; the shorter ones end earlier."""
    found = []
    for run in runs:
        values = run.records[name]
        padded = np.zeros(length)
        padded[: len(values)] = np.where(np.isfinite(values), values, 0.0)
        found.append(_drawable(block_peak(padded, MOST_POINTS)))
    return envelope(found)


def _drawable(values: Array) -> Array:
    """Leave a gap where a log axis has no place for a value: the rails hold it."""
    return np.where(kinds(values) == VALUE, values, np.nan)


def _threshold(rule: str) -> float:
    kind, _, value = rule.partition(":")
    try:
        return float(value) if kind == "norm" else math.nan
    except ValueError:
        return math.nan


def _remark(rule: str, shares: Sequence[float], diverged: Sequence[int], runs: int) -> str:
    end = ""
    if diverged:
        first, last = min(diverged), max(diverged)
        when = f"at step {first}" if first == last else f"at steps {first} to {last}"
        end = f"; {f'{len(diverged)} of {runs} ' if runs > 1 else ''}diverged {when}"
    kind, _, value = rule.partition(":")
    shortened = any(share > 0 for share in shares)
    if kind == "none" or not (kind or shortened):
        return f"not clipped{end}"
    if not kind:  # somebody else's clipping, of which only the norms are known
        return f"shortened on {span(spread(shares), percent)} of the steps{end}"
    how = f"by norm at {_short(value)}" if kind == "norm" else f"each entry at ±{_short(value)}"
    if not any(share != 0 for share in shares):
        return f"never clipped, {how}{end}"
    return f"clipped on {span(spread(shares), percent)} of the steps, {how}{end}"


def _short(value: str) -> str:
    try:
        return number(float(value), 3)
    except ValueError:
        return safe(value)


def _decades(panels: Sequence[Panel]) -> tuple[int, int]:
    ranges = [part for panel in panels if panel.pre_range for part in (panel.pre_range.low, panel.pre_range.high)]
    parts = [part[np.isfinite(part)] for panel in panels for part in (panel.pre, panel.post)]
    parts += [part[np.isfinite(part)] for part in ranges]
    parts += [np.array([panel.threshold]) for panel in panels if panel.threshold > 0]
    values = np.concatenate(parts) if parts else np.empty(0)
    if not values.size:
        return -1, 1
    return math.floor(math.log10(values.min()) - 0.05), math.ceil(math.log10(values.max()) + 0.05)


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    return spoken([TITLE, prepared.origin.caption, *(f"{panel.label}: {panel.remark}" for panel in prepared.panels)])


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw a panel per run, one below the other up to six, in two columns above that."""
    look = frame(theme, size)
    if not prepared.panels:
        return waiting(look, prepared.origin, TITLE, prepared.nothing)
    columns = 1 if len(prepared.panels) <= 6 else 2
    rows = -(-len(prepared.panels) // columns)
    height = rows * (_PANEL_PX + _HEAD_PX[columns])
    figure = new_figure(look, prepared.origin, TITLE, height, ["before clipping", "after clipping", "threshold"])
    for i in range(len(prepared.panels)):
        _draw_panel(figure, look, prepared, i, columns, rows)
    return figure


def _draw_panel(figure: go.Figure, look: Frame, prepared: Prepared, i: int, columns: int, rows: int) -> None:
    panel, row, column = prepared.panels[i], i // columns, i % columns
    top = 1 - row / rows
    row_px = (_PANEL_PX + _HEAD_PX[columns]) * rows
    head, rail = _HEAD_PX[columns] / row_px, _RAIL_PX / row_px
    low, high = max(0.0, top - 1 / rows), top - head * 0.8
    special = any(len(part) for part in panel.rails)
    left = column * 0.54
    right = left + (1.0 if columns == 1 else 0.46)
    x, y, r = f"x{i + 1 if i else ''}", f"y{2 * i + 1 if i else ''}", f"y{2 * i + 2}"
    last = i + columns >= len(prepared.panels)
    figure.update_layout(
        {
            f"xaxis{i + 1}": {
                "domain": [left, right],
                "anchor": y,
                "matches": None if i == 0 else "x",
                "showticklabels": last,
                "title": {"text": "training step" if last else ""},
            },
            f"yaxis{2 * i + 1}": {
                "domain": [low, high - (1.6 * rail if special else 0)],
                "anchor": x,
                "type": "log",
                "range": list(prepared.decades[i]),
                "matches": "y" if i and len(set(prepared.decades)) == 1 else None,
                **log_ticks(prepared.decades[i], most=4),
            },
        }
    )
    _norms(figure, look, panel, x, y)
    if i == 0:
        _legend(figure, look)
    between = "  " if columns == 1 else "<br>"
    figure.add_annotation(
        text=f"<b>{panel.label}</b>{between}<span style='color:{look.theme.muted}'>{panel.remark}</span>",
        xref="paper",
        yref="paper",
        x=left,
        y=high + head * 0.1,
        xanchor="left",
        yanchor="bottom",
        align="left",
        font={"size": look.size.text},
    )
    if special:
        _rail(figure, look, panel, x, r, (high - rail * 0.9, high))
    for step in panel.diverged_steps:
        figure.add_shape(
            type="line",
            xref=x,
            yref="paper",
            x0=step,
            x1=step,
            y0=low,
            y1=high,
            line={"color": look.theme.mark, "width": look.size.thin, "dash": "dot"},
        )


def _lines(look: Frame, colour: str) -> dict[str, dict[str, object]]:
    return {
        "before clipping": {"color": colour, "width": 0.7 * look.size.line},
        "after clipping": {"color": look.theme.text, "width": look.size.thin, "dash": "dash"},
        "threshold": {"color": look.theme.muted, "width": look.size.thin + 0.4, "dash": "dot"},
    }


def _legend(figure: go.Figure, look: Frame) -> None:
    """One entry per kind of line, in no run's colour."""
    for name, line in _lines(look, look.theme.text).items():
        figure.add_scatter(x=[None], y=[None], mode="lines", line=line, name=name, legendgroup=name)


def _norms(figure: go.Figure, look: Frame, panel: Panel, x: str, y: str) -> None:
    """Draw the norms, with what clipping cut off shaded between them."""
    colour = look.theme.lines[panel.colour]
    lines = _lines(look, colour)
    # What clipping cut off is shaded between the lines of one run; of several their range is, and not both.
    whole = panel.pre_range is None and bool(np.isfinite(panel.pre).all() and np.isfinite(panel.post).all())
    if panel.pre_range is not None:
        add_band(figure, panel.step, panel.pre_range, colour, "before clipping", y, x)
    ends = panel.step[[0, -1]]
    for name, step, values in (
        ("threshold", ends, np.full(2, panel.threshold)),
        ("after clipping", panel.step, panel.post),
        ("before clipping", panel.step, panel.pre),
    ):
        if not np.isfinite(values).any():
            continue
        figure.add_scatter(
            x=step.astype(np.float32),
            # Float64: a norm may exceed what float32 holds, and that is what this figure is about.
            y=values,
            xaxis=x,
            yaxis=y,
            mode="lines" if len(panel.step) > 2 or name == "threshold" else "lines+markers",
            line=lines[name],
            fill="tonexty" if whole and name == "before clipping" else "none",
            fillcolor=faded(colour, 0.22),
            legendgroup=name,
            showlegend=False,
            hovertemplate=f"training step %{{x}}<br>norm %{{y:.3g}} {name}<extra>{panel.label}</extra>",
        )


def _rail(figure: go.Figure, look: Frame, panel: Panel, x: str, y: str, domain: tuple[float, float]) -> None:
    for steps, kind in zip(panel.rails, (ZERO, INFINITE, NAN), strict=True):
        if len(steps):
            figure.add_scatter(
                x=steps.astype(np.float32),
                y=np.full(len(steps), 0.5, dtype=np.float32),
                xaxis=x,
                yaxis=y,
                mode="markers",
                marker={
                    "symbol": MARKS[kind],
                    "size": 0.9 * look.size.marker,
                    "color": look.theme.text,
                    "line": {"width": look.size.thin + 0.4, "color": look.theme.text},
                },
                showlegend=False,
                hovertemplate=f"training step %{{x}}: norm {MEANINGS[kind]}<extra>{panel.label}</extra>",
            )
    words = [word for part, word in zip(panel.rails, ("0 ▽", "inf ▲", "nan ✕"), strict=True) if len(part)]
    figure.update_layout({f"yaxis{y[1:]}": rail_axis(domain, " ".join(words), anchor=x)})
    add_ground(figure, look, domain, xref=f"{x} domain")
