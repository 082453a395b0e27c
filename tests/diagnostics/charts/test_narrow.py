"""What the narrowest figure has room for: that beside the controls in a window of 1024, at either size of text."""

from itertools import pairwise
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from diagnostics.charts import cliff, eigenvalues, itemised, lyapunov, parameters, states, theory, timescales
from diagnostics.charts.back_lines import BackLine, BackLines, Mark, draw_back, labels_and_styles
from diagnostics.charts.frame import NARROW_PX, SIZES, Origin, frame, legend_rows, new_figure
from diagnostics.charts.labels import plain, text_width
from tests.diagnostics.charts.inspections import inspection_of

BOTH = pytest.mark.parametrize("size", list(SIZES))
FOUND = inspection_of("lstm", T=30, H=32)


def drawn(name: str, size: Any) -> go.Figure:
    if name.startswith("cliff"):
        found = cliff.prepare(5.0, -2.2, step_size=0.5, threshold=0.1, T=20, updates=20)
        return (cliff.draw_surface if name == "cliff surface" else cliff.draw)(found, size=size)
    if name == "theory":
        return theory.draw(theory.prepare([("LSTM", FOUND), ("tanh", inspection_of("tanh", T=30))]), size=size)
    chart: Any = {"eigenvalues": eigenvalues, "lyapunov": lyapunov, "states": states, "timescales": timescales}[name]
    return chart.draw(chart.prepare(FOUND), size=size)


def widest(text: str, font_px: float) -> float:
    """About how wide a text is, in pixels; as ``frame`` reckons it."""
    return max(text_width(plain(line)) for line in text.split("<br>")) * 0.5 * font_px


@BOTH
@pytest.mark.parametrize(
    "name", ["cliff", "cliff surface", "theory", "eigenvalues", "lyapunov", "states", "timescales"]
)
def test_title_caption_and_words_above_fit_into_the_narrowest_figure(name: str, size: Any) -> None:
    figure, small = drawn(name, size), SIZES[size].small
    assert widest(figure.layout.title.text, figure.layout.title.font.size) <= NARROW_PX - 20
    assert widest(figure.layout.title.subtitle.text, small) <= NARROW_PX - 20
    room = NARROW_PX - figure.layout.margin.l - figure.layout.margin.r
    above = [note for note in figure.layout.annotations if note.xanchor == "left" and note.x == 0]
    for note in above:
        assert widest(note.text, note.font.size or small) <= max(room, NARROW_PX - figure.layout.margin.l)


def test_larger_text_does_not_make_the_window_wider() -> None:
    entries = ["tanh · clip norm 1"] * 6
    assert legend_rows(frame("light", "projector"), entries) > legend_rows(frame("light", "page"), entries)
    figure = new_figure(
        frame("light", "projector"),
        Origin("x", (), "word " * 60, {}),
        "How much of the gradient is left when they are all added",
        100,
    )
    assert SIZES["projector"].small <= figure.layout.title.font.size < SIZES["projector"].title
    assert figure.layout.title.subtitle.text.count("<br>") >= 4


def test_the_words_of_two_planes_side_by_side_do_not_touch() -> None:
    figure = eigenvalues.draw(eigenvalues.prepare(FOUND), size="projector")
    room = NARROW_PX - figure.layout.margin.l - figure.layout.margin.r
    left, right = figure.layout.xaxis.domain, figure.layout.xaxis2.domain
    apart = room * (sum(right) / 2 - sum(left) / 2)
    assert all(widest(note.text, SIZES["projector"].small) < apart for note in figure.layout.annotations)


@pytest.mark.parametrize("radius", [3.0, 600.0, 999.0, 4.2e3, 7.7e7, 3e300])
def test_the_ticks_of_eigenvalues_stand_level_and_few_where_they_are_long(radius: float) -> None:
    figure = eigenvalues.draw(eigenvalues.prepare(inspection_of(eigenvalues=np.full((1, 1, 5, 2), radius))))
    for axis in (figure.layout.xaxis, figure.layout.yaxis):
        assert axis.tickangle == 0
        if radius < 620:
            assert axis.ticktext is None
            continue
        low, middle, high = axis.tickvals
        assert (low, middle) == (-high, 0)
        assert 0.45 * axis.range[1] < high <= axis.range[1]
        assert all(len(text) <= 8 for text in axis.ticktext)


def test_the_colour_bar_of_large_text_has_no_two_labels_that_touch() -> None:
    answers = np.array([3, 9])
    rows = np.where(np.arange(12) <= answers[:, None], 0.5, np.nan)
    found = inspection_of(itemised=rows[None], answer_steps=answers)
    for size in SIZES:
        bar = itemised.draw(itemised.prepare(found), size=size).layout.coloraxis.colorbar
        assert bar.tickangle == 0
        room = (NARROW_PX - 1.5 * 100) * bar.len / (len(bar.tickvals) - 1)
        halves = [widest(text, SIZES[size].small) / 2 for text in bar.ticktext]
        assert all(a + b < room for a, b in pairwise(halves))


@BOTH
def test_the_figures_of_the_tensors_have_a_place_of_their_own(size: Any) -> None:
    counts = np.ones((2, 4), dtype=np.int64)
    found = inspection_of(
        parameter_names=np.array(["recurrent.layers.0.weight_hh", "head.bias"]),
        **{name: np.ones(2) for name in ("parameter_norm", "parameter_grad_norm")},
        **{name: np.zeros(2, dtype=np.int64) for name in ("grad_nan", "grad_inf", "grad_zero")},
        grad_histogram=counts,
        bin_edges_log10=np.linspace(-4, 0, 5),
    )
    layout = parameters.draw(parameters.prepare(found), size=size).layout
    across = layout.xaxis.domain[1] < layout.xaxis2.domain[0]
    beneath = layout.yaxis2.domain[1] < layout.yaxis.domain[0]
    assert (across, beneath) == ((True, False) if size == "page" else (False, True))
    column = (layout.xaxis2.domain[1] - layout.xaxis2.domain[0]) * (NARROW_PX - layout.margin.l - layout.margin.r) / 6
    assert column > widest("5.3·10⁻⁴", 11)


@BOTH
def test_the_scene_of_the_cliff_is_wider_than_high(size: Any) -> None:
    layout = drawn("cliff surface", size).layout
    high = layout.height - layout.margin.t - layout.margin.b
    assert (NARROW_PX - layout.margin.l - layout.margin.r) / high > 1.25


def test_a_word_at_the_far_end_stands_beside_the_axis_and_not_over_its_ticks() -> None:
    ends = Mark("near", 1), Mark("far", 29)
    line = BackLine("a", labels_and_styles([("a", FOUND)])[0][1], np.geomspace(1, 1e-6, 30))
    prepared = BackLines(Origin("x", (), "", {}), (line,), ends, "")
    figure = draw_back(prepared, "t", theme="light", size="projector", y_title="", hover="")
    assert [note.xanchor for note in figure.layout.annotations] == ["center", "left"]


def test_a_factor_does_not_part_from_its_sign() -> None:
    figure = theory.draw(theory.prepare([("tanh", inspection_of("tanh", T=30))]), size="projector")
    lines = [line for note in figure.layout.annotations for line in note.text.split("<br>")]
    assert any("Off by" in line for line in lines)
    assert not any(line.endswith("×") for line in lines)
