"""The frame around every page: title, navigation, style."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from ui import look

LAB = "ui/pages/lab.py"
LEARN = "ui/pages/learn.py"
INSPECT = "ui/pages/inspect.py"
RUNS = "ui/pages/runs.py"
CLIPPING = "ui/pages/clipping.py"
ICON = Path(__file__).parent / "icon.svg"
"""A file of our own: an icon by name would be fetched from the network."""


def main() -> None:
    """Set the page up and run the page that was chosen."""
    st.set_page_config(page_title="gradreach", page_icon=str(ICON), layout="wide")
    page = st.navigation(
        [
            st.Page(LAB, title="Lab", icon=":material/science:", default=True),
            st.Page(LEARN, title="Learn", icon=":material/school:", url_path="learn"),
            st.Page(INSPECT, title="Inspect", icon=":material/search:", url_path="inspect"),
            st.Page(CLIPPING, title="Clipping", icon=":material/content_cut:", url_path="clipping"),
            st.Page(RUNS, title="Runs", icon=":material/list_alt:", url_path="runs"),
        ],
        position="top",
    )
    look.dress()
    page.run()
