"""The eigenvalues of W_hh in the complex plane with the unit circle, each gate's block in a plane of its own."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from diagnostics.charts.frame import Frame, Origin, SizeName, frame, new_figure, waiting
from diagnostics.charts.inspected import check_layer, lacking, origin_of
from diagnostics.charts.labels import plain, spoken
from diagnostics.charts.palette import ThemeName
from diagnostics.inspection import GATE_TITLES, Inspection
from diagnostics.measures.numbers import number
from diagnostics.records import Array

TITLE = "Eigenvalues of the recurrent weights"
NEEDS = ("eigenvalues",)
_COLUMNS = 2
_PLANE_PX, _ALONE_PX = 270, 400
_WORDS_PX, _SPACE_PX = 58, 108
_HUGE = 1000
"""From this reach on, an axis has three ticks: more of so long numbers would not stand beside one another."""


class Plane(NamedTuple):
    """The eigenvalues of one block, largest modulus first."""

    name: str
    real: Array
    imaginary: Array
    radius: float
    outside: int
    """How many lie outside the unit circle."""
    missing: int
    """How many are not finite numbers."""


class Prepared(NamedTuple):
    """A plane for each gate's block; one for a simple cell."""

    origin: Origin
    planes: tuple[Plane, ...]
    reach: float
    """Half the width of every plane."""
    gated: bool
    nothing: str


def prepare(inspection: Inspection, layer: int = 0) -> Prepared:
    """Take one layer's eigenvalues; raise ``ValueError`` where there is no such layer."""
    check_layer(inspection, layer)
    lack = lacking(inspection, NEEDS)
    planes = (
        ()
        if lack
        else tuple(
            _plane(GATE_TITLES[name] if inspection.kind != "rnn" else "W<sub>hh</sub>", values)
            for name, values in zip(inspection.gate_names, inspection["eigenvalues"][layer], strict=True)
        )
    )
    gated = inspection.kind != "rnn"
    about = (
        "blocks of W_hh, one for each gate: none of them alone is the step's Jacobian"
        if gated
        else "W_hh: for a linear network, what each step multiplies a state by"
    )
    origin = origin_of(
        "eigenvalues",
        [inspection],
        f"Eigenvalues of {about}",
        layer,
        of_probe=False,
        unit="factor",
        reduction="none",
        clip="not a gradient",
    )
    reach = 1.12 * max([1.0, *(plane.radius for plane in planes if math.isfinite(plane.radius))])
    return Prepared(origin, planes, reach, gated, lack)


def _plane(name: str, values: Array) -> Plane:
    finite = np.isfinite(values).all(axis=1)
    sizes = np.hypot(values[finite, 0], values[finite, 1])
    return Plane(
        name,
        values[finite, 0],
        values[finite, 1],
        float(sizes.max()) if sizes.size else math.nan,
        int((sizes > 1).sum()),
        int((~finite).sum()),
    )


def describe(prepared: Prepared) -> str:
    """Say what the figure shows, for those who cannot see it."""
    if prepared.nothing:
        return spoken([TITLE, prepared.nothing])
    return spoken(
        [
            TITLE,
            prepared.origin.caption,
            *(plain(f"{p.name}: {_words(p)}".replace("<br>", " ")) for p in prepared.planes),
        ]
    )


def _words(plane: Plane) -> str:
    if plane.missing:
        return "the weights hold numbers that are not finite"
    outside = f"{plane.outside} of {len(plane.real)} outside the circle"
    return f"spectral radius {number(plane.radius, 3)},<br>{outside}"


def draw(prepared: Prepared, *, theme: ThemeName = "light", size: SizeName = "page") -> go.Figure:
    """Draw square planes of one scale, two beside one another where there are gates."""
    look = frame(theme, size)
    if prepared.nothing:
        return waiting(look, prepared.origin, TITLE, prepared.nothing)
    n = len(prepared.planes)
    columns = min(n, _COLUMNS)
    rows = -(-n // columns)
    # A plane is square, and larger text makes no figure wider.
    one_px = (_ALONE_PX if n == 1 else _PLANE_PX) / look.size.scale**0.5
    plot_px = rows * one_px + (rows - 1) * _SPACE_PX
    figure = new_figure(look, prepared.origin, TITLE, plot_px, above_px=_WORDS_PX)
    for i, plane in enumerate(prepared.planes):
        row, column = divmod(i, columns)
        top = 1 - row * (one_px + _SPACE_PX) / plot_px
        wide = (1 - 0.12 * (columns - 1)) / columns
        left = column * (wide + 0.12)
        places = (left, left + wide), (max(top - one_px / plot_px, 0.0), top)
        below = i + columns >= n
        _draw_plane(figure, look, plane, str(i + 1) if i else "", places, prepared.reach, column == 0, below)
    return figure


def _ticks(reach: float) -> dict[str, object]:
    """Return the ticks of both axes; what is huge is written as people write it, and stands level."""
    if reach < _HUGE:
        return {"nticks": 6, "tickangle": 0}
    end = 10.0 ** math.floor(math.log10(reach))
    end *= math.floor(reach / end)
    return {"tickvals": [-end, 0, end], "ticktext": [number(-end), "0", number(end)], "tickangle": 0}


def _draw_plane(
    figure: go.Figure,
    look: Frame,
    plane: Plane,
    axis: str,
    places: tuple[tuple[float, float], tuple[float, float]],
    reach: float,
    first: bool,
    below: bool,
) -> None:
    across, up = places
    ticks = {"range": [-reach, reach], "zeroline": True, "zerolinecolor": look.theme.grid, **_ticks(reach)}
    figure.update_layout(
        {
            f"xaxis{axis}": {
                "domain": list(across),
                "anchor": f"y{axis}",
                "constrain": "domain",
                "title": {"text": "real part" if below else ""},
                **ticks,
            },
            f"yaxis{axis}": {
                "domain": list(up),
                "anchor": f"x{axis}",
                "scaleanchor": f"x{axis}",
                "constrain": "domain",
                "title": {"text": "imaginary part" if first else ""},
                **ticks,
            },
        }
    )
    figure.add_shape(
        type="circle",
        x0=-1,
        y0=-1,
        x1=1,
        y1=1,
        xref=f"x{axis}",
        yref=f"y{axis}",
        line={"color": look.theme.mark, "width": look.size.thin, "dash": "dot"},
    )
    sizes = np.hypot(plane.real, plane.imaginary)
    for outside, symbol, colour in ((False, "circle", 0), (True, "diamond", 1)):
        chosen = (sizes > 1) == outside
        figure.add_scatter(
            x=plane.real[chosen],
            y=plane.imaginary[chosen],
            xaxis=f"x{axis}",
            yaxis=f"y{axis}",
            mode="markers",
            marker={
                "symbol": symbol,
                "size": 0.8 * look.size.marker,
                "color": look.theme.lines[colour],
                "opacity": 0.8,
                "line": {"width": 0.5, "color": look.theme.plot},
            },
            name="outside the unit circle" if outside else "inside",
            showlegend=False,
            customdata=np.stack([sizes[chosen], np.degrees(np.arctan2(plane.imaginary, plane.real))[chosen]], axis=1),
            hovertemplate=(
                "%{x:.3f} %{y:+.3f} i<br>modulus %{customdata[0]:.3f}, angle %{customdata[1]:.0f}°<extra></extra>"
            ),
        )
    figure.add_annotation(
        text=f"<b>{plane.name}</b><br>{_words(plane)}",
        x=0.5,
        xref=f"x{axis} domain",
        xanchor="center",
        y=1,
        yref=f"y{axis} domain",
        yanchor="bottom",
        yshift=look.px(4),
    )
