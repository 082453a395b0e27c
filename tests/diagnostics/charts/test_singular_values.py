import numpy as np
import pytest

from diagnostics.charts import singular_values
from tests.diagnostics.charts.inspections import inspection_of


def test_bands_are_quantiles_over_the_directions() -> None:
    values = np.tile(np.array([100.0, 10.0, 1.0, 0.1, 0.01]), (1, 11, 1))
    prepared = singular_values.prepare(inspection_of(singular_values=values))
    np.testing.assert_allclose(prepared.steps.log10, np.tile([[-2], [-1], [0], [1], [2]], (1, 11)))
    np.testing.assert_array_equal(prepared.steps.x, np.arange(1, 12))


def test_products_are_logarithms_already() -> None:
    values = np.tile(np.array([0.0, -100.0, -200.0, -300.0, -4000.0]), (1, 5, 1))
    prepared = singular_values.prepare(inspection_of(product_singular_values=values))
    np.testing.assert_allclose(prepared.products.log10[:, -1], [-4000, -300, -200, -100, 0])
    np.testing.assert_array_equal(prepared.products.x, [1, 2, 4, 8, 11])
    assert "least 10⁻⁴⁰⁰⁰" in singular_values.describe(prepared)


def test_exact_zeros_stand_on_a_rail_and_the_bands_go_on() -> None:
    values = np.tile(np.array([2.0, 1.0, 0.5, 0.0, 0.0]), (1, 11, 1))
    prepared = singular_values.prepare(inspection_of(singular_values=values))
    figure = singular_values.draw(prepared)
    (rail,) = (trace for trace in figure.data if trace.mode == "markers" and trace.name == "exactly 0")
    assert list(rail.x) == list(range(1, 12))
    bands = [trace for trace in figure.data if trace.fill == "toself" and trace.xaxis == "x"]
    assert len(bands) == 2
    assert min(bands[0].y) < prepared.steps.decades[0]
    names = [note.text for note in figure.layout.annotations if note.yref == "y"]
    assert names == ["median", "largest"]


def test_both_axes_show_where_nothing_changes() -> None:
    prepared = singular_values.prepare(inspection_of())
    for panel in (prepared.steps, prepared.products):
        assert panel.decades[0] < 0 < panel.decades[1]


def test_the_word_is_marked_at_its_step_and_at_its_lag() -> None:
    figure = singular_values.draw(singular_values.prepare(inspection_of()))
    notes = {note.text: note.x for note in figure.layout.annotations if "France" in note.text}
    assert notes == {"<b>France</b>": 2, "<b>France</b>, 9 back": pytest.approx(np.log10(9))}


def test_a_loss_at_the_first_step_has_no_product() -> None:
    figure = singular_values.draw(singular_values.prepare(inspection_of(T=1)))
    assert any("there is no product" in note.text for note in figure.layout.annotations)


@pytest.mark.parametrize("span", [0.001, 0.5, 3.0, 90.0, 5000.0])
def test_ticks_are_few_and_on_the_axis(span: float) -> None:
    ticks = singular_values._decade_ticks((-span, 0.2))
    values = np.array(ticks["tickvals"])
    assert 1 <= len(values) <= 9
    assert ((values >= -span) & (values <= 0.2)).all()
