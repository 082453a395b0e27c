"""The Lab's controls for the lecture's tasks: there where a task has them, nowhere else, and carried by the address."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from diagnostics.store import Store
from experiments.spec import RunSpec
from tasks import TASKS
from tests.ui.conftest import Open, words
from ui import address
from ui.settings import Settings, settings_of

ONLY_THERE = ("control_model", "control_bidirectional", "control_softmax", "control_text")


def keys(app: AppTest) -> set[str]:
    return {
        element.key for kind in ("button_group", "text_area", "text_input") for element in app.get(kind) if element.key
    }


def asked(app: AppTest, store: Store) -> list[dict[str, Any]]:
    app.button(key="run").click().run()
    assert not app.exception
    return [dict(row.spec) for row in store.runs()][::-1]


def pick(app: AppTest, name: str, values: list[Any]) -> AppTest:
    return next(one for one in app.get("button_group") if one.key == f"control_{name}").set_value(values).run()


def test_a_memory_task_shows_none_of_them(open_app: Open) -> None:
    assert not keys(open_app()) & set(ONLY_THERE)


def test_the_memory_tasks_come_first(open_app: Open) -> None:
    order = [TASKS[name].lecture for name in TASKS]
    titles = open_app().selectbox(key="control_task").options
    assert titles == sorted(titles, key=lambda title: next(i.lecture for i in TASKS.values() if i.title == title))
    assert any(order)


def test_models_are_compared_where_a_task_has_several(open_app: Open, store: Store) -> None:
    app = open_app(task="sentiment", cell="tanh,gru")
    assert "control_model" in keys(app)
    assert not keys(app) & {"control_bidirectional", "control_softmax", "control_text"}
    app = pick(app, "model", ["recurrent", "bag"])
    assert [(spec["model"], spec["cell"]) for spec in asked(app, store)] == [
        ("recurrent", "tanh"),
        ("recurrent", "gru"),
        ("bag", "tanh"),
    ]
    assert app.query_params["model"] in ("recurrent,bag", ["recurrent,bag"])


def test_without_a_recurrence_there_are_no_cells_to_choose_and_they_come_back(open_app: Open) -> None:
    app = pick(open_app(task="sentiment", cell="tanh,gru"), "model", ["bag"])
    assert "control_cell" not in keys(app)
    assert app.button(key="run").label == "Run"
    app = pick(app, "model", ["recurrent"])
    assert app.button(key="run").label == "Run 2 networks"


def test_both_directions_are_compared(open_app: Open, store: Store) -> None:
    app = pick(open_app(task="entities", cell="gru"), "bidirectional", [False, True])
    assert [spec["bidirectional"] for spec in asked(app, store)] == [False, True]


def test_softmaxes_are_compared(open_app: Open, store: Store) -> None:
    app = pick(open_app(task="words", cell="gru"), "softmax", ["full", "nce"])
    assert [spec["softmax"] for spec in asked(app, store)] == ["full", "nce"]


def test_a_text_is_what_is_learned_and_a_bad_one_is_refused_in_a_sentence(open_app: Open, store: Store) -> None:
    app = open_app(task="text", gap="3", cell="gru")
    app.text_area(key="control_text").set_value("to be or not to be\n").run()
    (spec,) = asked(app, store)
    assert spec["text"] == "to be or not to be\n"
    app.text_area(key="control_text").set_value("aaaa").run()
    assert "Text must have at least 2 different characters" in words(app).replace("\\", "")
    assert app.button(key="run").disabled
    app.text_area(key="control_text").set_value("").run()
    assert not app.button(key="run").disabled


def test_another_task_begins_with_its_own_model(open_app: Open, store: Store) -> None:
    app = pick(open_app(task="sentiment", cell="gru"), "model", ["bag"])
    app.selectbox(key="control_task").set_value("order").run()
    assert not app.exception
    assert [spec["model"] for spec in asked(app, store)] == [TASKS["order"].models[0]]
    app.selectbox(key="control_task").set_value("france").run()
    assert not keys(app) & set(ONLY_THERE)
    assert not app.button(key="run").disabled


@pytest.mark.parametrize(
    "specs",
    [
        [RunSpec.make(task="sentiment", gap=8, model=model) for model in ("recurrent", "bag", "convolution")],
        [RunSpec.make(task="order", gap=8, model="bag")],
        [
            RunSpec.make(task="sentiment", gap=8, model="bag"),
            RunSpec.make(task="sentiment", gap=8, cell="gru", init="orthogonal"),
        ],
        [RunSpec.make(task="entities", gap=4, cell="gru", bidirectional=way) for way in (False, True)],
        [RunSpec.make(task="words", gap=4, softmax=kind) for kind in ("full", "nce", "hierarchical")],
        [RunSpec.make(task="text", gap=4, text=" two\nlines, und Übermut ☃ & = ? # %\t")],
    ],
)
def test_runs_go_through_the_address_unchanged(specs: list[RunSpec]) -> None:
    settings = settings_of(specs)
    again, said = address.read(address.write(settings))
    assert (again, said) == (settings, [])
    assert {spec.digest() for spec in again.specs()} == {spec.digest() for spec in specs}


def test_a_text_that_no_browser_would_carry_stays_out_of_the_address() -> None:
    long = settings_of([RunSpec.make(task="text", gap=4, text="ab" * 5000)])
    assert "text" not in address.write(long)
    short = settings_of([RunSpec.make(task="text", gap=4, text="ab" * 50)])
    assert address.write(short)["text"] == "ab" * 50


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("bidirectional", "yes", "bidirectional must be on or off, but got 'yes'"),
        ("model", "transformer", "model must be one of"),
        ("softmax", "half", "softmax must be one of"),
        ("text", "a\x07b", "text must be without control characters such as U+0007 (bell)"),
    ],
)
def test_nonsense_in_the_address_is_a_sentence(name: str, text: str, sentence: str) -> None:
    settings, said = address.read({name: text})
    assert settings == Settings()
    assert sentence in said[0]
