"""Taking the figures and the numbers of an inspection away; everything is made on the click."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from diagnostics.charts.gallery import INSPECTION_FIGURES, InspectionFigure
from diagnostics.charts.inspected import Named
from diagnostics.charts.inspected_seeds import Seeds, bundled, members
from diagnostics.inspection import QUANTITIES
from ui import exports, look
from ui.inspect import asked, panels
from ui.words import filename


def panel(bundles: Sequence[Seeds]) -> None:
    """A figure, as it is shown: of all, or of the run that is chosen, or of its seeds; a quantity, or the whole
    inspection, of the run."""
    from diagnostics.export.inspected import inspection_json, inspection_npz, quantity_csv

    named = members(bundles)
    whole = [info for info in INSPECTION_FIGURES.values() if not panels.lacking(info, bundled(named[:1]))]
    names = {one.run_id: name for name, one in named}
    run_id = next(iter(names))
    if len(named) > 1:
        run_id = st.selectbox("Run", list(names), format_func=names.__getitem__, key="inspect-export-run")
    (mine,) = ((name, one) for name, one in named if one.run_id == run_id)
    one = mine[1]
    if whole:
        st.markdown("**A figure**")
        info = st.selectbox("Figure", whole, format_func=lambda i: i.title, key="inspect-export-figure")
        shown = _of(info, bundles, mine)
        theme, size = look.theme(), look.size()
        options = {name: int(asked.now(name)) - 1 for name in (asked.LAYER, asked.SAMPLE)}
        exports.figure_files(
            panels.file_name(info, shown),
            lambda: panels.drawing(info, shown, options, theme, size)[0],
            info.title,
            info.how_to_read,
            "inspect",
        )
    st.markdown("**A quantity** (CSV)")
    quantity = st.selectbox("Quantity", list(one), key="inspect-export-quantity")
    base = filename(f"gradreach-{names[run_id]}-step-{one.step}")
    st.caption(f"{QUANTITIES[quantity].meaning} [{', '.join(QUANTITIES[quantity].axes)}]")
    exports.button(
        "CSV", lambda: quantity_csv(one, quantity).encode(), f"{base}-{quantity}.csv", "text/csv", "inspect-csv"
    )
    st.markdown("**The whole inspection**")
    with st.container(horizontal=True, gap="small"):
        exports.button("NPZ", partial(inspection_npz, one), f"{base}.npz", "application/octet-stream", "inspect-npz")
        exports.button("JSON", partial(inspection_json, one), f"{base}.json", "application/json", "inspect-json")
    st.caption("NPZ is for NumPy: an array per quantity. JSON also says each one’s axes, unit and meaning.")


def _of(info: InspectionFigure, bundles: Sequence[Seeds], mine: Named) -> Sequence[Seeds]:
    """What the figure is of: all that are shown, the seeds that run is one of, or that run."""
    run_id = mine[1].run_id
    seeds = [bundle for bundle in bundles if info.over_seeds and run_id in (one.run_id for _, one in bundle.members)]
    wanted = bundles if info.several else seeds
    return wanted if wanted and not panels.lacking(info, wanted) else bundled([mine])
