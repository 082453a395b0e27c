import numpy as np
import pytest

from diagnostics.charts import theory
from diagnostics.charts.spread import spread
from diagnostics.measures.numbers import number
from tests.diagnostics.charts.inspections import inspection_of


def test_the_profile_is_the_ratio_of_medians_by_lag() -> None:
    (panel,) = theory.prepare([("tanh", inspection_of())]).panels
    np.testing.assert_allclose(panel.measured, 0.7 ** np.arange(12), rtol=1e-12)
    np.testing.assert_allclose(panel.gradient, 0.2 * 0.7 ** np.arange(12), rtol=1e-12)
    assert (panel.word, panel.distance) == ("France", 9)


def test_each_line_is_its_factor_to_the_power_of_the_lag() -> None:
    (panel,) = theory.prepare([("sigmoid", inspection_of("sigmoid"))]).panels
    factors = {line.key: line.factor for line in panel.lines}
    assert factors == {
        "bound": pytest.approx(0.25 * 1.2),
        "radius": pytest.approx(0.9),
        "decay": pytest.approx(0.7),
        "lyapunov": pytest.approx(np.exp(-0.2)),
    }
    for line in panel.lines:
        np.testing.assert_allclose(10**line.log10, line.factor ** np.arange(12), rtol=1e-12)


@pytest.mark.parametrize(("cell", "said"), [("gru", "z (of h) passes"), ("lstm", "f (of c) passes")])
def test_gated_cells_have_no_bound_and_it_is_said_why(cell: str, said: str) -> None:
    prepared = theory.prepare([(cell, inspection_of(cell))])
    (panel,) = prepared.panels
    assert [line.key for line in panel.lines] == ["decay", "lyapunov"]
    assert "No bound of the form" in panel.sentence
    assert said in panel.sentence
    texts = " ".join(note.text.replace("<br>", " ") for note in theory.draw(prepared).layout.annotations)
    assert "No bound of the form" in texts


def test_it_says_on_which_side_of_one_the_bound_stands() -> None:
    above = theory.prepare([("tanh", inspection_of())]).panels[0]
    below = theory.prepare([("sigmoid", inspection_of("sigmoid"))]).panels[0]
    assert "1.2 is not below 1" in above.sentence
    assert "must vanish" in below.sentence


def test_it_says_by_what_factor_each_line_is_off_the_closest_first() -> None:
    (panel,) = theory.prepare([("tanh", inspection_of())]).panels
    off = {"Lyapunov": (np.exp(-0.2) / 0.7) ** 9, "spectral radius": (0.9 / 0.7) ** 9, "bound": (1.2 / 0.7) ** 9}
    told = ", ".join(f"{name} × {number(value)}" for name, value in off.items())
    said = theory._truth(panel).replace("\N{NO-BREAK SPACE}", " ")
    assert said == f"9 steps back the measured ratio is 0.04. Off by: fitted decay × 1, {told}."
    dead = theory.prepare([("tanh", inspection_of(state_grad=np.zeros((1, 12, 3))))]).panels[0]
    assert theory._truth(dead) == ""


def test_below_the_top_layer_it_says_what_the_lines_leave_out() -> None:
    two = inspection_of(L=2)
    below, top = (theory.prepare([("tanh", two)], layer=layer).panels[0].sentence for layer in (0, 1))
    assert "comes back through the layers above" in below
    assert "layers above" not in top


def test_every_line_is_named_at_its_end() -> None:
    figure = theory.draw(theory.prepare([("tanh", inspection_of())]))
    texts = " ".join(note.text for note in figure.layout.annotations)
    for name in ("bound", "spectral radius", "fitted decay", "Lyapunov", "measured", "France"):
        assert name in texts
    assert not any(trace.showlegend for trace in figure.data)


def test_names_of_lines_that_leave_the_axis_say_so() -> None:
    steep = inspection_of(T=60, sigma_max=np.array([9.0]), spectral_radius=np.array([1e-9]))
    figure = theory.draw(theory.prepare([("tanh", steep)]))
    texts = [note.text for note in figure.layout.annotations]
    assert any(text.startswith("▲ bound") for text in texts)
    assert any(text.startswith("▼ spectral") for text in texts)


def test_the_measured_profile_is_always_whole_on_the_axis() -> None:
    prepared = theory.prepare([("tanh", inspection_of(T=200))])
    low, high = prepared.decades
    measured = np.log10(prepared.panels[0].measured)
    assert low <= measured.min()
    assert measured.max() <= high


def test_what_a_log_axis_cannot_show_stands_on_rails() -> None:
    grad = np.tile(0.9 ** np.arange(11, -1, -1.0)[:, None], (1, 1, 3))
    grad[0, 3], grad[0, 5], grad[0, 6:8] = 0.0, np.inf, np.nan  # by lag: 8, 6 and 5, 4
    figure = theory.draw(theory.prepare([("tanh", inspection_of(state_grad=grad))]))
    rails = {trace.name: [int(x) for x in trace.x] for trace in figure.data if trace.mode == "markers"}
    assert rails == {"exactly 0": [8], "infinite": [6], "not a number": [4, 5]}
    (curve,) = (trace for trace in figure.data if trace.name == "measured")
    assert sorted([*np.flatnonzero(np.isfinite(curve.y)).tolist(), 4, 5, 6, 8]) == list(range(12))


def test_several_share_their_axes() -> None:
    named = [("tanh", inspection_of()), ("GRU", inspection_of("gru", T=20)), ("LSTM", inspection_of("lstm"))]
    layout = theory.draw(theory.prepare(named)).layout
    assert layout.yaxis.range == layout.yaxis2.range == layout.yaxis3.range
    assert layout.xaxis.range == layout.xaxis2.range == layout.xaxis3.range
    with pytest.raises(ValueError, match="inspections must be at most 6 to be told apart, but got 7"):
        theory.prepare([("x", inspection_of())] * 7)


def test_without_an_inspection_it_says_what_to_do() -> None:
    assert "choose one" in theory.draw(theory.prepare([])).layout.annotations[0].text


def test_it_is_said_in_words() -> None:
    said = theory.describe(theory.prepare([("tanh", inspection_of())]))
    assert "9 steps back the measured ratio is 0.04" in said
    assert "bound (γσmax)^k says 5.2" in said
    assert "fitted decay β^k says 0.04" in said
    assert "<" not in said


@pytest.mark.parametrize("seed", range(10))
def test_names_are_kept_apart(seed: int) -> None:
    rng = np.random.default_rng(seed)
    wanted = np.sort(rng.uniform(0, 10, 5)).tolist()
    found = spread(wanted, 1.0, 0.0, 10.0)
    assert (np.diff(found) >= 1.0 - 1e-12).all()
    assert min(found) >= 0
    assert max(found) <= 10
    assert spread([1.0, 5.0, 9.0], 1.0, 0.0, 10.0) == [1.0, 5.0, 9.0]
