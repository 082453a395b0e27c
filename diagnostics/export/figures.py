"""A figure made ready to leave the page: its own template, and JSON that can stand inside an HTML page."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import plotly.io as pio

_PLOTLYS_OWN = frozenset(
    {"plotly", "plotly_white", "plotly_dark", "ggplot2", "seaborn", "simple_white", "presentation"}
)


def own_template(figure: Any) -> Any:
    """``figure``, or a copy of it, that looks the same everywhere; the figure itself is never changed.

    Importing streamlit makes a template with placeholder colours plotly's default, with which an exported figure
    comes out black. A figure that carries that default (because it named none) gets ``plotly_white`` instead.
    """
    default = pio.templates.default
    if default is None or default in _PLOTLYS_OWN or figure.layout.template != pio.templates[default]:
        return figure
    return go.Figure(figure).update_layout(template="plotly_white")


def figure_json(figure: Any) -> str:
    """The figure as plotly's JSON (numpy arrays as typed base64), with a template of its own."""
    text: str = pio.to_json(own_template(figure), validate=False, remove_uids=False)
    return text


def script_safe(json_text: str) -> str:
    """JSON text that can stand inside a ``<script>`` element: nothing in it can close the element or open a comment."""
    return json_text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
