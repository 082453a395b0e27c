"""A Plotly figure that is redrawn on the same node: zoom, legend choices and focus outlive every refresh.

The figure travels as bytes (typed arrays in base64, as Plotly's JSON has them) with a fingerprint; a figure that has
not changed is neither sent nor drawn again. plotly.js comes from the installed plotly package: the server hands the
file out, and the browser loads it once per page.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st
from streamlit.components.v1 import declare_component

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_HERE = Path(__file__).parent


def _plotly_assets() -> Path:
    # Found without importing plotly, which the first words of the page should not wait for.
    found = find_spec("plotly")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("plotly must be installed to draw figures: pip install -r requirements.txt")
    return Path(found.origin).parent / "package_data"


# Never mounted: a declared component is how Streamlit serves the files of a folder outside the app's own.
declare_component("plotly_js", path=str(_plotly_assets()))
_mount = st.components.v2.component(
    "live_figure",
    js=(_HERE / "live_figure.js").read_text(encoding="utf-8"),
    css=(_HERE / "live_figure.css").read_text(encoding="utf-8"),
    isolate_styles=False,  # plotly.js writes its styles into the document
)


def _library_path() -> str:
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"{'/' + base if base else ''}/component/{__name__}.plotly_js/plotly.min.js"


def encode(figure: Figure, *, title: str, label: str, filename: str, pick: bool = False) -> bytes:
    """The message that the browser draws: the figure's JSON with its accessible name and a fingerprint of it all.

    With ``pick`` the page hears where a person clicks, and where a shape that may be dragged is dropped.
    """
    drawing = figure.to_json()
    head = {"title": title, "label": label, "filename": filename, "pick": pick}
    version = hashlib.blake2b((json.dumps(head) + drawing).encode(), digest_size=12).hexdigest()
    rest = json.dumps({**head, "version": version, "library": _library_path()})
    return f'{rest[:-1]},"figure":{drawing}}}'.encode()


def live_figure(message: bytes, *, key: str, on_picked: Callable[[float, float], None] | None = None) -> None:
    """Show what ``encode`` made. The same ``key`` on the next rerun means the same node.

    ``on_picked`` is called with x and y, in the units of the axes, where the figure was encoded with ``pick``.
    """
    if on_picked is None:
        _mount(key=key, data=message)
        return

    def picked() -> None:
        place = (st.session_state.get(key) or {}).get("picked")
        if place:
            on_picked(float(place["x"]), float(place["y"]))

    _mount(key=key, data=message, on_picked_change=picked)
