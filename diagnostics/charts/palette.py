"""Colours, dashes and marker symbols: readable in light and dark, in print, on a projector and without colour vision.

No line is told by its colour alone: within one figure no two runs share both the dash and the marker symbol.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import plotly.colors

from diagnostics.records import Run

ThemeName = Literal["light", "dark"]


@dataclass(frozen=True)
class Theme:
    """The colours of one theme. Lines and marks have a contrast of at least 3:1 with ``plot``, texts 4.5:1."""

    name: ThemeName
    paper: str
    plot: str
    text: str
    muted: str
    """Captions and tick labels."""
    grid: str
    axis: str
    rail: str
    """The ground of the rails that hold exact zeros and values that are not finite."""
    hover: str
    mark: str
    """Reference lines, the outline of the informative step."""
    lines: tuple[str, ...]
    no_value: str
    """The ground of a cell whose gradient is exactly 0 or not finite; its symbol says which."""


THEMES: Mapping[ThemeName, Theme] = {
    "light": Theme(
        name="light",
        paper="#FFFFFF",
        plot="#FFFFFF",
        text="#1B1F27",
        muted="#545B68",
        grid="#E7E9EE",
        axis="#9BA1AC",
        rail="#F1F3F7",
        hover="#FFFFFF",
        mark="#1B1F27",
        lines=("#1D4FD0", "#CF3A14", "#007A5E", "#B38B00", "#C76FAE", "#2F3338", "#2497CF", "#5E1A6B"),
        no_value="#DDE1E8",
    ),
    "dark": Theme(
        name="dark",
        paper="#0E1117",
        plot="#0E1117",
        text="#F1F3F8",
        muted="#AAB2C0",
        grid="#252A34",
        axis="#5C6472",
        rail="#181D27",
        hover="#1B202B",
        mark="#F1F3F8",
        lines=("#5B93FF", "#FF6E4A", "#22A884", "#FFD54A", "#F2A0D8", "#F4F6FA", "#7FD3F7", "#8F6BB8"),
        no_value="#39404D",
    ),
}

_CELL_COLOUR = {"lstm": 0, "tanh": 1, "gru": 2, "relu": 3, "sigmoid": 4, "identity": 5}
"""Which line colour a cell has wherever runs differ by cell, so that it is the same in every comparison."""

_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star", "hexagon", "bowtie")
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


@dataclass(frozen=True)
class Style:
    """How one run is drawn in every figure; ``colour`` indexes ``Theme.lines``."""

    colour: int
    dash: str
    symbol: str


def styles(runs: Sequence[Run]) -> tuple[Style, ...]:
    """Return a style per run, in order; see ``styles_by_cell``. A network without recurrence has its own colour."""
    return styles_by_cell([run.cell for run in runs])


def styles_by_cell(cells: Sequence[str]) -> tuple[Style, ...]:
    """Return a style for each of the ``cells``, in order: colour by cell where they differ, otherwise by order.

    Those of one colour (seeds, clipping rules) differ by dash, and from any other by dash or marker symbol.
    """
    by_cell = len(set(cells)) > 1
    unknown = sorted(set(cells) - set(_CELL_COLOUR))
    ways = [(dash, step) for step in range(len(_SYMBOLS)) for dash in _DASHES]
    taken: set[tuple[str, str]] = set()
    chosen = []
    for order, cell in enumerate(cells):
        colour = _CELL_COLOUR.get(cell, len(_CELL_COLOUR) + unknown.index(cell) if cell in unknown else 0)
        colour = (colour if by_cell else order) % len(_SYMBOLS)
        looks = ((dash, _SYMBOLS[(colour + step) % len(_SYMBOLS)]) for dash, step in ways)
        dash, symbol = next((look for look in looks if look not in taken), (_DASHES[0], _SYMBOLS[colour]))
        taken.add((dash, symbol))
        chosen.append(Style(colour, dash, symbol))
    return tuple(chosen)


# The gradient's colours, from none to too much: perceptually uniform and safe for colour-blind readers, with the
# darkest end lifted off black so that a dark cell still shows on a dark page.
_INFERNO = plotly.colors.sequential.Inferno
GRADIENT: tuple[str, ...] = tuple(
    plotly.colors.sample_colorscale(_INFERNO, [0.06 + 0.94 * i / 32 for i in range(33)], colortype="rgb")
)
CAPPED_LOW, CAPPED_HIGH = -6, 1
"""The decades of gradient ÷ gradient at the loss that the colours span; what lies outside has the end's colour."""


def gradient_scale() -> list[tuple[float, str]]:
    """Return the gradient's colours as Plotly's colour scale."""
    return [(i / (len(GRADIENT) - 1), colour) for i, colour in enumerate(GRADIENT)]


def gradient_colour(log_ratio: float) -> str:
    """Return the colour of one log10 ratio, as Plotly interpolates it between ``CAPPED_LOW`` and ``CAPPED_HIGH``."""
    place = min(max((log_ratio - CAPPED_LOW) / (CAPPED_HIGH - CAPPED_LOW), 0.0), 1.0) * (len(GRADIENT) - 1)
    low = min(int(place), len(GRADIENT) - 2)
    mixed = (
        round(255 * (a + (place - low) * (b - a)))
        for a, b in zip(rgb(GRADIENT[low]), rgb(GRADIENT[low + 1]), strict=True)
    )
    return "rgb({}, {}, {})".format(*mixed)


def luminance(colour: str) -> float:
    """Return the relative luminance, 0 to 1, of ``#rrggbb`` or ``rgb(r, g, b)``. Source: WCAG 2.2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, 1 to 21. Source: WCAG 2.2."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def text_on(background: str) -> str:
    """Return black or white, whichever reads better on the background; always at least 4.5:1."""
    return max("#000000", "#FFFFFF", key=lambda colour: contrast(colour, background))


def rgb(colour: str) -> tuple[float, float, float]:
    """Return the red, green and blue of ``#rrggbb`` or ``rgb(r, g, b)``, each 0 to 1."""
    if colour.startswith("#"):
        parts = [float(int(colour[i : i + 2], 16)) for i in (1, 3, 5)]
    else:
        parts = [float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    return parts[0] / 255, parts[1] / 255, parts[2] / 255


def faded(colour: str, alpha: float) -> str:
    """Return a ``#rrggbb`` colour with an opacity, as ``rgba(…)``."""
    red, green, blue = (round(255 * part) for part in rgb(colour))
    return f"rgba({red},{green},{blue},{alpha:g})"
