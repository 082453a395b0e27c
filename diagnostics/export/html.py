"""A figure as one HTML file that works offline: plotly.js inside, nothing fetched, nothing sent."""

from __future__ import annotations

from typing import Any

from diagnostics.export.figures import figure_json
from diagnostics.export.page import document, escape, plot

HEIGHT_PX = 560
"""Height of a figure whose layout names none."""


def figure_html(figure: Any, title: str, *, note: str = "") -> str:
    """One page with one figure.

    ``figure`` is a plotly figure; ``title`` becomes the page's title and the figure's accessible name; ``note`` is
    shown below (how to read it). About 5 MB, nearly all of it plotly.js.
    """
    height = getattr(figure.layout, "height", None) or HEIGHT_PX
    below = f'<p class="quiet">{escape(note)}</p>' if note else ""
    body = f'<main class="card">\n<h1>{escape(title)}</h1>\n{plot("figure", title, int(height))}\n{below}\n</main>'
    return document(title, body, {"figure": figure_json(figure)})
