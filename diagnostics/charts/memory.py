"""Peak memory of a training step against the length of the sequence, for the whole gradient and for a truncated one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.back_lines import labels_and_styles
from diagnostics.charts.frame import Frame, Origin, SizeName, frame, new_figure, waiting, wire
from diagnostics.charts.inspected import nothing_in, origin_of
from diagnostics.charts.inspected_seeds import Shown, any_together, bundled
from diagnostics.charts.labels import plain, spoken
from diagnostics.charts.palette import Style, ThemeName
from diagnostics.measures.numbers import number, steps
from diagnostics.records import Array

TITLE = "What memory a training step takes as the sequence grows"
NEEDS = ("memory_steps", "memory_full", "memory_truncated", "memory_batch", "memory_chunk")
_PLOT_PX = 280
_MEGA = 1e-6


class Line(NamedTuple):
    """One inspection; arrays ``[R]`` over lengths, memory in megabytes."""

    label: str
    style: Style
    length: Array
    full: Array
    truncated: Array
    chunk: int


class Prepared(NamedTuple):
    """Two curves for each inspection."""

    origin: Origin
    lines: tuple[Line, ...]
    nothing: str


def prepare(inspections: Sequence[Shown]) -> Prepared:
    """Take the measured peaks of each (name, inspection); raise ``ValueError`` where they are too many.

    Of several seeds those of the first: tensors are as large whatever they hold.
    """
    looks = labels_and_styles(inspections)
    bundles = bundled(inspections)
    firsts = [(bundle.name, bundle.first) for bundle in bundles]
    lack = nothing_in(firsts, NEEDS)
    lines = () if lack else tuple(
        Line(
            label, style, one["memory_steps"], _MEGA * one["memory_full"], _MEGA * one["memory_truncated"],
            int(one["memory_chunk"][0]),
        )
        for (_, one), (label, style) in zip(firsts, looks, strict=True)
    )  # fmt: skip
    batches = [] if lack else sorted({int(one["memory_batch"][0]) for _, one in firsts})
    of = " to ".join(str(batch) for batch in {batches[0]: 0, batches[-1]: 0}) if batches else "no"
    origin = origin_of(
        "memory",
        [one for _, one in firsts],
        f"Peak of what tensors take during one training step, without parameters, megabytes · {of} sequences a step, "
        f"float32 · nothing recorded{' · of the first seed' if any_together(bundles) else ''}",
        of_probe=False,
        unit="megabytes",
        reduction="largest sum of allocations at a time",
        clip="pre-clip",
    )
    return Prepared(origin, lines, lack)


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    return spoken([TITLE, plain(prepared.origin.caption), *(_said(line) for line in prepared.lines)])


def _said(line: Line) -> str:
    return (
        f"{line.label}: at {steps(int(line.length[-1]))} {number(float(line.full[-1]))} MB for the whole gradient, "
        f"{number(float(line.truncated[-1]))} MB truncated at {line.chunk}"
    )


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw megabytes over timesteps from 0, the whole gradient filled and the truncated one open."""
    look = frame(theme, size)
    if not prepared.lines:
        return waiting(look, prepared.origin, TITLE, prepared.nothing)
    names = [name for line in prepared.lines for name in _names(line, len(prepared.lines))]
    figure = new_figure(look, prepared.origin, TITLE, _PLOT_PX, names)
    for line in prepared.lines:
        _curves(figure, look, line, len(prepared.lines))
    longest = max(int(line.length[-1]) for line in prepared.lines)
    largest = max(float(max(line.full.max(), line.truncated.max())) for line in prepared.lines)
    figure.update_xaxes(title_text="timesteps of the sequence", range=[0, 1.04 * longest])
    figure.update_yaxes(title_text="peak memory (MB)", range=[0, 1.1 * max(largest, 1e-3)])
    return figure


def _names(line: Line, count: int) -> tuple[str, str]:
    before = f"{line.label}: " if count > 1 else ""
    return f"{before}whole gradient", f"{before}truncated at {line.chunk}"


def _curves(figure: go.Figure, look: Frame, line: Line, count: int) -> None:
    colour = look.theme.lines[line.style.colour]
    for name, values, dash, symbol in zip(
        _names(line, count),
        (line.full, line.truncated),
        ("solid", "dash"),
        (line.style.symbol, f"{line.style.symbol}-open"),
        strict=True,
    ):
        figure.add_scatter(
            x=wire(line.length),
            y=np.asarray(values, dtype=np.float64),
            mode="lines+markers",
            line={"color": colour, "width": look.size.line, "dash": dash},
            marker={"symbol": symbol, "size": look.size.marker, "color": colour},
            name=name,
            showlegend=True,
            hovertemplate=f"%{{x}} timesteps<br>%{{y:.2f}} MB<extra>{name}</extra>",
        )
