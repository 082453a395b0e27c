"""What holds for every task, whatever it is about."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import tasks
from tasks.base import HELD_OUT_KEY, PAD, UNASKED, Task

EVERY = [(name, wiring) for name, info in tasks.TASKS.items() for wiring in info.wirings]
every_task = pytest.mark.parametrize(("name", "wiring"), EVERY)


TEXT = "".join(np.random.default_rng(0).choice(list("abcdef gh,.\n"), 4000))
"""For tasks about a text: long enough for every gap, and for samples that differ."""


def make(name: str, wiring: str, gap: int | None = None) -> Task:
    info = tasks.TASKS[name]
    return tasks.build(name, gap or info.default_gap, wiring=wiring, text=None if info.own_text is None else TEXT)


def one_hot_scores(task: Task, batch: tasks.Batch) -> np.ndarray:
    """What a network that is always right would put out."""
    if task.loss == "mse":
        return np.asarray(batch.targets)[:, None]
    return np.eye(task.outputs)[batch.targets]


def test_the_table_names_the_tasks_on_memory_and_those_of_the_lecture() -> None:
    named = {
        lecture: [name for name, info in tasks.TASKS.items() if info.lecture == lecture] for lecture in (False, True)
    }
    assert named[False] == [
        "france",
        "clouds",
        "copy",
        "adding",
        "temporal_order",
        "temporal_order_3",
        "delayed_recall",
    ]
    assert sorted(named[True]) == ["captions", "entities", "order", "sentiment", "text", "translation", "words"]
    for name, info in tasks.TASKS.items():
        assert info.name == name
        assert info.min_gap <= info.default_gap <= info.max_gap
        assert info.question.endswith("?")
        assert len(set(info.models)) == len(info.models) > 0
        assert info.softmaxes[0] == "full"


@every_task
def test_what_the_table_says_of_a_task_is_so(name: str, wiring: str) -> None:
    info, task = tasks.TASKS[name], make(name, wiring)
    batch = task.batch(np.random.default_rng(0), 64)
    assert (batch.lengths is not None) == info.lengths
    assert (task.bridge > 0) == info.bridge
    assert (task.pictures > 0) == info.pictures == (batch.pictures is not None)
    alike = task.alike(batch)
    assert alike is None or (alike.shape == (64,) and alike.dtype == bool and alike.mean() >= 0.15)
    if batch.lengths is None:
        return
    assert batch.lengths.dtype == np.int64
    assert batch.lengths.shape == (64,)
    end = task.bridge or task.length
    assert 1 <= batch.lengths.min() <= batch.lengths.max() <= end
    padding = np.arange(end)[:, None] >= batch.lengths
    assert (batch.inputs[:end][padding] == 0).all()
    assert task.vocabulary[0] == PAD
    assert not (batch.inputs[:end][~padding] == 0).any()
    if wiring == "many-to-many":
        unasked = batch.targets == UNASKED
        assert unasked[: task.bridge].all() if task.bridge else unasked[padding].all()


@every_task
def test_a_part_of_a_batch_is_those_samples_with_all_that_belongs_to_them(name: str, wiring: str) -> None:
    batch = make(name, wiring).batch(np.random.default_rng(0), 6)
    part = batch.part(slice(2, 5))
    assert part.size == 3
    for field in ("inputs", "targets", "informative_steps", "lengths", "pictures"):
        whole, some = getattr(batch, field), getattr(part, field)
        if whole is None:
            assert some is None
            continue
        along = 0 if field in ("informative_steps", "lengths", "pictures") or whole.ndim == 1 else 1
        assert np.array_equal(some, np.take(whole, [2, 3, 4], axis=along))


def test_only_a_task_with_pictures_has_labelled_ones() -> None:
    with pytest.raises(ValueError, match="labelled must be asked of a task with pictures, but got france"):
        make("france", "many-to-one").labelled(np.random.default_rng(0), 4)


def test_wirings_are_those_that_the_form_allows() -> None:
    wirings = {name: info.wirings for name, info in tasks.TASKS.items()}
    assert wirings["copy"] == ("many-to-many",)
    assert wirings["adding"] == wirings["temporal_order"] == wirings["temporal_order_3"] == ("many-to-one",)
    assert wirings["france"] == wirings["clouds"] == wirings["delayed_recall"] == ("many-to-one", "many-to-many")


@every_task
@pytest.mark.parametrize("extreme", ["min", "default", "max"])
def test_shapes_types_and_ranges(name: str, wiring: str, extreme: str) -> None:
    task = make(name, wiring, getattr(tasks.TASKS[name], f"{extreme}_gap" if extreme != "default" else "default_gap"))
    batch = task.batch(np.random.default_rng(0), 5)
    many = wiring == "many-to-many"
    assert batch.size == 5
    assert batch.targets.shape == ((task.length, 5) if many else (5,))
    if task.loss == "mse":
        assert batch.inputs.shape == (task.length, 5, task.input_size)
        assert batch.inputs.dtype == batch.targets.dtype == np.float32
        assert (task.vocabulary, task.outputs) == ((), 1)
    else:
        assert batch.inputs.shape == (task.length, 5)
        assert batch.inputs.dtype == batch.targets.dtype == np.int64
        assert batch.inputs.min() >= 0
        assert batch.inputs.max() < task.input_size == len(task.vocabulary)
        assert batch.targets[batch.targets != UNASKED].min() >= 0
        assert batch.targets.max() < task.outputs
    assert batch.informative_steps.shape == (5, len(task.informative))
    assert batch.informative_steps.dtype == np.int64
    assert (np.diff(batch.informative_steps, axis=1) > 0).all()
    if batch.lengths is None:
        assert (batch.informative_steps >= np.array(task.informative)).all(), "nothing comes before the canonical steps"
    elif wiring == "many-to-one":
        assert (batch.lengths[:, None] - 1 - batch.informative_steps <= task.distance).all(), "nothing is farther back"
    assert len(set(task.vocabulary)) == len(task.vocabulary)
    assert all(word.strip() for word in task.vocabulary)


@every_task
def test_the_same_seed_gives_the_same_batches_and_another_seed_others(name: str, wiring: str) -> None:
    one, same, other = (make(name, wiring).batch(np.random.default_rng(seed), 16) for seed in (3, 3, 4))
    assert one.inputs.tobytes() == same.inputs.tobytes()
    assert one.targets.tobytes() == same.targets.tobytes()
    assert one.informative_steps.tobytes() == same.informative_steps.tobytes()
    assert one.inputs.tobytes() != other.inputs.tobytes()


@every_task
def test_batches_of_one_generator_are_fresh(name: str, wiring: str) -> None:
    rng, task = np.random.default_rng(0), make(name, wiring)
    assert task.batch(rng, 8).inputs.tobytes() != task.batch(rng, 8).inputs.tobytes()


@every_task
def test_the_held_out_set_is_fixed_and_is_no_training_batch(name: str, wiring: str) -> None:
    task = make(name, wiring)
    held = task.held_out(7, 32)
    assert held.inputs.tobytes() == task.held_out(7, 32).inputs.tobytes()
    assert held.inputs.tobytes() != task.held_out(8, 32).inputs.tobytes()
    sequence = np.random.SeedSequence(7)
    for stream in (7, sequence, *sequence.spawn(4)):
        assert held.inputs.tobytes() != task.batch(np.random.default_rng(stream), 32).inputs.tobytes()


def test_the_held_out_stream_has_a_key_that_spawning_does_not_reach() -> None:
    # spawn() counts its children from 0; one child per training step for a century would not come this far.
    assert HELD_OUT_KEY > 10**9


@every_task
def test_perfect_outputs_are_a_full_success_and_nan_is_none(name: str, wiring: str) -> None:
    task = make(name, wiring)
    batch = task.batch(np.random.default_rng(1), 50)
    outputs = one_hot_scores(task, batch)
    assert task.success(outputs, batch) == 1.0
    assert task.success(np.full_like(outputs, np.nan, dtype=float), batch) == 0.0


@every_task
def test_only_the_answer_steps_count_for_success(name: str, wiring: str) -> None:
    task = make(name, wiring)
    if type(task).success is not Task.success and task.loss == "cross_entropy":
        pytest.skip("what counts for its success is the task's own, and tested with it")
    batch = task.batch(np.random.default_rng(1), 20)
    outputs = one_hot_scores(task, batch).astype(float)
    if wiring == "many-to-one":
        outputs[:5] = -outputs[:5] - 1 if task.loss == "mse" else np.roll(outputs[:5], 1, axis=-1)
        assert task.success(outputs, batch) == 0.75
        return
    elsewhere = np.setdiff1d(np.arange(task.length), task.answer_steps)
    outputs[elsewhere] = 0.0
    assert task.success(outputs, batch) == 1.0
    outputs[task.answer_steps[0]] = np.roll(outputs[task.answer_steps[0]], 1, axis=-1)
    assert task.success(outputs, batch) == pytest.approx(1 - 1 / len(task.answer_steps))


@every_task
def test_constant_outputs_succeed_as_often_as_chance_says(name: str, wiring: str) -> None:
    task = make(name, wiring)
    if type(task).success is not Task.success and task.loss == "cross_entropy":
        pytest.skip("what counts for its success is the task's own, and tested with it")
    if name == "text":
        pytest.skip("its chance is what a table of pairs knows, and tested with it")
    batch = task.batch(np.random.default_rng(5), 4000)
    if task.loss == "mse":
        constants = [np.ones((4000, 1))]
    else:
        classes = np.unique(batch.targets[list(task.answer_steps)] if wiring == "many-to-many" else batch.targets)
        constants = [np.broadcast_to(np.eye(task.outputs)[c], (*batch.targets.shape, task.outputs)) for c in classes]
    shares = [task.success(constant, batch) for constant in constants]
    deviation = (task.chance_success * (1 - task.chance_success) / 4000) ** 0.5
    assert shares == pytest.approx([task.chance_success] * len(shares), abs=4.5 * deviation)


@every_task
def test_a_wrong_output_shape_is_refused(name: str, wiring: str) -> None:
    task = make(name, wiring)
    batch = task.batch(np.random.default_rng(1), 4)
    with pytest.raises(ValueError, match=r"outputs must have the shape \(.*\), but got \(4, 77\)"):
        task.success(np.zeros((4, 77)), batch)


@every_task
@pytest.mark.parametrize("extreme", ["min", "default", "max"])
def test_facts_are_those_of_one_example_at_the_full_distance(name: str, wiring: str, extreme: str) -> None:
    info = tasks.TASKS[name]
    task = make(name, wiring, {"min": info.min_gap, "default": info.default_gap, "max": info.max_gap}[extreme])
    facts = task.facts(np.random.default_rng(0))
    assert len(facts.tokens) == task.length
    assert all(isinstance(token, str) and token.strip() for token in facts.tokens)
    assert facts.loss_step == task.answer_steps[-1]
    assert facts.loss_step == task.length - 1 or info.lengths
    assert facts.distance == task.distance == facts.loss_step - min(facts.informative_steps)
    assert facts.title == task.title == info.title
    assert facts.answer
    assert (facts.success_name, facts.chance_success) == (task.success_name, task.chance_success)
    assert facts.loss_name == task.loss_name
    np.testing.assert_equal(facts.chance_loss, task.chance_loss)
    assert facts == task.facts(np.random.default_rng(0)) or np.isnan(facts.chance_loss)


@every_task
def test_the_distance_is_what_the_answer_steps_and_informative_steps_say(name: str, wiring: str) -> None:
    task = make(name, wiring)
    if len(task.answer_steps) == 1 or task.bridge or name == "text":
        assert task.distance == task.answer_steps[-1] - task.informative[0]
    else:
        pairs = zip(task.answer_steps, task.informative, strict=True)
        assert {answer - needed for answer, needed in pairs} == {task.distance}


@every_task
@pytest.mark.parametrize("size", [0, -3])
def test_a_batch_has_at_least_one_sample(name: str, wiring: str, size: int) -> None:
    with pytest.raises(ValueError, match=f"size must be at least 1, but got {size}"):
        make(name, wiring).batch(np.random.default_rng(0), size)


@pytest.mark.parametrize("name", list(tasks.TASKS))
@pytest.mark.parametrize("gap", [-1, 0, 10**9])
def test_absurd_gaps_are_refused_before_anything_is_made(name: str, gap: int) -> None:
    info = tasks.TASKS[name]
    wanted = f"gap must be from {info.min_gap} to {info.max_gap} for the task {name}, but got {gap}"
    with pytest.raises(ValueError, match=wanted):
        tasks.build(name, gap)


@pytest.mark.parametrize(
    ("name", "request_", "message"),
    [
        ("paris", {"gap": 5}, r"task must be one of france, clouds, .*, delayed_recall, .*, but got 'paris'"),
        ("france", {"gap": 40, "length": 30}, r"length must be at least gap \+ 5 = 45, but got 30"),
        ("france", {"gap": 40, "length": 10**7}, r"length must be at most 1000, but got 10000000"),
        ("france", {"gap": 2.5}, r"gap must be a whole number, but got 2.5"),
        ("france", {"gap": True}, r"gap must be a whole number, but got True"),
        ("france", {"gap": 40, "length": "x"}, r"length must be a whole number, but got 'x'"),
        ("france", {"gap": 4, "wiring": "one"}, r"wiring must be many-to-one or many-to-many .* france, but got 'one'"),
        ("copy", {"gap": 4, "wiring": "many-to-one"}, r"wiring must be many-to-many for the task copy, but got"),
        ("adding", {"gap": 9, "wiring": "many-to-many"}, r"wiring must be many-to-one for the task adding, but got"),
        ("copy", {"gap": 9, "length": 9}, r"set by the gap for the task copy and must be gap \+ 20 = 29, but got 9"),
        ("adding", {"gap": 9, "length": 10}, r"set by the gap for the task adding and must be gap = 9, but got 10"),
    ],
)
def test_refusals_are_one_sentence_with_parameter_rule_and_value(name: str, request_: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.check(name, **request_)
    with pytest.raises(ValueError, match=message):
        tasks.build(name, **request_)


def test_check_fills_in_the_defaults_and_accepts_the_length_that_is_needed() -> None:
    assert tasks.check("france", 40) == (45, "many-to-one")
    assert tasks.check("copy", 40, 60) == (60, "many-to-many")
    assert tasks.check("delayed_recall", 9, wiring="many-to-many") == (10, "many-to-many")


def test_no_torch_behind_the_tasks() -> None:
    code = "import sys, tasks; tasks.build('france', 40); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
