import json
import subprocess
import sys

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
import pytest

from diagnostics.charts.inspection_gallery import INSPECTION_FIGURES, InspectionFigure
from diagnostics.inspection import QUANTITIES, SECTIONS, Inspection
from tests.diagnostics.charts.inspections import KINDS, inspection_of

OWN = ("theory", "singular_values", "eigenvalues", "lyapunov", "states", "timescales")
"""The figures whose quantities the sample inspections of these tests hold."""
ALL = pytest.mark.parametrize("figure", [INSPECTION_FIGURES[key] for key in OWN], ids=OWN)
NORMS = np.array([0.0, np.inf, np.nan, 1e-300, 1e300, 5e-324])
SIGNED = np.array([0.0, np.inf, -np.inf, np.nan])
SHARES = np.array([0.0, 1.0, np.nan])
ODD_OF = {
    **dict.fromkeys(("h", "c", "lyapunov", "product_singular_values", "eigenvalues"), SIGNED),
    **dict.fromkeys(("gates", "saturated", "dead", "never_on"), SHARES),
}
"""What may go wrong in a quantity; one that is not named is a norm."""


def drawn(figure: InspectionFigure, inspection: Inspection, **how: str) -> go.Figure:
    return figure.draw(figure.prepared([("<b>it</b> & co", inspection)]), **how)


def test_the_table_is_whole() -> None:
    for key, figure in INSPECTION_FIGURES.items():
        assert figure.key == key
        assert figure.section in SECTIONS
        assert set(figure.needs) <= set(QUANTITIES)
        assert set(figure.options) <= {"layer", "sample"}
        assert 2 <= figure.how_to_read.count(". ") + 1 <= 4
        assert figure.title


@ALL
@pytest.mark.parametrize("cell", KINDS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_figure_draws_every_cell_with_its_own_template(figure: InspectionFigure, cell: str, theme: str) -> None:
    before = pio.templates.default
    try:
        pio.templates.default = "ggplot2"  # what a surrounding program sets must not show
        found = drawn(figure, inspection_of(cell), theme=theme, size="projector")
    finally:
        pio.templates.default = before
    layout = found.layout.template.layout
    assert layout.paper_bgcolor == {"light": "#FFFFFF", "dark": "#0E1117"}[theme]
    assert layout.font.size == 20
    assert found.layout.height > found.layout.margin.t + found.layout.margin.b
    json.loads(found.to_json())


@ALL
def test_every_figure_says_where_its_numbers_come_from(figure: InspectionFigure) -> None:
    inspection = inspection_of("lstm", L=2)
    prepared = figure.prepared([("LSTM", inspection)], layer=1, sample=2)
    meta = figure.draw(prepared).layout.meta
    assert meta["figure"] == figure.key
    assert meta["runs"] == ["r-lstm"]
    assert meta["training_steps"] == {"r-lstm": 40}
    assert meta["layer"] == 1
    assert {"unit", "reduction", "clip"} <= set(meta)
    assert "after 40 updates" in meta["caption"]
    assert "layer 2 of 2" in meta["caption"]
    assert figure.accessible_name(prepared).startswith(figure.title.rstrip("?"))


@ALL
def test_what_was_not_asked_for_is_said_and_not_drawn(figure: InspectionFigure) -> None:
    bare = inspection_of("gru", **dict.fromkeys(figure.needs))
    prepared = figure.prepared([("GRU", bare)])
    found = figure.draw(prepared)
    assert not found.data
    assert "This inspection holds no “" in found.layout.annotations[0].text.replace("<br>", " ")
    assert figure.accessible_name(prepared)


@ALL
def test_layers_that_are_not_there_are_refused(figure: InspectionFigure) -> None:
    with pytest.raises(ValueError, match="layer must be from 0 to 0, but got 1"):
        figure.prepared([("it", inspection_of())], layer=1)


@ALL
@pytest.mark.parametrize("seed", range(6))
def test_anything_can_be_drawn(figure: InspectionFigure, seed: int) -> None:
    rng = np.random.default_rng(seed)
    cell = list(KINDS)[seed]
    T, H = int(rng.integers(1, 500)), int(rng.integers(1, 9))
    plain = inspection_of(cell, T=T, B=int(rng.integers(1, 4)), H=H, seed=seed)
    wild = {}
    for name, values in plain.arrays.items():
        if values.dtype.kind == "f":
            odd = rng.choice(ODD_OF.get(name, NORMS), values.shape).astype(values.dtype)
            wild[name] = np.where(rng.random(values.shape) < 0.3, odd, values)
    inspection = inspection_of(cell, T=T, B=plain.samples, H=H, seed=seed, **wild)
    prepared = figure.prepared([("it", inspection)])
    json.loads(figure.draw(prepared).to_json())
    assert figure.accessible_name(prepared)


@ALL
def test_nothing_but_not_a_number_can_be_drawn(figure: InspectionFigure) -> None:
    plain = inspection_of("lstm")
    lost = {k: np.full_like(v, np.nan) for k, v in plain.arrays.items() if v.dtype.kind == "f"}
    prepared = figure.prepared([("it", inspection_of("lstm", **lost))])
    json.loads(figure.draw(prepared).to_json())
    assert figure.accessible_name(prepared)


@ALL
def test_markup_in_names_and_words_is_shown_as_it_is(figure: InspectionFigure) -> None:
    two = [("<i>one</i>", inspection_of("lstm")), ("<i>two</i>", inspection_of("gru"))]
    found = figure.draw(figure.prepared(two)).to_json()
    assert "<i>" not in found
    assert "w0<b>" not in found


def test_figures_need_neither_torch_nor_streamlit() -> None:
    code = (
        "import sys, diagnostics.charts.inspection_gallery; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'streamlit', 'pandas')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
