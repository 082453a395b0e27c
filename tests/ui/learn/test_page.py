"""The page Learn as a person goes through it, at its stop on short and long dependencies."""

from __future__ import annotations

from dataclasses import replace

import pytest
from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.testing.v1.element_tree import Radio

from diagnostics.records import Run
from diagnostics.store import Store
from tests.ui.conftest import words, write
from tests.ui.learn.conftest import Learn, predict
from ui.learn import examples, path
from ui.learn.stops import dependencies, truncation

SLUG = "dependencies"
SMALL = {"sentence": "france", "longest": 10, "cells": ("tanh", "lstm")}
LINK = {"longest": "10", "cells": "tanh,lstm"}


def trained() -> list[Run]:
    """The runs of the example that ``SMALL`` asks for."""
    return [one.run for one in examples.seen(SLUG) if one.run.spec["gap"] <= 10]


def stored(store: Store, states: tuple[str, ...] = ("finished",) * 4) -> str:
    """The comparison that Run would have made with ``SMALL``, as far as its workers are."""
    specs = [spec.to_json() for spec in dependencies.specs(SMALL)]
    comparison, run_ids = store.create(specs, [f"r{n}" for n in range(len(specs))], "Learn")
    for run_id, run, state in zip(run_ids, trained(), states, strict=True):
        if state != "queued":
            write(store, run_id, replace(run, id=run_id), state)
    return comparison


def test_it_opens_at_the_first_stop_and_an_unknown_one_is_said(learn: Learn) -> None:
    first = next(iter(path.PATH))
    assert learn().query_params["stop"] == first
    app = learn("nonsense")
    assert any("There is no stop 'nonsense'" in one.value for one in app.warning)
    assert app.query_params["stop"] == first


def test_whoever_is_quicker_than_the_tick_of_a_stop_stays_at_it(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    app = predict(learn(SLUG), SLUG, 1)
    line = next(one for one in app.radio(key="learn-path").options if path.PATH[SLUG] in one)
    assert ":material" in line
    state_of = Radio._widget_state.fget

    def late(radio: Radio) -> WidgetState:
        """What the browser sends that was not told of the tick yet."""
        state = state_of(radio)
        if radio.key == "learn-path":
            state.string_value = line.split(" :material")[0]
        return state

    monkeypatch.setattr(Radio, "_widget_state", property(late))
    app.run()
    assert app.query_params["stop"] == SLUG
    assert app.title[0].value.endswith(path.PATH[SLUG])
    assert not app.warning


def test_whoever_followed_a_run_is_brought_to_its_last_step_when_it_ends(learn: Learn, store: Store) -> None:
    """The last steps come after the last look at a run that was live."""
    specs = [spec.to_json() for spec in truncation.specs(truncation.USUAL)]
    comparison, run_ids = store.create(specs, [f"r{n}" for n in range(5)], "Learn")
    *before, last = [
        replace(one.run, id=run_id) for run_id, one in zip(run_ids, examples.seen("truncation"), strict=True)
    ]
    for run in before:
        write(store, run.id, run)
    key = "step-learn-truncation"
    with store.writer(last.id) as writer:
        writer.begin(last.facts, {"versions": {}})
        columns = dict(last.records)
        some = {name: values[: len(values) // 2] for name, values in columns.items()}
        writer.append(some)
        app = learn("truncation", comparison=comparison, predicted="2")
        assert app.slider(key=key).value == some["profile_step"][-1]
        writer.append({name: values[len(some[name]) :] for name, values in columns.items()})
        writer.finish("finished")
    app.run()
    assert not app.exception
    assert app.slider(key=key).value == columns["profile_step"][-1] > some["profile_step"][-1]
    assert "Training step shown below" in [one.label for one in app.slider]
    app.slider(key=key).set_value(100).run()
    assert app.slider(key=key).value == 100


def test_run_is_locked_until_a_prediction_is_made(learn: Learn, store: Store) -> None:
    app = learn(SLUG, **LINK)
    assert app.button(key=f"learn-{SLUG}-run").disabled
    assert app.button(key=f"learn-{SLUG}-commit").disabled
    predict(app, SLUG, 1)
    assert not app.button(key=f"learn-{SLUG}-run").disabled
    app.button(key=f"learn-{SLUG}-run").click().run()
    assert not app.exception
    rows = store.runs()[::-1]
    assert [dict(row.spec) for row in rows] == [spec.to_json() for spec in dependencies.specs(SMALL)]
    assert app.query_params["comparison"] == rows[0].comparison
    assert "What to see" not in words(app)
    for row, run in zip(rows, trained(), strict=True):
        write(store, row.id, run)
    app.run()
    assert "At gap 10: tanh 9 % and LSTM 100 % right" in words(app)
    assert any("As you predicted" in one.value for one in app.success)


def test_other_controls_ask_for_another_prediction_and_keep_the_first(learn: Learn) -> None:
    app = predict(learn(SLUG), SLUG, 1)
    app.select_slider(key=f"learn-{SLUG}-longest").set_value(20).run()
    assert app.button(key=f"learn-{SLUG}-run").disabled
    assert "predicted" not in app.query_params
    app.select_slider(key=f"learn-{SLUG}-longest").set_value(40).run()
    assert "You predicted: **Only cells with gates" in words(app)


def test_a_link_shows_its_runs_and_what_was_predicted(learn: Learn, store: Store) -> None:
    comparison = stored(store)
    app = learn(SLUG, comparison=comparison, predicted="4", **LINK)
    said = words(app)
    assert "You predicted **None**" in said
    assert "Recorded example" not in said
    hidden = words(learn(SLUG, comparison=comparison, **LINK))
    assert "What to see" not in hidden
    assert "once you have predicted it" in hidden


@pytest.mark.parametrize("predicted", ["0", "9", "-1", "x", "²"])
def test_a_prediction_in_the_address_that_makes_no_sense_is_none(learn: Learn, predicted: str) -> None:
    app = learn(SLUG, predicted=predicted)
    assert app.button(key=f"learn-{SLUG}-run").disabled


def test_runs_that_are_gone_are_said_and_the_example_is_shown(learn: Learn) -> None:
    app = learn(SLUG, comparison="c-nothing", predicted="2")
    assert any("c-nothing" in one.value.replace("\\", "") for one in app.warning)
    assert "Recorded example" in words(app)


def test_while_it_trains_it_says_how_far_it_is(learn: Learn, store: Store) -> None:
    app = learn(SLUG, comparison=stored(store, ("finished", "finished", "queued", "queued")), predicted="2", **LINK)
    assert "2 of 4 networks are trained" in app.get("progress")[0].proto.text
    assert app.button(key="stop-all")
    assert "What to see" not in words(app)


def test_a_run_that_did_not_end_well_is_not_compared(learn: Learn, store: Store) -> None:
    app = learn(SLUG, comparison=stored(store, ("finished", "stopped", "finished", "finished")), predicted="2", **LINK)
    assert any("did not end as planned" in one.value for one in app.warning)
    assert not app.success


def test_runs_of_other_controls_are_not_compared(learn: Learn, store: Store) -> None:
    app = learn(SLUG, comparison=stored(store), predicted="2")
    assert "other controls" in words(app)
    assert not app.success


def test_the_path_says_what_was_done_and_keeps_it_over_another_page(learn: Learn) -> None:
    app = predict(learn(SLUG), SLUG, 1)
    app.run()
    assert "1 of" in " ".join(one.value for one in app.sidebar.caption)
    app.radio(key="learn-path").set_value("truncation").run()
    assert app.title[0].value.endswith(truncation.STOP.title)
    assert app.query_params["stop"] == "truncation"
    app.switch_page("ui/pages/runs.py").run()
    app.switch_page("ui/pages/learn.py").run()
    assert app.title[0].value.endswith(truncation.STOP.title)
    app.radio(key="learn-path").set_value(SLUG).run()
    assert "As you predicted" in words(app)


def test_the_lab_opens_with_the_same(learn: Learn) -> None:
    app = learn(SLUG, **LINK)
    app.button(key=f"learn-{SLUG}-lab").click().run()
    assert not app.exception
    settings = app.session_state["settings"]
    assert [spec.to_json() for spec in settings.specs()] == [
        spec.to_json() for spec in sorted(dependencies.specs(SMALL), key=lambda spec: spec.gap)
    ]


def test_a_stop_whose_own_panel_fails_still_stands(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("of no use to anybody")

    monkeypatch.setattr(dependencies, "STOP", replace(dependencies.STOP, own=broken))
    app = predict(learn(SLUG), SLUG, 1)
    assert any("cannot be shown" in one.value for one in app.warning)
    assert "no use to anybody" not in words(app)
    assert "What to see" in words(app)
