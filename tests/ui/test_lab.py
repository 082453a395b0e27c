"""The Lab page without a browser: what it shows and what it asks of the queue."""

from __future__ import annotations

import sqlite3

import pytest

from diagnostics.store import Store
from experiments.naming import comparison_name, run_names
from experiments.presets import PRESETS
from experiments.spec import RunSpec
from tests.ui.conftest import Open, words

Told = tuple[str, list[str]]


def figures(app):
    return [element.proto for element in app.get("bidi_component")]


def test_until_the_first_run_a_recorded_example_is_shown_and_called_one(open_app: Open) -> None:
    app = open_app()
    assert "Recorded example" in words(app)
    assert "Vanishing" in words(app)
    assert len(figures(app)) >= 5


@pytest.mark.parametrize("name", list(PRESETS))
def test_a_preset_asks_for_exactly_its_runs(open_app: Open, store: Store, name: str) -> None:
    app = open_app()
    app.button(key=f"preset-{name}").click().run()
    app.button(key="run").click().run()
    assert not app.exception
    wanted = [spec.to_json() for spec in PRESETS[name].specs()]
    asked = [dict(row.spec) for row in store.runs()]
    assert sorted(asked, key=str) == sorted(wanted, key=str)
    assert app.button(key=f"preset-{name}").icon == ":material/check:"
    assert len({row.name for row in store.runs()}) == len(wanted)
    assert "next in line" in words(app)


def test_a_comparison_in_the_address_is_shown_with_a_verdict_per_run(open_app: Open, told: Told) -> None:
    said = words(open_app(comparison=told[0]))
    assert "The story" in said
    assert said.count("Vanishing: ") == 2
    assert said.count("Reaches: ") == 2
    assert "Recorded example" not in said


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"gap": "100000"}, "gap must be from 2 to 500"),
        ({"cell": "nonsense"}, "cell must be one of"),
        ({"hidden": "9" * 400}, "hidden must be"),
        ({"hidden": "1e9"}, "hidden must be a whole number"),
        ({"learning_rate": "nan"}, "learning"),
        ({"clip": "norm:-1"}, "clip must have a threshold"),
        ({"seed": "\x00‮"}, "seed must be a whole number"),
        ({"task": "clouds", "gap": "41"}, "from 2 to 40"),
    ],
)
def test_an_absurd_address_is_answered_with_a_sentence(open_app: Open, params: dict[str, str], sentence: str) -> None:
    app = open_app(**params)
    said = words(app).replace("\\", "")
    assert sentence in said
    assert not app.button(key="run").disabled


@pytest.mark.parametrize("comparison", ["c-0000000", "../../etc/passwd", "'; DROP TABLE run; --", "*" * 500])
def test_a_comparison_that_is_not_there_leaves_the_example(open_app: Open, comparison: str) -> None:
    said = words(open_app(comparison=comparison))
    assert "There is no comparison" in said
    assert "Vanishing" in said


def test_a_refused_request_says_why_and_disables_nothing_else(open_app: Open) -> None:
    app = open_app()
    app.number_input(key="control_hidden").set_value(10**9).run()
    assert "hidden must be at most 1024" in words(app)
    assert app.button(key="run").disabled
    assert not app.button(key="preset-vanishing").disabled
    app.number_input(key="control_hidden").set_value(32).run()
    assert not app.button(key="run").disabled


def test_add_runs_only_what_is_not_there_yet(open_app: Open, store: Store, told: Told) -> None:
    app = open_app(comparison=told[0], cell="tanh,sigmoid")
    app.button(key="add").click().run()
    assert not app.exception
    rows = store.runs(comparison=told[0])
    assert len(rows) == 5
    assert rows[0].spec["cell"] == "sigmoid"


def test_change_and_run_again_brings_the_controls_to_what_was_run(open_app: Open, told: Told) -> None:
    app = open_app(comparison=told[0], cell="sigmoid", gap="10")
    app.button(key="reuse").click().run()
    assert app.select_slider(key="control_gap").value == 40
    assert app.button(key="run").label == "Run 4 networks"


def test_a_queued_run_can_be_stopped(open_app: Open, store: Store) -> None:
    app = open_app(cell="tanh")
    app.button(key="run").click().run()
    run_id = store.runs()[0].id
    app.button(key=f"stop-{run_id}").click().run()
    assert store.row(run_id).state == "stopped"


def test_a_damaged_run_is_named_and_the_others_are_shown(open_app: Open, store: Store, told: Told) -> None:
    path = store.run_file(told[1][0])
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE chunk SET payload = zeroblob(length(payload))")
    connection.close()
    said = words(open_app(comparison=told[0]))
    assert told[1][0] in said.replace("\\", "")
    assert "cannot be shown" in said
    assert said.count("Reaches: ") == 2


def test_a_store_that_a_newer_version_wrote_is_shown_with_a_word(open_app: Open, store: Store, told: Told) -> None:
    with sqlite3.connect(store.layout.catalog) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    app = open_app(comparison=told[0])
    assert "newer version" in words(app)
    assert "Vanishing: " in words(app)
    app.button(key="run").click().run()
    assert not app.exception
    assert any("not started" in toast.value for toast in app.toast)


def test_a_store_that_cannot_be_opened_is_a_sentence(open_app: Open, store: Store) -> None:
    store.layout.catalog.write_bytes(b"no database at all" * 100)
    said = words(open_app())
    assert "catalog" in said
    assert "Recorded example" in said


def test_a_name_is_shown_as_it_was_typed(open_app: Open, store: Store, told: Told) -> None:
    store.rename(told[1][0], "<script>alert(1)</script> **bold** :material/home: $x$")
    said = words(open_app(comparison=told[0]))
    assert "<script>" not in said
    assert "&lt;script&gt;" in said


def test_the_address_opens_the_same_settings_again(open_app: Open) -> None:
    app = open_app()
    app.button(key="preset-exploding").click().run()
    address = dict(app.query_params)
    assert address["gap"] == "20"
    again = open_app(**address)
    assert again.button(key="preset-exploding").icon == ":material/check:"
    assert dict(again.query_params) == address


def test_chrono_can_be_typed_as_a_gate_bias(open_app: Open) -> None:
    app = open_app(cell="lstm")
    app.text_input(key="control_gate_bias").set_value("chrono, 3").run()
    assert not app.button(key="run").disabled
    assert app.button(key="run").label == "Run 2 networks"


def test_several_gaps_stand_where_the_gap_was_and_lead_back_to_one(open_app: Open) -> None:
    app = open_app(gap="5,40")
    assert "**5 and 40**" in words(app)
    app.button(key="one-gap").click().run()
    assert not app.exception
    assert app.select_slider(key="control_gap").value == 5
    assert app.button(key="run").label == "Run 4 networks"


def test_what_cannot_be_read_in_a_field_is_answered_in_words(open_app: Open) -> None:
    app = open_app()
    app.number_input(key="control_hidden").set_value(None).run()
    assert "Hidden size is empty" in words(app)
    assert app.button(key="run").disabled
    app.number_input(key="control_hidden").set_value(32).run()
    for text, rest in (("much", ", but got 'much'"), ("-1", " from 1e-12 to 1e+12, but got '-1'")):
        app.text_input(key="control_norm").set_value(text).run()
        assert f"the threshold by norm must be a number{rest}" in words(app).replace("\\", "")


def ticked(app) -> list[str]:
    return [name for name in PRESETS if app.button(key=f"preset-{name}").icon]


def test_a_link_to_a_comparison_brings_the_controls_to_what_was_run(open_app: Open, store: Store) -> None:
    specs = [RunSpec.make(cell="sigmoid", gap=9, seed=seed).to_json() for seed in (4, 5)]
    own, _ = store.create(specs, ["a", "b"], "Mine")
    app = open_app(comparison=own)
    assert app.select_slider(key="control_gap").value == 9
    assert app.text_input(key="control_seed").value == "4, 5"
    assert ticked(app) == []
    vanishing, _ = store.create([spec.to_json() for spec in PRESETS["vanishing"].specs()], ["a", "b"], "Theirs")
    app = open_app(comparison=vanishing)
    assert ticked(app) == ["vanishing"]
    assert "Press **Run** and look" not in words(app)
    app = open_app(comparison=own, cell="tanh,sigmoid", gap="20", steps="200")
    assert ticked(app) == ["vanishing"]
    assert "Press **Run** and look" in words(app)  # it is about what Run would do, not about what is shown


def test_runs_that_were_added_rename_the_comparison_and_its_runs_in_the_view(open_app: Open, store: Store) -> None:
    specs = [RunSpec.make(cell="tanh", clip="none"), RunSpec.make(cell="gru", clip="none")]
    names = [*run_names(specs), "Mine"]
    specs.append(RunSpec.make(cell="lstm", clip="none"))
    comparison, _ = store.create([s.to_json() for s in specs], names, comparison_name(specs))
    said = words(open_app(comparison=comparison))
    assert "France … French · gap 40 · no clipping · seed 0" in said.replace("\\", "")
    app = open_app(comparison=comparison, cell="tanh")
    app.button(key="add").click().run()
    said = words(app).replace("\\", "")
    assert "France … French · gap 40 · seed 0" in said
    for name in ("tanh · no clipping<", "GRU · no clipping<", ">Mine<", "tanh · clip norm 1<"):
        assert name in said


def test_a_run_that_was_stopped_before_its_first_step_says_so_and_has_no_figure(open_app: Open, store: Store) -> None:
    app = open_app(cell="tanh,gru")
    app.button(key="run").click().run()
    going = len(figures(app))
    app.button(key=f"stop-{store.runs()[0].id}").click().run()
    said = words(app)
    assert "Stopped before its first step" in said
    assert len(figures(app)) == going - 1


def test_backpropagation_can_be_truncated_and_is_not_unless_it_is_asked_for(open_app: Open) -> None:
    app = open_app(cell="tanh", truncate="7")
    field = app.number_input(key="control_truncate")
    assert (field.value, field.placeholder) == (7, "off")
    assert not app.button(key="run").disabled
    field.set_value(0).run()
    assert any("truncate must be at least 1, but got 0" in said.value for said in [*app.error, *app.warning])
    field.set_value(None).run()
    assert not app.button(key="run").disabled
    assert "truncate" not in app.query_params
