"""Loss and success by training step, each with the value that knowing nothing gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.bands import add_band
from diagnostics.charts.blocks import block_edges, block_mean, block_size
from diagnostics.charts.frame import Frame, Origin, SizeName, frame, ids, new_figure, waiting, wire
from diagnostics.charts.labels import safe, short, spoken, wrap
from diagnostics.charts.palette import Style, ThemeName, faded
from diagnostics.charts.rails import MARKS, add_ground, rail_axis
from diagnostics.charts.series import MEANINGS, VALUE, absent, kinds, watched
from diagnostics.charts.ticks import log_ticks
from diagnostics.charts.whole import wholes
from diagnostics.measures.evidence import loss_known
from diagnostics.measures.numbers import number, percent
from diagnostics.measures.seeds import Envelope, Group, envelope, on_one_grid
from diagnostics.records import Array, Run

TITLE = "Does it learn? Loss and success"
WITHOUT_HELD_OUT = "Does it learn? The loss"
MOST_POINTS = 600
_PLOT_PX = 430
_TITLE_CHARACTERS = 24.0
"""How many average characters of an axis title fit along one panel; two lines fit beside it."""
_RAIL = (0.95, 1.0)
_OVER_SEEDS = "lines: median over the seeds; bands: lowest to highest seed"
_LOG_FROM = 20.0
"""The loss axis turns logarithmic where a loss is this many times that of knowing nothing."""


class Curve(NamedTuple):
    """The learning of a run, or of runs over their seeds; ``step`` and ``loss`` have one length."""

    label: str
    style: Style
    step: Array
    loss: Array
    """Training loss, the mean of each block of steps of the median over the seeds; finite or nan."""
    eval_step: Array
    eval_loss: Envelope
    """On the held-out set, over the seeds measured by then; of a single run the three agree."""
    eval_success: Envelope
    broken: tuple[Broken, ...]
    """The runs that met a loss that was not a finite number."""
    runs: int
    unmeasured: bool
    """Whether there is no held-out set, and never will be: the run was watched."""


class Broken(NamedTuple):
    """The first training step of a run whose loss was not a finite number, and what it was: NAN or INFINITE."""

    step: int
    kind: int
    name: str
    """Which seed; empty for a single run."""


class Prepared(NamedTuple):
    """All curves and the lines of knowing nothing."""

    origin: Origin
    curves: tuple[Curve, ...]
    chance_loss: tuple[float, ...]
    chance_success: tuple[float, ...]
    """The distinct values of knowing nothing that are known; several where the runs' tasks differ."""
    loss_name: str
    success_name: str
    log_loss: bool
    loss_title: str
    """The loss axis's title: the unit alone, for the caption has the loss's whole name."""
    success_title: str
    measured: bool
    """Whether success is measured at all; a watched training has no held-out set of ours, and then there is no plot."""
    nothing: str
    """Why there is no curve, where there is none."""


def applies(runs: Sequence[Run]) -> bool:
    """Whether any of the runs has a loss to show, or may still have one; a watched one has where it was given."""
    return any(bool(run.records.rows("eval")) or (_may_have(run) if watched(run) else True) for run in runs)


def _may_have(run: Run) -> bool:
    return bool(run.records.rows("step")) and loss_known(run)


def prepare(runs: Sequence[Run], over_seeds: bool = False) -> Prepared:
    """Gather loss and success of runs; where their tasks differ, so may the values that knowing nothing gives.

    Where a run has more than 600 steps its training loss is the mean of blocks, and the caption says so. With
    ``over_seeds`` runs that differ only in their seed are one curve: the median of those that came so far, in a band
    from the least to the greatest; each run whose loss broke keeps its own mark.
    """
    found = wholes(runs, over_seeds)
    named = [one[:3] for one in found if applies(one.group.runs)]
    curves = tuple(_curve(*one) for one in named if _begun(one[:1]))
    parts = " · one line for all parts of a model" if any(one.parts > 1 for one in found) else ""
    bundles = tuple(group for group, *_ in named)
    runs = [run for run in runs if applies([run])]
    facts = [run.facts for run in runs if run.facts is not None]
    loss_name = _common([fact.loss_name for fact in facts], "loss")
    # Without a closed form it is not a number, and there is no line to draw.
    chance_loss = tuple(sorted({fact.chance_loss for fact in facts if math.isfinite(fact.chance_loss)}))
    block = max((block_size(run.records.rows("step"), MOST_POINTS) for run in runs), default=1)
    reduced = "" if block == 1 else f", mean of up to {block} steps"
    measured = any(not watched(run) or run.records.rows("eval") for run in runs)
    held_out = " · thick: the held-out set · dotted: knowing nothing" if measured else ""
    origin = Origin(
        "learning",
        ids(runs),
        f"{'Thin: training' if measured else 'Training'} loss of each step's batch{reduced}{held_out}{parts}"
        + (f" · loss: {safe(loss_name)}" if loss_name != "loss" else "")
        + (f" · {_OVER_SEEDS}{_uneven(bundles, curves)}" if over_seeds else ""),
        {
            "training_steps": {run.id: run.records.rows("step") for run in runs},
            "unit": f"{loss_name}; success as a share" if measured else loss_name,
            "reduction": f"mean over the batch; mean of blocks of up to {block} steps"
            + (f"; {_OVER_SEEDS}" if over_seeds else ""),
            "clip": "not a gradient",
            "over_seeds": over_seeds,
        },
    )
    success_name = _common([fact.success_name for fact in facts], "success")
    return Prepared(
        origin,
        curves,
        chance_loss,
        tuple(sorted({fact.chance_success for fact in facts if math.isfinite(fact.chance_success)})),
        safe(loss_name),
        safe(success_name),
        _needs_log(curves, chance_loss),
        _axis_title(_unit(loss_name)),
        _axis_title(success_name),
        measured,
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


def _curve(group: Group, label: str, style: Style) -> Curve:
    loss = envelope([_finite(_column(run, "loss")) for run in group.runs]).median
    edges = block_edges(len(loss), MOST_POINTS)
    taken = [_column(run, "eval_step") for run in group.runs]
    grid, losses = on_one_grid(taken, [_finite(_column(run, "eval_loss")) for run in group.runs])
    _, successes = on_one_grid(taken, [_column(run, "eval_success") for run in group.runs])
    longest = max((_column(run, "step") for run in group.runs), key=len)
    return Curve(
        label=label,
        style=style,
        step=longest[edges[:-1]] if len(loss) else np.empty(0),
        loss=block_mean(loss, MOST_POINTS),
        eval_step=grid,
        eval_loss=envelope(losses),
        eval_success=envelope(successes),
        broken=tuple(one for run in group.runs if (one := _broken_at(run, group.several)) is not None),
        runs=len(group.runs),
        unmeasured=all(watched(run) and not run.records.rows("eval") for run in group.runs),
    )


def _column(run: Run, name: str) -> Array:
    return run.records.get(name, np.empty(0))


def _finite(values: Array) -> Array:
    return np.where(np.isfinite(values), values, np.nan)


def _broken_at(run: Run, several: bool) -> Broken | None:
    loss = _column(run, "loss")
    broken = np.flatnonzero(~np.isfinite(loss))
    if not broken.size:
        return None
    name = f"seed {run.spec.get('seed')}" if several else ""
    return Broken(int(run.records["step"][broken[0]]), int(kinds(loss[broken[:1]])[0]), name)


def _uneven(bundles: Sequence[Group], curves: Sequence[Curve]) -> str:
    """Say of which groups the seeds did not come equally far, so that the end of a line is not taken for all."""
    said = []
    for group, curve in zip(_begun(bundles), curves, strict=True):
        done = sorted(run.records.rows("step") for run in group.runs)
        if done[0] != done[-1]:
            said.append(f"{curve.label}: {done.count(done[-1])} of {curve.runs} came to step {done[-1]}")
    return "".join(f" · {line}" for line in said)


def _begun(bundles: Sequence[Group]) -> list[Group]:
    return [g for g in bundles if any(run.records.rows("step") or run.records.rows("eval") for run in g.runs)]


def _needs_log(curves: Sequence[Curve], chance: Sequence[float]) -> bool:
    largest = max((float(np.nanmax(c.loss)) for c in curves if np.isfinite(c.loss).any()), default=0.0)
    return any(value > 0 and largest > _LOG_FROM * value for value in chance[-1:])


def _title(prepared: Prepared) -> str:
    return TITLE if prepared.measured else WITHOUT_HELD_OUT


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    said = []
    for curve in prepared.curves:
        success = f"success {_last(curve.eval_success)}" if len(curve.eval_step) else _unmeasured(prepared, curve)
        broken = "".join(
            f", {one.name + ' ' if one.name else ''}loss {MEANINGS[one.kind]} at training step {one.step}"
            for one in curve.broken
        )
        said.append(f"{curve.label}: {success}{broken}")
    if prepared.chance_success:
        said.append(f"Knowing nothing gives success {' or '.join(map(percent, prepared.chance_success))}")
    return spoken([_title(prepared).replace("?", ":"), *said])


def _unmeasured(prepared: Prepared, curve: Curve) -> str:
    known = curve.loss[np.isfinite(curve.loss)]
    if prepared.measured or not known.size:
        return "not measured yet"
    return f"training loss from {number(float(known[0]), 3)} to {number(float(known[-1]), 3)}"


def _last(success: Envelope) -> str:
    low, median, high = (float(part[-1]) for part in success[:3])
    return percent(median) + ("" if low == high else f" ({percent(low)} to {percent(high)})")


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw loss above and success below, sharing the axis of training steps."""
    look = frame(theme, size)
    if not prepared.curves:
        return waiting(look, prepared.origin, _title(prepared), prepared.nothing)
    plot_px = _PLOT_PX if prepared.measured else _PLOT_PX // 2
    figure = new_figure(look, prepared.origin, _title(prepared), plot_px, [curve.label for curve in prepared.curves])
    for curve in prepared.curves:
        if curve.runs > 1:
            colour = look.theme.lines[curve.style.colour]
            add_band(figure, curve.eval_step, curve.eval_loss, colour, curve.label, "y")
            add_band(figure, curve.eval_step, curve.eval_success, colour, curve.label, "y2")
    for curve in prepared.curves:
        _loss(figure, look, curve, prepared)
        if prepared.measured and not curve.unmeasured:
            _success(figure, look, curve)
    _chance(figure, look, prepared)
    broken = _broken(figure, look, prepared)
    bottom = 0.5 if prepared.measured else 0.0
    figure.update_layout(
        xaxis={"title": {"text": "training step"}, "anchor": "y2" if prepared.measured else "y"},
        yaxis={
            "title": {"text": prepared.loss_title},
            "domain": [bottom, _RAIL[0] - 0.02 if broken else 1],
            **_loss_axis(prepared),
        },
    )
    if prepared.measured:
        figure.layout.yaxis2 = {
            "title": {"text": prepared.success_title},
            "domain": [0, 0.42],
            "range": [-0.03, 1.05],
            "tickformat": ".0%",
            "anchor": "x",
        }
        figure.layout.margin.r = look.px(76)
    return figure


def _loss_axis(prepared: Prepared) -> dict[str, object]:
    if not prepared.log_loss:
        return {"type": "linear", "rangemode": "tozero"}
    parts = [part for curve in prepared.curves for part in (curve.loss, curve.eval_loss.low, curve.eval_loss.high)]
    values = np.concatenate([*parts, prepared.chance_loss])
    values = values[kinds(values) == VALUE]
    decades = math.floor(math.log10(values.min()) - 0.05), math.ceil(math.log10(values.max()) + 0.05)
    return {"type": "log", "range": list(decades), **log_ticks(decades, most=6)}


def _loss(figure: go.Figure, look: Frame, curve: Curve, prepared: Prepared) -> None:
    colour, loss_name = look.theme.lines[curve.style.colour], prepared.loss_name
    hover = f"training step %{{x}}<br>training {loss_name} %{{y:.4g}}<extra>{curve.label}</extra>"
    if not prepared.measured:  # the one line that there is
        figure.add_scatter(
            x=wire(curve.step), y=wire(curve.loss), **_strong(look, curve) | {"mode": "lines"}, hovertemplate=hover
        )
        return
    # Of a run that is not measured this line is the only one, and so has its name in the legend.
    alone = not len(curve.eval_step) and curve.unmeasured
    figure.add_scatter(
        x=wire(curve.step),
        y=wire(curve.loss),
        mode="lines",
        line={"color": colour if alone else faded(colour, 0.38), "width": look.size.thin},
        name=curve.label,
        legendgroup=curve.label,
        showlegend=alone,
        hovertemplate=hover,
    )
    if alone:
        return
    figure.add_scatter(
        x=wire(curve.eval_step),
        y=wire(curve.eval_loss.median),
        **_strong(look, curve),
        showlegend=False,
        **_hover(curve, curve.eval_loss, f"held-out {loss_name}", ":.4g"),
    )


def _success(figure: go.Figure, look: Frame, curve: Curve) -> None:
    figure.add_scatter(
        x=wire(curve.eval_step),
        y=wire(curve.eval_success.median),
        yaxis="y2",
        **_strong(look, curve),
        **_hover(curve, curve.eval_success, "success", ":.1%"),
    )


def _hover(curve: Curve, over: Envelope, what: str, form: str) -> dict[str, object]:
    text = f"after %{{x}} updates<br>{what} %{{y{form}}}"
    if curve.runs == 1:
        return {"hovertemplate": f"{text}<extra>{curve.label}</extra>"}
    text += f" (%{{customdata[0]{form}}} to %{{customdata[1]{form}}})<br>%{{customdata[2]}} of {curve.runs} seeds"
    return {
        "hovertemplate": f"{text}<extra>{curve.label}</extra>",
        "customdata": np.stack([over.low, over.high, over.seeds], axis=1).astype(np.float32),
    }


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
    broken = [(curve, one) for curve in prepared.curves for one in curve.broken]
    if not broken:
        return False
    for curve, one in broken:
        colour = look.theme.lines[curve.style.colour]
        figure.add_scatter(
            x=[one.step],
            y=[0.5],
            yaxis="y3",
            mode="markers",
            marker={
                "symbol": MARKS[one.kind],
                "size": 1.3 * look.size.marker,
                "color": colour,
                "line": {"width": look.size.thin + 1, "color": colour},
            },
            legendgroup=curve.label,
            showlegend=False,
            hovertemplate=(
                f"training step %{{x}}: loss {MEANINGS[one.kind]}<extra>{curve.label}"
                f"{' · ' + one.name if one.name else ''}</extra>"
            ),
        )
    figure.update_layout(yaxis3=rail_axis(_RAIL, "not finite", anchor="x"))
    add_ground(figure, look, _RAIL, xref="paper")
    return True
