"""Loss and success by training step, each with the value that knowing nothing gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.blocks import block_edges, block_mean, block_size
from diagnostics.charts.frame import Frame, Origin, SizeName, frame, ids, new_figure, waiting, wire
from diagnostics.charts.labels import run_labels, safe, short, spoken, wrap
from diagnostics.charts.palette import Style, ThemeName, faded, styles
from diagnostics.charts.rails import MARKS, add_ground, rail_axis
from diagnostics.charts.series import MEANINGS, VALUE, absent, kinds
from diagnostics.charts.ticks import log_ticks
from diagnostics.measures.numbers import number, percent
from diagnostics.records import Array, Records, Run

TITLE = "Does it learn? Loss and success"
MOST_POINTS = 600
_PLOT_PX = 430
_TITLE_CHARACTERS = 24.0
"""How many average characters of an axis title fit along one panel; two lines fit beside it."""
_RAIL = (0.95, 1.0)
_LOG_FROM = 20.0
"""The loss axis turns logarithmic where a loss is this many times that of knowing nothing."""


class Curve(NamedTuple):
    """One run's learning; ``step`` and ``loss`` have one length, the three of the held-out set another."""

    label: str
    style: Style
    step: Array
    loss: Array
    """Training loss, the mean of each block of steps; finite or nan."""
    eval_step: Array
    eval_loss: Array
    eval_success: Array
    broken: int | None
    """The first training step whose loss was not a finite number."""
    broken_as: int
    """NAN or INFINITE, as the loss was at that step; VALUE where none was."""


class Prepared(NamedTuple):
    """All curves and the lines of knowing nothing."""

    origin: Origin
    curves: tuple[Curve, ...]
    chance_loss: tuple[float, ...]
    chance_success: tuple[float, ...]
    """The distinct values of knowing nothing; several where the runs' tasks differ."""
    loss_name: str
    success_name: str
    log_loss: bool
    loss_title: str
    """The loss axis's title: the unit alone, for the caption has the loss's whole name."""
    success_title: str
    nothing: str
    """Why there is no curve, where there is none."""


def prepare(runs: Sequence[Run]) -> Prepared:
    """Gather loss and success of runs; where their tasks differ, so may the values that knowing nothing gives.

    Where a run has more than 600 steps its training loss is the mean of blocks, and the caption says so.
    """
    labels, looks = run_labels(runs), styles(runs)
    curves = tuple(
        _curve(run.records, label, style)
        for run, label, style in zip(runs, labels, looks, strict=True)
        if run.records.rows("step") or run.records.rows("eval")
    )
    facts = [run.facts for run in runs if run.facts is not None]
    loss_name = _common([fact.loss_name for fact in facts], "loss")
    # Without a closed form it is not a number, and there is no line to draw.
    chance_loss = tuple(sorted({fact.chance_loss for fact in facts if math.isfinite(fact.chance_loss)}))
    block = max((block_size(run.records.rows("step"), MOST_POINTS) for run in runs), default=1)
    reduced = "" if block == 1 else f", mean of up to {block} steps"
    origin = Origin(
        "learning",
        ids(runs),
        f"Thin: training loss of each step's batch{reduced} · thick: the held-out set · dotted: knowing nothing"
        + (f" · loss: {safe(loss_name)}" if loss_name != "loss" else ""),
        {
            "training_steps": {run.id: run.records.rows("step") for run in runs},
            "unit": f"{loss_name}; success as a share",
            "reduction": f"mean over the batch; mean of blocks of up to {block} steps",
            "clip": "not a gradient",
        },
    )
    success_name = _common([fact.success_name for fact in facts], "success")
    return Prepared(
        origin,
        curves,
        chance_loss,
        tuple(sorted({fact.chance_success for fact in facts})),
        safe(loss_name),
        safe(success_name),
        _needs_log(curves, chance_loss),
        _axis_title(_unit(loss_name)),
        _axis_title(success_name),
        absent(runs, "training step"),
    )


def _common(names: Sequence[str], otherwise: str) -> str:
    return names[0] if len(set(names)) == 1 else otherwise


def _unit(loss_name: str) -> str:
    """Return ``loss (nats)`` for a loss whose name gives its unit in brackets, else the loss and its name."""
    _, bracket, rest = loss_name.partition("(")
    if bracket and ")" in rest:
        return f"loss ({rest.partition(')')[0]})"
    return "loss" if loss_name == "loss" else f"loss, {loss_name}"


def _axis_title(text: str) -> str:
    return wrap(safe(short(text, int(1.6 * _TITLE_CHARACTERS))), _TITLE_CHARACTERS)


def _curve(records: Records, label: str, style: Style) -> Curve:
    loss = records["loss"] if "loss" in records else np.empty(0)
    step = records["step"] if "step" in records else np.empty(0)
    broken = np.flatnonzero(~np.isfinite(loss))
    edges = block_edges(len(loss), MOST_POINTS)
    reduced = block_mean(loss, MOST_POINTS)
    empty = np.empty(0)
    return Curve(
        label=label,
        style=style,
        step=step[edges[:-1]] if len(loss) else empty,
        loss=np.where(np.isfinite(reduced), reduced, np.nan),
        eval_step=records.get("eval_step", empty),
        eval_loss=records.get("eval_loss", empty),
        eval_success=records.get("eval_success", empty),
        broken=int(step[broken[0]]) if broken.size else None,
        broken_as=int(kinds(loss[broken[:1]])[0]) if broken.size else VALUE,
    )


def _needs_log(curves: Sequence[Curve], chance: Sequence[float]) -> bool:
    largest = max((float(np.nanmax(c.loss)) for c in curves if np.isfinite(c.loss).any()), default=0.0)
    return any(value > 0 and largest > _LOG_FROM * value for value in chance[-1:])


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    said = []
    for curve in prepared.curves:
        success = f"success {percent(float(curve.eval_success[-1]))}" if len(curve.eval_success) else "not measured yet"
        broken = "" if curve.broken is None else f", loss {MEANINGS[curve.broken_as]} at training step {curve.broken}"
        said.append(f"{curve.label}: {success}{broken}")
    chance = f"Knowing nothing gives success {' or '.join(percent(share) for share in prepared.chance_success)}"
    return spoken([TITLE.replace("?", ":"), *said, chance])


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw loss above and success below, sharing the axis of training steps."""
    look = frame(theme, size)
    if not prepared.curves:
        return waiting(look, prepared.origin, TITLE, prepared.nothing)
    figure = new_figure(look, prepared.origin, TITLE, _PLOT_PX, [curve.label for curve in prepared.curves])
    for curve in prepared.curves:
        _loss(figure, look, curve, prepared.loss_name)
        _success(figure, look, curve)
    _chance(figure, look, prepared)
    broken = _broken(figure, look, prepared)
    figure.update_layout(
        xaxis={"title": {"text": "training step"}, "anchor": "y2"},
        yaxis={
            "title": {"text": prepared.loss_title},
            "domain": [0.5, _RAIL[0] - 0.02 if broken else 1],
            **_loss_axis(prepared),
        },
        yaxis2={
            "title": {"text": prepared.success_title},
            "domain": [0, 0.42],
            "range": [-0.03, 1.05],
            "tickformat": ".0%",
            "anchor": "x",
        },
    )
    figure.layout.margin.r = look.px(76)
    return figure


def _loss_axis(prepared: Prepared) -> dict[str, object]:
    if not prepared.log_loss:
        return {"type": "linear", "rangemode": "tozero"}
    parts = [part for curve in prepared.curves for part in (curve.loss, curve.eval_loss)]
    values = np.concatenate([*parts, prepared.chance_loss])
    values = values[kinds(values) == VALUE]
    decades = math.floor(math.log10(values.min()) - 0.05), math.ceil(math.log10(values.max()) + 0.05)
    return {"type": "log", "range": list(decades), **log_ticks(decades, most=6)}


def _loss(figure: go.Figure, look: Frame, curve: Curve, loss_name: str) -> None:
    colour = look.theme.lines[curve.style.colour]
    figure.add_scatter(
        x=wire(curve.step),
        y=wire(curve.loss),
        mode="lines",
        line={"color": faded(colour, 0.38), "width": look.size.thin},
        legendgroup=curve.label,
        showlegend=False,
        hovertemplate=f"training step %{{x}}<br>training {loss_name} %{{y:.4g}}<extra>{curve.label}</extra>",
    )
    figure.add_scatter(
        x=wire(curve.eval_step),
        y=wire(curve.eval_loss),
        **_strong(look, curve),
        showlegend=False,
        hovertemplate=f"after %{{x}} updates<br>held-out {loss_name} %{{y:.4g}}<extra>{curve.label}</extra>",
    )


def _success(figure: go.Figure, look: Frame, curve: Curve) -> None:
    figure.add_scatter(
        x=wire(curve.eval_step),
        y=wire(curve.eval_success),
        yaxis="y2",
        **_strong(look, curve),
        hovertemplate=f"after %{{x}} updates<br>success %{{y:.1%}}<extra>{curve.label}</extra>",
    )


def _strong(look: Frame, curve: Curve) -> dict[str, object]:
    colour = look.theme.lines[curve.style.colour]
    return {
        "mode": "lines+markers",
        "line": {"color": colour, "width": look.size.line, "dash": curve.style.dash},
        "marker": {"symbol": curve.style.symbol, "size": look.size.marker, "color": colour, "maxdisplayed": 14},
        "name": curve.label,
        "legendgroup": curve.label,
        "cliponaxis": False,
    }


def _chance(figure: go.Figure, look: Frame, prepared: Prepared) -> None:
    for axis, values, words in (
        ("y", prepared.chance_loss, ", ".join(number(value, 3) for value in prepared.chance_loss)),
        ("y2", prepared.chance_success, ", ".join(percent(value) for value in prepared.chance_success)),
    ):
        for value in values:
            figure.add_shape(
                type="line",
                xref="paper",
                x0=0,
                x1=1,
                yref=axis,
                y0=value,
                y1=value,
                line={"color": look.theme.mark, "width": look.size.thin, "dash": "dot"},
            )
        if values:
            middle = values[len(values) // 2]
            figure.add_annotation(
                text=f"knowing<br>nothing<br>{words}",
                xref="paper",
                x=1.006,
                xanchor="left",
                align="left",
                yref=axis,
                y=math.log10(middle) if axis == "y" and prepared.log_loss else middle,
                yanchor="middle",
                font={"color": look.theme.muted},
            )


def _broken(figure: go.Figure, look: Frame, prepared: Prepared) -> bool:
    """Mark where a loss stopped being finite with ✕ (nan) or ▲ (infinite) at the top of the loss's plot."""
    broken = [curve for curve in prepared.curves if curve.broken is not None]
    if not broken:
        return False
    for curve in broken:
        colour = look.theme.lines[curve.style.colour]
        figure.add_scatter(
            x=[curve.broken],
            y=[0.5],
            yaxis="y3",
            mode="markers",
            marker={
                "symbol": MARKS[curve.broken_as],
                "size": 1.3 * look.size.marker,
                "color": colour,
                "line": {"width": look.size.thin + 1, "color": colour},
            },
            legendgroup=curve.label,
            showlegend=False,
            hovertemplate=f"training step %{{x}}: loss {MEANINGS[curve.broken_as]}<extra>{curve.label}</extra>",
        )
    figure.update_layout(yaxis3=rail_axis(_RAIL, "not finite", anchor="x"))
    add_ground(figure, look, _RAIL, xref="paper")
    return True
