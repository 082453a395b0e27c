"""The threshold sweep on the Clipping page, without workers."""

from __future__ import annotations

import numpy as np
import pytest

from diagnostics.store import Store
from experiments.spec import RunSpec
from experiments.sweep import PRESETS
from tests.diagnostics.charts.samples import facts_of, powers, run_of
from tests.ui.conftest import Open, words, write

PAGE = "ui/pages/clipping.py"


def opened(open_app: Open, **params: str):
    app = open_app(PAGE)
    if params:
        for name, value in params.items():
            app.query_params[name] = value
    app.session_state["clipping-view"] = "sweep"
    app.run()
    assert not app.exception, app.exception
    return app


def trained(store: Store, clip: str, run_id: str, success: tuple[float, ...]) -> None:
    run = run_of(powers(0.9, 8, 2), facts=facts_of(9, 6), loss=np.full(41, 1.0), success=success, spec={"clip": clip})
    write(store, run_id, run)


@pytest.fixture
def swept(store: Store) -> tuple[str, list[str]]:
    """Three rules with two seeds each; the last run was stopped."""
    asked = [("none", (0.2, 0.3)), ("norm:0.1", (0.5, 1.0)), ("norm:1.0", (0.5, 0.6))]
    specs = [
        RunSpec.make(task="temporal_order", gap=10, steps=40, clip=clip, seed=seed).to_json()
        for seed in (0, 1)
        for clip, _ in asked
    ]
    comparison, ids = store.create(specs, [f"tanh · {s['clip']} · seed {s['seed']}" for s in specs], "A sweep")
    for run_id, (clip, success) in zip(ids[:5], [*asked, *asked], strict=False):
        trained(store, clip, run_id, success)
    store.request_stop(ids[5])
    return comparison, ids


def test_without_a_sweep_the_page_says_how_to_begin(open_app: Open) -> None:
    said = words(opened(open_app))
    assert "No sweep has been trained yet" in said
    assert "Predicted: about" in said


@pytest.mark.parametrize("name", list(PRESETS))
def test_a_preset_asks_for_exactly_its_runs(open_app: Open, store: Store, name: str) -> None:
    app = opened(open_app)
    app.segmented_control(key="sweep-base").set_value(name).run()
    app.button(key="sweep-start").click().run()
    assert not app.exception
    wanted = [spec.to_json() for spec in PRESETS[name].sweep.specs()]
    asked = [dict(row.spec) for row in store.runs()]
    assert sorted(asked, key=str) == sorted(wanted, key=str)
    assert "Waiting for the first run to end" in words(app) or app.get("bidi_component")


def test_what_the_lab_is_set_to_can_be_swept(open_app: Open) -> None:
    app = open_app(gap="12", cell="gru", hidden="8")
    app.switch_page(PAGE).run()
    app.session_state["clipping-view"] = "sweep"
    app.run()
    app.segmented_control(key="sweep-base").set_value("lab").run()
    assert not app.exception
    said = words(app).replace("\\", "")
    assert "France" in said
    assert "gap 12 timesteps" in said
    assert "hidden size 8 units" in said
    assert app.button(key="sweep-start").label == "Start 39 runs"


@pytest.mark.parametrize(
    ("field", "text", "sentence"),
    [
        ("thresholds", "0.1, x", "Thresholds must be numbers, but got 'x'"),
        ("thresholds", "", "thresholds must have at least one value"),
        ("thresholds", "-1", "clip must have a threshold between"),
        ("thresholds", "nan", "clip must have a number as its threshold"),
        ("seeds", "1.5", "seed must be a whole number"),
        ("seeds", ", ".join(map(str, range(30))), "seed must have at most 24 values"),
    ],
)
def test_absurd_entries_are_answered_with_a_sentence(open_app: Open, field: str, text: str, sentence: str) -> None:
    app = opened(open_app)
    app.text_input(key=f"sweep-{field}").set_value(text).run()
    assert not app.exception
    assert sentence in words(app).replace("\\", "")
    assert app.button(key="sweep-start").disabled


def test_results_are_told_drawn_and_tabled(open_app: Open, swept: tuple[str, list[str]]) -> None:
    app = opened(open_app)
    said = words(app).replace("\\", "")
    assert "clipping is needed: without clipping none of 2 seeds reaches 95 %" in said
    assert "5 of 6 runs have ended; 1 broke off." in said
    assert len(app.get("bidi_component")) >= 2
    table = app.dataframe[0].value
    assert list(table["Ended"]) == ["2 of 2", "2 of 2", "1 of 2"]
    assert app.query_params["sweep"] in (swept[0], [swept[0]])


def test_another_goal_is_another_outcome(open_app: Open, swept: tuple[str, list[str]]) -> None:
    app = opened(open_app)
    app.slider(key="sweep-goal").set_value(25.0).run()
    assert not app.exception
    assert "reach 25 %" in words(app).replace("\\", "")


def test_what_broke_off_is_trained_on_request(open_app: Open, store: Store, swept: tuple[str, list[str]]) -> None:
    app = opened(open_app)
    app.button(key="sweep-resume").click().run()
    assert not app.exception
    rows = store.runs(comparison=swept[0])
    assert len(rows) == 6
    assert [row.state for row in rows].count("queued") == 1
    app.button(key="sweep-stop").click().run()
    assert [row.state for row in store.runs(comparison=swept[0])].count("stopped") == 1
    assert "1 broke off" in words(app)


def test_a_sweep_that_is_not_there_is_said(open_app: Open, swept: tuple[str, list[str]]) -> None:
    app = opened(open_app, sweep="c-nothing")
    said = words(app).replace("\\", "")
    assert "There is no sweep c-nothing here" in said
    assert "A sweep" in said
