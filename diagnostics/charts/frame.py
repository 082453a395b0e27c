"""What all figures share: sizes, the template, the title with its caption, provenance, and the figure without data.

Every figure carries a whole template of its own, so that no default of the surrounding program shows through.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.labels import text_width, wrap
from diagnostics.charts.palette import THEMES, Theme, ThemeName
from diagnostics.records import Array, Run

SizeName = Literal["page", "projector"]
Json = str | int | float | bool | None | Sequence["Json"] | Mapping[str, "Json"]

FONT = "Inter, 'Source Sans Pro', 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"
NARROW_PX = 640
"""The narrowest width that texts are broken and legends given room for, at any size of text: that of a figure beside
the controls in a window of 1024."""
_LEFT_PX, _RIGHT_PX = 74, 24
LINE_PX = 17
"""What a line of small text above the plotting area takes."""


@dataclass(frozen=True)
class Size:
    """Text and line sizes in pixels; ``scale`` multiplies heights and margins."""

    text: int
    small: int
    title: int
    line: float
    thin: float
    marker: float
    scale: float


SIZES: Mapping[SizeName, Size] = {
    "page": Size(text=13, small=12, title=16, line=2.4, thin=1.2, marker=8, scale=1.0),
    "projector": Size(text=20, small=18, title=26, line=4.0, thin=2.0, marker=13, scale=1.5),
}


@dataclass(frozen=True)
class Frame:
    """The look of one figure: its theme and its size."""

    theme: Theme
    size: Size

    def px(self, value: float) -> int:
        """Scale a length of the page size to this size, in pixels."""
        return round(value * self.size.scale)

    @property
    def line_characters(self) -> float:
        """How many average characters of small text fit on a line of the narrowest figure."""
        return (NARROW_PX - self.px(30)) / (0.5 * self.size.small)

    @property
    def plot_characters(self) -> float:
        """How many of them fit on a line above its plotting area."""
        return (NARROW_PX - self.px(_LEFT_PX + _RIGHT_PX)) / (0.5 * self.size.small)

    @property
    def plot_words(self) -> int:
        """How many words, each written upwards, stand beside one another along its plotting area."""
        return (NARROW_PX - self.px(134)) // self.px(11)


def frame(theme: ThemeName, size: SizeName) -> Frame:
    """Return the look by its names; raise ``ValueError`` naming those there are."""
    if theme not in THEMES:
        raise ValueError(f"theme must be one of {', '.join(THEMES)}, but got {theme!r}")
    if size not in SIZES:
        raise ValueError(f"size must be one of {', '.join(SIZES)}, but got {size!r}")
    return Frame(THEMES[theme], SIZES[size])


@dataclass(frozen=True)
class Origin:
    """Where a figure's numbers come from: it becomes the figure's ``meta`` and its caption."""

    figure: str
    run_ids: tuple[str, ...]
    caption: str
    """One or two sentences: quantity, unit, reduction, pre- or post-clip, training step."""
    facts: Mapping[str, Json]

    def meta(self) -> dict[str, Json]:
        """Return the provenance as JSON."""
        return {"figure": self.figure, "runs": list(self.run_ids), "caption": self.caption, **self.facts}

    def revision(self) -> str:
        """Return what zoom and legend choices hang on: the same runs in the same figure keep them."""
        together = ":seeds" if self.facts.get("over_seeds") else ""
        return f"{self.figure}:{','.join(self.run_ids)}{together}"


def ids(runs: Sequence[Run]) -> tuple[str, ...]:
    """Return the runs' ids, in order."""
    return tuple(run.id for run in runs)


def new_figure(
    look: Frame, origin: Origin, title: str, plot_px: float, legend: Sequence[str] = (), above_px: float = 14
) -> go.Figure:
    """Return an empty figure with title, caption and provenance, and room for all of it.

    ``plot_px`` is the height of the plotting area at page size; ``legend`` holds the legend's entries, which go below;
    ``above_px`` is the room that marks above the plotting area need.
    """
    caption = wrap(origin.caption, look.line_characters)
    top = look.px(20) + round(1.3 * look.size.title) + round(1.35 * look.size.small * (1 + caption.count("<br>")))
    bottom = look.px(62) + legend_rows(look, legend) * round(1.75 * look.size.text)
    # One construction: plotly checks every property each time it is set.
    return go.Figure(
        layout={
            "template": template(look),
            "title": {"text": title, "subtitle": {"text": caption}, "font": {"size": _title_px(look, title)}},
            "height": top + look.px(above_px) + look.px(plot_px) + bottom,
            "margin": {
                "t": top + look.px(above_px),
                "b": bottom,
                "l": look.px(_LEFT_PX),
                "r": look.px(_RIGHT_PX),
                "pad": 0,
            },
            "meta": origin.meta(),
            "uirevision": origin.revision(),
            "autosize": True,
            "legend": {
                "y": 0,
                "yref": "container",
                "yanchor": "bottom",
                "x": 0.008,
                "xref": "container",
                "xanchor": "left",
            },
        }
    )


def _title_px(look: Frame, title: str) -> int:
    """Return the size of a title: smaller than the usual where it would not fit into the narrowest figure."""
    fitting = math.floor((NARROW_PX - look.px(30)) / (0.54 * text_width(title)))
    return max(min(look.size.title, fitting), look.size.small)


def legend_rows(look: Frame, entries: Sequence[str]) -> int:
    """Return how many rows the legend takes in the narrowest figure."""
    if not entries:
        return 0
    widest = max(text_width(entry) for entry in entries) * 0.54 * look.size.text + look.px(46)
    per_row = max(1, int((NARROW_PX - look.px(20)) // widest))
    return -(-len(entries) // per_row)


@lru_cache(maxsize=len(THEMES) * len(SIZES))
def template(look: Frame) -> go.layout.Template:
    """Return the whole template: paper, text, axes, legend, hover labels."""
    theme, size = look.theme, look.size
    axis = {
        "gridcolor": theme.grid,
        "linecolor": theme.axis,
        "tickcolor": theme.axis,
        "tickfont": {"size": size.small, "color": theme.muted},
        "title": {"font": {"size": size.text, "color": theme.text}, "standoff": look.px(8)},
        "zeroline": False,
        "showline": True,
        "ticks": "outside",
        "ticklen": look.px(4),
        "automargin": True,
        "exponentformat": "none",
        "separatethousands": True,
        "minor": {"showgrid": False},
    }
    return go.layout.Template(
        layout={
            "paper_bgcolor": theme.paper,
            "plot_bgcolor": theme.plot,
            "font": {"family": FONT, "size": size.text, "color": theme.text},
            "colorway": list(theme.lines),
            "title": {
                "font": {"size": size.title, "color": theme.text, "weight": 650},
                "subtitle": {"font": {"size": size.small, "color": theme.muted}},
                "x": 0,
                "xref": "container",
                "xanchor": "left",
                "y": 1,
                "yref": "container",
                "yanchor": "top",
                "pad": {"l": look.px(12), "t": look.px(10)},
            },
            "legend": {
                "orientation": "h",
                "bgcolor": "rgba(0,0,0,0)",
                "font": {"size": size.text, "color": theme.text},
                "itemsizing": "trace",
            },
            "hoverlabel": {
                "bgcolor": theme.hover,
                "bordercolor": theme.axis,
                "font": {"size": size.text, "color": theme.text, "family": FONT},
                "align": "left",
            },
            "hovermode": "closest",
            "dragmode": "zoom",
            "xaxis": axis,
            "yaxis": axis,
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": theme.muted, "activecolor": theme.text},
            "annotationdefaults": {"font": {"size": size.small, "color": theme.text}, "showarrow": False},
            "bargap": 0,
            "barmode": "overlay",
            "uniformtext": {"mode": False},
        }
    )


def waiting(look: Frame, origin: Origin, title: str, sentence: str) -> go.Figure:
    """Return a figure that says why there is nothing to draw yet."""
    figure = new_figure(look, origin, title, plot_px=180)
    figure.add_annotation(
        text=wrap(sentence, 0.8 * look.line_characters),
        x=0.5,
        y=0.5,
        xref="paper",
        yref="paper",
        font={"size": look.size.text + 2, "color": look.theme.muted},
    )
    figure.update_xaxes(visible=False).update_yaxes(visible=False)
    return figure


def add_level(figure: go.Figure, look: Frame, value: float, name: str, margin_px: float) -> None:
    """Draw a level over a log y axis, with its name beside it in a right margin of ``margin_px`` at page size."""
    ink = look.theme.muted
    # Not add_hline, which asks every axis of the figure and takes as long as several curves.
    figure.add_shape(
        type="line",
        x0=0,
        x1=1,
        xref="x domain",
        y0=value,
        y1=value,
        yref="y",
        line={"color": ink, "width": look.size.thin, "dash": "dash"},
    )
    figure.add_annotation(
        text=name,
        x=1.006,
        xref="paper",
        xanchor="left",
        y=math.log10(value),
        yref="y",
        yanchor="middle",
        font={"color": ink},
    )
    figure.layout.margin.r = look.px(margin_px)


def words_above(look: Frame, text: str) -> tuple[str, int]:
    """Break a sentence that stands above the plotting area; returns it, and the room at page size that it takes beyond
    a line."""
    broken = wrap(text, look.plot_characters)
    return broken, LINE_PX * broken.count("<br>")


def wire(values: Array) -> Array:
    """Return values as float32, which Plotly sends as a typed array: half of float64, a sixth of a list.

    What float32 cannot hold is kept apart before this: finite values beyond its range are clipped to it.
    """
    limit = np.finfo(np.float32).max
    array = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(array), np.clip(array, -limit, limit), array).astype(np.float32)
