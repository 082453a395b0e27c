"""What comparisons and runs are called where nobody says."""

from diagnostics.store.rows import NAME_LENGTH, clean_name
from experiments.naming import comparison_name, run_names
from experiments.spec import RunSpec, expand


def test_names_tell_the_runs_of_a_comparison_apart() -> None:
    specs = [RunSpec.make(cell="lstm", gate_bias=b, gap=g) for b in (0.0, 1.0) for g in (4, 40)]
    names = run_names(specs)
    assert len(set(names)) == 4
    assert all(name.startswith("LSTM · ") and "seed" not in name for name in names)
    assert comparison_name(specs) == "France … French · gap 4, 40 · clip norm 1 · seed 0"
    assert run_names([RunSpec.make(cell="gru")]) == ["GRU"]


def test_runs_that_no_control_of_the_page_sets_apart_have_names_of_their_own() -> None:
    usual = RunSpec.make()
    others = [
        usual.changed(**change)
        for change in ({"task": "copy", "gap": 30}, {"learning_rate": 0.01}, {"hidden": 8}, {"length": 60})
    ]
    names = run_names([usual, *others])
    assert len(set(names)) == 5
    assert "learning rate 0.01" in names[2]
    assert comparison_name([usual, *others]).startswith("France … French, ")


def test_the_name_of_many_runs_is_one_that_the_store_takes() -> None:
    many = [RunSpec.make(gap=gap, cell=cell, seed=gap) for gap in range(4, 104) for cell in ("lstm", "gru")]
    assert comparison_name(many).startswith("France … French · gap 4 to 103")
    fields = {"init": "scaled:1.23456789", "wiring": "many-to-many", "inputs": "onehot", "optimizer": "rmsprop"}
    odd = RunSpec.make(cell="lstm", gate_bias=0.123, layers=7, hidden=123, batch=3, steps=77, length=60, **fields)
    specs = [odd, RunSpec.make(task="copy", gap=30, clip="none", seed=7, learning_rate=0.1)]
    for name in (*run_names(specs), comparison_name(many)):
        assert clean_name(name) == name
        assert len(name) <= NAME_LENGTH


def test_one_combination_is_named_by_its_cell_alone() -> None:
    assert run_names(expand(cells=["tanh", "gru"])) == ["tanh", "GRU"]


def test_texts_tell_runs_apart_by_how_they_begin() -> None:
    texts = ("to be or not\nto be that is the question", "hello, hello")
    specs = [RunSpec.make(task="text", gap=3, cell="gru", text=text) for text in texts]
    assert run_names(specs) == ["GRU · text “to be or not to be that…”", "GRU · text “hello, hello”"]
    assert run_names(specs[:1]) == ["GRU"]


def test_kinds_of_networks_and_directions_tell_runs_apart() -> None:
    models = [RunSpec.make(task="order", gap=8, model=model) for model in ("recurrent", "bag", "convolution")]
    assert run_names(models) == ["tanh", "bag of words", "convolution"]
    ways = [RunSpec.make(task="entities", gap=4, cell="gru", bidirectional=both) for both in (False, True)]
    assert run_names(ways) == ["GRU", "GRU · two directions"]
