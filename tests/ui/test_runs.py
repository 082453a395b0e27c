"""The Runs page without a browser."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from diagnostics.charts import sweep, sweep_map
from diagnostics.store import Store
from experiments.spec import RunSpec
from tests.ui.conftest import ROOT, Open, words

Told = tuple[str, list[str]]


@pytest.fixture
def runs(open_app: Open):
    """Open the Runs page with these runs chosen."""

    def opened(*chosen: str) -> AppTest:
        app = open_app()
        app.query_params["runs"] = ",".join(chosen)
        app.switch_page("ui/pages/runs.py")
        app.query_params["runs"] = ",".join(chosen)
        app.run()
        assert not app.exception, app.exception
        return app

    return opened


def table(app: AppTest) -> list[str]:
    return list(app.dataframe[0].value["name"]) if app.dataframe else []


def test_an_empty_store_says_what_to_do(runs) -> None:
    assert "No runs are stored yet" in words(runs())


def test_everything_stored_is_listed_and_filtered(runs, told: Told) -> None:
    app = runs()
    assert table(app) == ["LSTM", "GRU", "ReLU", "tanh"]
    app.multiselect(key="filter-cell").set_value(["gru", "tanh"]).run()
    assert table(app) == ["GRU", "tanh"]
    app.text_input(key="find").set_value("STORY gru").run()
    assert table(app) == ["GRU"]
    app.multiselect(key="filter-state").set_value(["failed"]).run()
    assert "None of the 4 runs passes" in words(app)


def test_figures_of_a_sweep_are_offered_where_there_is_one(runs, told: Told, store: Store) -> None:
    def offered(app: AppTest) -> list[str]:
        return app.selectbox(key="export-figure-runs").options

    app = runs(*told[1])
    plain = offered(app)
    assert "What clipping does to the gradient's norm" in plain
    assert {sweep.TITLE, sweep_map.TITLE}.isdisjoint(plain)
    specs = [RunSpec.make(gap=8, clip=clip).to_json() for clip in ("none", "norm:1", "norm:2")]
    _, ids = store.create(specs, ["a", "b", "c"], "swept")
    assert set(offered(runs(*ids))) - set(plain) == {sweep.TITLE, sweep_map.TITLE}


def test_a_network_without_recurrence_is_listed_as_what_it_is(runs, store: Store) -> None:
    specs = [RunSpec.make(task="order", gap=8, model=model).to_json() for model in ("recurrent", "bag")]
    store.create(specs, ["one", "other"], "order")
    app = runs()
    assert list(app.dataframe[0].value["cell"]) == ["bag of words", "tanh"]
    app.multiselect(key="filter-cell").set_value(["tanh"]).run()
    assert table(app) == ["one"]
    app.multiselect(key="filter-cell").set_value(["bag"]).run()
    assert table(app) == ["other"]


def test_chosen_runs_are_overlaid(runs, told: Told) -> None:
    said = words(runs(told[1][0], told[1][3], "r-nonsense"))
    assert said.count('class="verdict-row"') == 2


def test_delete_and_undo(runs, store: Store, told: Told) -> None:
    app = runs(*told[1][:2])
    app.button(key="delete").click().run()
    assert len(store.runs()) == 2
    assert table(app) == ["LSTM", "GRU"]
    app.button(key="undo-delete").click().run()
    assert len(store.runs()) == 4
    assert app.query_params["runs"] == ",".join(told[1][:2][::-1])


def test_what_a_link_chose_stands_first_and_every_ended_run_has_its_verdict(runs, store: Store, told: Told) -> None:
    store.create([dict(store.row(told[1][0]).spec)], ["waiting"])
    app = runs(told[1][0])
    assert table(app) == ["tanh", "waiting", "LSTM", "GRU", "ReLU"]
    assert list(app.dataframe[0].value["verdict"].fillna("")) == ["Vanishing", "", "Reaches", "Reaches", "Vanishing"]


def test_what_the_store_refuses_to_delete_is_said(runs, store: Store, told: Told) -> None:
    _, [queued] = store.create([dict(store.row(told[1][0]).spec)], ["still running"])
    with store.writer(queued):
        app = runs(queued)
        app.button(key="delete").click().run()
        assert any("still running" in toast.value.replace("\\", "") for toast in app.toast)
        assert not store.row(queued).deleted


def test_the_page_lists_names_that_would_break_a_label(runs, store: Store, told: Told) -> None:
    store.rename(told[1][0], "](javascript:alert(1)) :material/home: <b>")
    app = runs(told[1][0])
    assert "](javascript:alert(1)) :material/home: <b>" in table(app)
    assert "<b>" not in words(app).replace("<b style", "")


def test_the_app_is_the_one_that_streamlit_runs() -> None:
    assert (ROOT / "app.py").read_text().count("import") == 1
