import json
import subprocess
import sys
import tracemalloc
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tasks
from experiments import cost
from experiments.spec import FIELDS, Refusal, RunSpec, expand, predict
from models.cells import CELLS

CELL_RULE = "cell must be one of tanh, sigmoid, relu, identity, gru, lstm"
INIT_RULE = "init must be one of torch, orthogonal, identity, scaled:F"
WIRING_RULE = "wiring must be many-to-one for the task adding"

SENTENCES: list[tuple[dict[str, Any], str]] = [
    ({"hidden": 10**9}, "hidden must be at most 1024, but got 1000000000"),
    ({"hidden": 0}, "hidden must be at least 1, but got 0"),
    ({"hidden": 10**400}, "hidden must be at most 1024, but got an integer above 10**30"),
    ({"hidden": "64"}, "hidden must be a whole number, but got '64'"),
    ({"hidden": True}, "hidden must be a whole number, but got True"),
    ({"hidden": 2.5}, "hidden must be a whole number, but got 2.5"),
    ({"cell": "lsmt"}, f"{CELL_RULE}, but got 'lsmt' (did you mean 'lstm'?)"),
    ({"hidden": None}, "hidden must be a whole number, but nothing was given"),
    ({"learning_rate": None}, "learning_rate must be a number, but nothing was given"),
    ({"cell": None}, f"{CELL_RULE}, but nothing was given"),
    ({"learning_rate": float("nan")}, "learning_rate must be a finite number, but got nan"),
    ({"learning_rate": float("inf")}, "learning_rate must be a finite number, but got inf"),
    ({"learning_rate": 0.0}, "learning_rate must be at least 1e-09, but got 0.0"),
    ({"learning_rate": -1.0}, "learning_rate must be at least 1e-09, but got -1.0"),
    ({"length": 30}, "length must be at least gap + 5 = 45, but got 30"),
    ({"length": 10**7}, "length must be at most 1020, but got 10000000"),
    ({"gap": 10**7}, "gap must be from 2 to 500 for the task france, but got 10000000"),
    ({"gap": -1}, "gap must be at least 1, but got -1"),
    ({"steps": 10**12}, "steps must be at most 1000000, but got 1000000000000"),
    ({"batch": 10**6}, "batch must be at most 1024, but got 1000000"),
    ({"layers": 1000}, "layers must be at most 8, but got 1000"),
    ({"seed": -1}, "seed must be at least 0, but got -1"),
    ({"clip": "norm:abc"}, "clip must have a number as its threshold, such as norm:1.0, but got 'norm:abc'"),
    ({"clip": "value:nan"}, "clip must have a number as its threshold, such as value:1.0, but got 'value:nan'"),
    ({"clip": "norm:0"}, "clip must have a threshold between 1e-12 and 1e12, but got 'norm:0'"),
    ({"clip": "norm"}, "clip must have a number as its threshold, such as norm:1.0, but got 'norm'"),
    ({"clip": "always"}, "clip must be one of none, norm:THRESHOLD, value:THRESHOLD, but got 'always'"),
    ({"init": "scaled:-2"}, "init must have a factor above 0 and at most 100, but got 'scaled:-2'"),
    ({"init": "scaled:two"}, "init must have a number as its factor, such as scaled:2, but got 'scaled:two'"),
    ({"init": "ortho"}, f"{INIT_RULE}, but got 'ortho' (did you mean 'orthogonal'?)"),
    ({"gate_bias": 1.0}, "gate_bias must be left out for the cell tanh (only gru, lstm have a gate), but got 1.0"),
    ({"cell": "lstm", "gate_bias": 99.0}, "gate_bias must be between -20 and 20, but got 99.0"),
    ({"cell": "lstm", "gate_bias": "open"}, "gate_bias must be a finite number or chrono, but got 'open'"),
    ({"task": "paris"}, f"task must be one of {', '.join(tasks.TASKS)}, but got 'paris'"),
    ({"task": "adding", "wiring": "many-to-many"}, f"{WIRING_RULE}, but got 'many-to-many'"),
    ({"wiring": 3}, "wiring must be a word, but got 3"),
    ({"record_every": 0}, "record_every must be at least 1, but got 0"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "sentence"), SENTENCES, ids=[str(fields)[:40] for fields, _ in SENTENCES])
def test_an_absurd_request_is_refused_in_one_sentence_before_anything_is_built(
    fields: dict[str, Any], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def built(*_: Any) -> Any:
        raise AssertionError("a task was built for a request that is refused")

    monkeypatch.setattr(tasks, "build", built)
    tracemalloc.start()
    try:
        with pytest.raises(Refusal) as refusal:
            RunSpec.make(**fields)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(refusal.value) == sentence
    assert peak < 2**20


def test_each_broken_rule_is_named() -> None:
    with pytest.raises(Refusal) as refusal:
        RunSpec.make(hidden=0, batch=0)
    assert str(refusal.value).splitlines() == [
        "hidden must be at least 1, but got 0",
        "batch must be at least 1, but got 0",
    ]


def test_an_unknown_setting_is_named_with_the_nearest() -> None:
    with pytest.raises(Refusal, match=r"but got 'learn_rate' \(did you mean 'learning_rate'\?\)"):
        RunSpec.make(learn_rate=0.1)


def test_what_the_machine_cannot_afford_is_refused_with_the_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refusal, match=r"steps must be few enough for a week .* predicted to take \d+ days"):
        RunSpec.make(steps=10**6, gap=500, batch=512, hidden=1024, record_every=1000)
    with pytest.raises(Refusal, match=r"record_every must keep the records below .* but got 1, predicted to write"):
        RunSpec.make(steps=10**6, gap=500, hidden=4, batch=1, record_every=1)
    small = psutil.virtual_memory()._replace(available=2**28)
    monkeypatch.setattr(cost.psutil, "virtual_memory", lambda: small)
    with pytest.raises(Refusal, match=r"memory must be at most 80% of the 268\.4 MB .* predicted to need"):
        RunSpec.make(gap=400, batch=512, hidden=256)


def test_a_stored_spec_is_read_whatever_the_machine_can_afford() -> None:
    spec = RunSpec.from_json({"steps": 10**6, "gap": 500, "batch": 512, "hidden": 1024})
    assert predict(spec).seconds > cost.SECONDS_AT_MOST


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("task", tasks.TASKS)
def test_every_cell_and_task_has_a_spec_that_survives_json(cell: str, task: str) -> None:
    spec = RunSpec.make(cell=cell, task=task, gap=tasks.TASKS[task].default_gap)
    again = RunSpec.from_json(json.loads(json.dumps(spec.to_json(), allow_nan=False)))
    assert again == spec
    assert again.digest() == spec.digest()
    assert spec.timesteps == tasks.build(task, spec.gap).length
    assert None not in (spec.wiring, spec.record_every, spec.eval_every)
    assert (spec.gate_bias is None) == (CELLS[cell].memory_gate is None)


@given(st.floats(1e-9, 100), st.floats(1e-12, 1e12), st.floats(1e-6, 100), st.floats(-20, 20))
def test_every_number_survives_json_to_the_last_bit(rate: float, threshold: float, factor: float, bias: float) -> None:
    spec = RunSpec.from_json(
        {
            "cell": "gru",
            "learning_rate": rate,
            "clip": f"norm:{threshold!r}",
            "init": f"scaled:{factor}",
            "gate_bias": bias,
        }
    )
    again = RunSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert again == spec
    assert again.clip_rule == ("norm", threshold)
    assert (again.learning_rate, again.gate_bias) == (rate, bias)


def test_equal_requests_have_equal_digests() -> None:
    assert RunSpec.make(clip="norm:1").digest() == RunSpec.make(clip="norm:1.0").digest()
    assert RunSpec.make(seed=1).digest() != RunSpec.make(seed=2).digest()


def test_what_was_left_out_follows_a_change_and_what_was_said_stays() -> None:
    left = RunSpec.make(cell="lstm", steps=500)
    assert left.changed(cell="tanh").gate_bias is None
    assert left.changed(cell="gru").gate_bias == RunSpec.make(cell="gru").gate_bias
    assert left.changed(steps=5000) == RunSpec.make(cell="lstm", steps=5000)
    said = RunSpec.make(cell="lstm", gate_bias=1.0, record_every=7, eval_every=9)
    again = said.changed(steps=5000, cell="gru")
    assert (again.gate_bias, again.record_every, again.eval_every) == (1.0, 7, 9)
    with pytest.raises(Refusal, match="gap must be at least"):
        left.changed(gap=0)


def test_a_spec_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValueError, match="frozen"):
        RunSpec.make().hidden = 3  # type: ignore[misc]


def test_the_label_says_what_is_not_as_usual() -> None:
    assert RunSpec.make(cell="gru").label() == "GRU · clip norm 1 · seed 0"
    odd = RunSpec.make(cell="lstm", gate_bias=0.0, layers=2, init="scaled:1.5", clip="none", seed=3)
    assert odd.label() == "LSTM · 2 layers · init scaled 1.5 · forget bias +0 · no clipping · seed 3"
    assert "update bias +2.5" in RunSpec.make(cell="gru", gate_bias=2.5).label()


def test_expand_gives_every_combination_in_order() -> None:
    specs = expand(cells=["tanh", "lstm"], seeds=[0, 1], clips=["none", "norm:2"], gap=10, gate_bias=2.0)
    assert [(s.cell, s.clip, s.seed) for s in specs[:3]] == [
        ("tanh", "none", 0),
        ("tanh", "none", 1),
        ("tanh", "norm:2.0", 0),
    ]
    assert len({s.digest() for s in specs}) == len(specs) == 8
    assert [s.gate_bias for s in specs] == [None] * 4 + [2.0] * 4


def test_expand_refuses_what_no_cell_can_take() -> None:
    with pytest.raises(Refusal, match="gate_bias must be left out"):
        expand(cells=["tanh", "relu"], gate_bias=2.0)
    with pytest.raises(Refusal, match="cell must be one of"):
        expand(cells=["tanh", "lsmt"])
    with pytest.raises(Refusal, match="seed must have at least one value"):
        expand(seeds=[])


def test_fields_are_read_off_the_model() -> None:
    assert list(FIELDS) == list(RunSpec.model_fields)
    assert (FIELDS["hidden"].minimum, FIELDS["hidden"].maximum, FIELDS["hidden"].kind) == (1, 1024, "int")
    assert FIELDS["cell"].choices == tuple(CELLS)
    assert FIELDS["learning_rate"].kind == "float"
    for name, field in FIELDS.items():
        assert field.label, name
        assert field.help.endswith("."), name
        if field.maximum is not None and field.kind == "int":
            over = RunSpec.from_json
            with pytest.raises(Refusal, match=f"{name} must be at most {field.maximum}"):
                over({name: int(field.maximum) + 1})


def test_a_value_is_said_with_its_unit() -> None:
    assert FIELDS["layers"].said(1) == "1 layer"
    assert FIELDS["record_every"].said(2) == "2 training steps"
    assert FIELDS["seed"].said(1) == "1"


def test_a_prediction_grows_with_every_size() -> None:
    base = predict(RunSpec.make())
    for changes in ({"hidden": 128}, {"layers": 2}, {"gap": 80}, {"batch": 128}, {"cell": "lstm"}):
        larger = predict(RunSpec.make(**changes))
        assert larger.seconds > base.seconds, changes
        assert larger.memory_bytes > base.memory_bytes, changes
    assert predict(RunSpec.make(steps=1000)).disk_bytes > base.disk_bytes
    assert predict(RunSpec.make(eval_every=1)).seconds > 2 * base.seconds
    many = RunSpec.make(wiring="many-to-many")
    assert predict(many.changed(record_every=100)).seconds < predict(many).seconds
    assert "an estimate" in base.describe()


@pytest.mark.parametrize(
    "changes", [{}, {"inputs": "onehot"}, {"task": "adding"}, {"task": "copy", "layers": 3, "cell": "lstm"}]
)
def test_the_predicted_number_of_parameters_is_exact(changes: dict[str, Any]) -> None:
    from experiments.making import build

    spec = RunSpec.make(**changes)
    network = build(spec, tasks.build(spec.task, spec.gap), 0)
    assert predict(spec).parameters == sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "1 s"), (90, "90 s"), (150, "2 min"), (7200, "2 h"), (7 * 86400, "7 days")]
)
def test_a_duration_is_said_as_a_person_would(seconds: float, said: str) -> None:
    assert cost.duration(seconds) == said


def test_specs_presets_and_costs_are_free_of_torch() -> None:
    code = (
        "import sys, experiments.presets, experiments.spec; experiments.spec.RunSpec.make(); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
