"""What can be taken along from a stop."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from diagnostics.store import RunRow
from ui.header import export_panel
from ui.learn.results import scope
from ui.learn.stop import Stop, Values


def export(stop: Stop, values: Values, rows: Sequence[RunRow]) -> None:
    """The popover: the runs' figures, data, report and bundle."""
    if not rows:
        return
    with st.popover("Export", icon=":material/download:"):
        export_panel(rows, scope(stop))
