from dataclasses import replace

import numpy as np
import pytest

from diagnostics.charts import learning
from diagnostics.charts.labels import text_width
from diagnostics.charts.series import INFINITE, NAN
from tests.diagnostics.charts.samples import facts_of, france_facts, powers, run_of

FACTS = facts_of(9, 6)


def curve(loss: np.ndarray, success: tuple[float, ...] = ()) -> learning.Curve:
    return learning.prepare([run_of(powers(0.9, 8, 2), facts=FACTS, loss=loss, success=success)]).curves[0]


def test_the_losses_are_those_recorded() -> None:
    loss = np.linspace(2, 0.1, 50)
    found = curve(loss, (0.5, 0.75, 1.0))
    np.testing.assert_array_equal(found.loss, loss)
    np.testing.assert_array_equal(found.step, np.arange(50))
    np.testing.assert_array_equal(found.eval_success.median, [0.5, 0.75, 1.0])
    assert found.broken == ()


def test_many_steps_become_means_of_blocks_and_the_caption_says_so() -> None:
    loss = np.random.default_rng(0).normal(2, 0.1, 1500)
    prepared = learning.prepare([run_of(powers(0.9, 8, 2), facts=FACTS, loss=loss)])
    assert len(prepared.curves[0].loss) == 500
    assert prepared.curves[0].loss[7] == pytest.approx(loss[21:24].mean())
    assert "mean of up to 3 steps" in prepared.origin.caption


@pytest.mark.parametrize(("value", "kind"), [(np.nan, NAN), (np.inf, INFINITE), (-np.inf, INFINITE)])
def test_the_first_loss_that_is_no_number_is_marked(value: float, kind: int) -> None:
    loss = np.full(30, 2.0)
    loss[20:] = value
    run = run_of(powers(0.9, 8, 2), facts=FACTS, loss=loss, state="diverged")
    prepared = learning.prepare([run])
    assert prepared.curves[0].broken == ((20, kind, ""),)
    mark = next(trace for trace in learning.draw(prepared).data if trace.yaxis == "y3")
    assert list(mark.x) == [20]


def test_the_axis_turns_logarithmic_only_for_losses_that_need_it() -> None:
    low = learning.prepare([run_of(powers(0.9, 8, 2), facts=FACTS, loss=np.array([0.7, 2.0]))])
    high = learning.prepare([run_of(powers(0.9, 8, 2), facts=FACTS, loss=np.array([0.7, 2000.0]))])
    assert (low.log_loss, high.log_loss) == (False, True)
    assert learning.draw(low).layout.yaxis.type == "linear"
    axis = learning.draw(high).layout.yaxis
    assert axis.type == "log"
    assert axis.range[0] <= np.log10(0.69)
    assert axis.range[1] >= np.log10(2000)


def test_knowing_nothing_is_drawn_once_per_distinct_value() -> None:
    france = france_facts(20)
    one = [run_of(powers(0.9, 8, 2), facts=FACTS, run_id=f"r-{i}") for i in range(3)]
    prepared = learning.prepare([*one, run_of(powers(0.9, france.loss_step, 2), facts=france)])
    assert prepared.chance_loss == (pytest.approx(np.log(2)), pytest.approx(np.log(12)))
    assert prepared.chance_success == (pytest.approx(1 / 12), 0.5)
    lines = [shape for shape in learning.draw(prepared).layout.shapes if shape.type == "line"]
    assert len(lines) == 4


def test_knowing_nothing_has_no_line_where_it_has_no_closed_form() -> None:
    facts = replace(FACTS, chance_loss=float("nan"))
    prepared = learning.prepare([run_of(powers(0.9, 8, 2), facts=facts, loss=np.full(9, 2.0), success=(0.5,))])
    figure = learning.draw(prepared)
    assert prepared.chance_loss == ()
    assert [shape.y0 for shape in figure.layout.shapes] == [0.5]
    assert not any("not a number" in note.text for note in figure.layout.annotations)


def test_before_the_first_step_it_waits() -> None:
    prepared = learning.prepare([run_of(np.empty((0, 9)), facts=FACTS, loss=np.empty(0), state="running")])
    assert "Waiting" in learning.draw(prepared).layout.annotations[0].text


@pytest.mark.parametrize(
    ("loss_name", "title"),
    [
        ("cross-entropy (nats), mean over every next word", "loss (nats)"),
        ("cross-entropy (nats)", "loss (nats)"),
        ("mean squared error", "loss, mean squared error"),
        ("a loss of somebody's own with a name that has no end", None),
        ("loss", "loss"),
    ],
)
def test_axis_titles_fit_their_panel_and_the_caption_has_the_whole_name(loss_name: str, title: str | None) -> None:
    facts = replace(FACTS, loss_name=loss_name, success_name="share of symbols recalled within a tolerance of 0.1")
    prepared = learning.prepare([run_of(powers(0.9, 8, 2), facts=facts)])
    assert title in (None, prepared.loss_title)
    for said in (prepared.loss_title, prepared.success_title):
        lines = said.split("<br>")
        assert len(lines) <= 2
        assert all(text_width(line) <= 24 for line in lines)
    assert loss_name == "loss" or f"loss: {loss_name}" in prepared.origin.caption
