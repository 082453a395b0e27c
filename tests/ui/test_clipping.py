"""The page Clipping without a browser."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from diagnostics.records import Records
from diagnostics.store import Store
from experiments.spec import RunSpec
from tests.diagnostics.charts.samples import story
from tests.ui.conftest import Open, words, write
from ui.clipping.cliff import _growth

Told = tuple[str, list[str]]


@pytest.fixture
def clipping(open_app: Open):
    """Open the page with these query parameters."""

    def opened(**params: str) -> AppTest:
        app = open_app()
        app.switch_page("ui/pages/clipping.py")
        for name, value in params.items():
            app.query_params[name] = value
        app.run()
        assert not app.exception, app.exception
        return app

    return opened


def state(app: AppTest, name: str) -> object:
    return app.session_state[f"clipping-{name}"]


def test_without_runs_it_shows_the_example_and_the_way_to_the_lab(clipping) -> None:
    app = clipping()
    said = words(app)
    assert "No runs are stored yet" in said
    assert "steps clipped" in said
    assert not app.warning
    said = words(clipping(rule="value"))
    assert "cosine, raw and cut" in said
    assert "not known" not in said


def test_the_newest_comparison_is_chosen_and_the_slider_answers(clipping, told: Told) -> None:
    app = clipping()
    assert app.session_state["clipping-runs"] == told[1]
    assert words(app).count('<th scope="row">') == 4
    before = words(app)
    app.select_slider(key="clipping-norm").set_value(2.0).run()
    assert not app.exception
    assert words(app) != before
    assert app.query_params["norm"] == "2"


def test_the_numbers_are_those_of_the_run(clipping, told: Told) -> None:
    norms = story(count=20)[0].records["grad_norm_pre"]
    app = clipping(runs=told[1][0], norm="2")
    clipped = int((norms + 1e-6 > 2.0).sum())
    assert f"({clipped} of {len(norms)})" in words(app)


def test_a_suggestion_sets_the_slider(clipping, told: Told) -> None:
    app = clipping(runs=told[1][1])
    app.button(key=f"suggest-{told[1][1]}-90").click().run()
    norms = story(count=20)[1].records["grad_norm_pre"]
    assert app.select_slider(key="clipping-norm").value == float(f"{np.percentile(norms, 90):.1e}")
    assert not app.exception


def test_by_value_is_asked_from_the_address_at_the_nearest_edge(clipping, told: Told) -> None:
    app = clipping(runs=told[1][0], rule="value", value="0.011")
    assert app.select_slider(key="clipping-value").value == 0.01
    assert "cosine, raw and cut" in words(app)


def test_an_old_run_says_what_it_lacks_and_by_norm_works(clipping, store: Store) -> None:
    run = story(count=4)[0]
    old = replace(run, records=Records({k: v for k, v in run.records.items() if k != "grad_sizes"}))
    _, (run_id,) = store.create([RunSpec.make(cell="tanh", gap=40, steps=500).to_json()], ["old"])
    write(store, run_id, old)
    app = clipping(rule="value")
    assert "recorded without the sizes of the gradient's entries" in words(app).replace("\\", "").replace("&#x27;", "'")
    assert "steps clipped" not in words(app)
    app.session_state["clipping-rule"] = "norm"
    app.run()
    assert "steps clipped" in words(app)


def test_an_address_that_makes_no_sense_is_said(clipping, told: Told) -> None:
    app = clipping(view="nonsense", norm="-3", length="7.5", runs="r-nothing")
    said = " ".join(warning.value for warning in app.warning).replace("\\", "")
    assert "view must be one of what-if, sweep, cliff, but got 'nonsense'" in said
    assert "norm must be a number from 1e-12 to 1e+12, but got '-3'" in said
    assert "length must be a whole number from 1 to 100, but got '7.5'" in said
    assert "runs must name stored runs, but got 'r-nothing'" in said


def test_training_with_a_threshold_leads_to_the_lab_with_both(clipping, told: Told) -> None:
    app = clipping(runs=",".join(told[1][:2]), norm="0.5")
    app.button(key="train-with-it").click().run()
    assert not app.exception
    settings = app.session_state["settings"]
    assert settings.axes["clip"] == ("norm:1.0", "norm:0.5")
    assert settings.axes["cell"] == ("tanh", "relu")


def test_more_runs_than_can_be_shown_are_said_and_each_is_chosen_once(clipping, store: Store, told: Told) -> None:
    app = clipping(runs=",".join([told[1][0]] * 30))
    assert app.session_state["clipping-runs"] == [told[1][0]]
    assert not app.warning
    specs = [RunSpec.make(cell="tanh", seed=seed).to_json() for seed in range(13)]
    _, many = store.create(specs, [f"run {seed}" for seed in range(13)], "many")
    app = clipping(runs=",".join(many))
    assert app.session_state["clipping-runs"] == many[:12]
    assert "at most 12 runs, but got 13; the first 12 are shown" in app.warning[0].value


def test_the_cliff_is_computed_from_the_address(clipping) -> None:
    app = clipping(view="cliff", w="4", b="-1", threshold="0.005")
    said = words(app).replace("\\", "")
    assert "there is no wall" in said
    assert "60 of 60 updates clipped" in said
    app.button(key="cliff-Thrown off the wall").click().run()
    assert (state(app, "w"), state(app, "b")) == (5.0, -2.2)
    assert "longest update 2.6" in words(app).replace("\\", "")
    assert "w" not in app.query_params


@pytest.mark.parametrize(
    ("w", "wanted"),
    [
        ("5", "a wall stands: there each step multiplies a change of the state by 1.18, 50 steps by 3200."),
        (
            "4.2",
            "no wall stands: where one would, each step multiplies a change of the state by 0.987; at other states by "
            "up to 1.05 in size.",
        ),
        ("-3.9", "there is no wall: no step multiplies a change of the state by more than 0.975."),
        ("-20", "a wall stands: there each step multiplies a change of the state by −4.7, 50 steps by 4·10³³."),
    ],
)
def test_what_is_said_of_the_wall_is_true(w: str, wanted: str) -> None:
    assert wanted in _growth(float(w), 50)


def test_numbers_of_the_cliff_are_kept_over_a_look_at_another_page(clipping) -> None:
    app = clipping(view="cliff")
    app.number_input(key="clipping-w").set_value(6.0).run()
    assert app.query_params["w"] == "6"
    app.switch_page("ui/pages/runs.py").run()
    app.switch_page("ui/pages/clipping.py").run()
    assert (state(app, "view"), state(app, "w")) == ("cliff", 6.0)


def test_runs_that_have_not_begun_or_cannot_be_read_are_said(clipping, store: Store, told: Told) -> None:
    spec = RunSpec.make(cell="gru", gap=40, steps=500).to_json()
    _, (queued,) = store.create([spec], ["still queued"])
    assert "Waiting for the first training step" in words(clipping(runs=queued))
    (store.path / "runs" / f"{told[1][0]}.sqlite").write_bytes(b"nothing")
    app = clipping(runs=told[1][0])
    assert any("cannot be shown" in error.value for error in app.error)


def test_an_event_is_said_above_the_answers(clipping, told: Told) -> None:
    said = words(clipping(runs=told[1][0]))
    assert "engaged on" in said
    assert "of the steps: most updates" in said
