"""What goes with what: tasks, kinds of networks, directions, softmaxes, texts; and specs from before there were any."""

from __future__ import annotations

import json
from typing import Any

import pytest

from experiments.spec import FIELDS, Refusal, RunSpec
from models.kinds import MODELS
from tasks import TASKS
from ui.settings import asked_for

BEFORE = """{"task": "france", "gap": 40, "length": null, "wiring": "many-to-one", "cell": "lstm", "hidden": 64,
"layers": 1, "init": "torch", "gate_bias": "chrono", "inputs": "embedding", "embedding": 32, "optimizer": "adam",
"learning_rate": 0.003, "batch": 64, "steps": 250, "clip": "norm:1.0", "truncate": null, "seed": 0, "device": "auto",
"record_every": 1, "eval_every": 10}"""
"""A spec as it was stored when there were only recurrent networks in one direction."""


def test_a_spec_from_before_there_were_other_networks_means_what_it_meant() -> None:
    stored = json.loads(BEFORE)
    spec = RunSpec.from_json(stored)
    assert spec == RunSpec.make(cell="lstm", steps=250)
    assert {name: getattr(spec, name) for name in stored} == stored
    assert (spec.model, spec.bidirectional, spec.text, spec.softmax) == ("recurrent", False, None, "full")
    assert spec.label() == "LSTM · clip norm 1 · seed 0"
    assert RunSpec.from_json(spec.to_json()) == spec
    settings = asked_for([stored])
    assert settings is not None
    assert settings.specs() == [spec]


TWO_WAYS = ", ".join(name for name, info in TASKS.items() if info.bidirectional)

SENTENCES: list[tuple[dict[str, Any], str]] = [
    ({"model": "bag"}, "model must be recurrent for the task france, but got 'bag'"),
    (
        {"task": "order", "gap": 8, "model": "transformer"},
        f"model must be one of {', '.join(MODELS)}, but got 'transformer'",
    ),
    ({"model": 3}, f"model must be one of {', '.join(MODELS)}, but got 3"),
    ({"bidirectional": 1}, "bidirectional must be true or false, but got 1"),
    ({"bidirectional": None}, "bidirectional must be true or false, but nothing was given"),
    (
        {"bidirectional": True},
        f"bidirectional must be off for the task france (only {TWO_WAYS} can be read in two directions), but got on",
    ),
    ({"softmax": "nce"}, "softmax must be full for the task france, but got 'nce'"),
    (
        {"softmax": "nec"},
        "softmax must be one of full, adaptive, hierarchical, nce, but got 'nec' (did you mean 'nce'?)",
    ),
    (
        {"text": "hello"},
        "text must be left out for the task france (only text is about one), but got 5 characters",
    ),
    ({"task": "text", "gap": 2, "text": "aaaa"}, "text must have at least 2 different characters, but got only a"),
    ({"task": "text", "gap": 2, "text": 5}, "text must be text, but got 5"),
    (
        {"task": "text", "gap": 9, "text": "hello"},
        "text must have more characters than a sequence has timesteps (gap + 1 = 10), but got 5",
    ),
    (
        {"task": "text", "gap": 2, "text": "a\0b"},
        "text must be without control characters such as U+0000 (null), but got it as character 2",
    ),
    (
        {"task": "text", "gap": 2, "text": "ab" * 10_001},
        "text must have at most 20,000 characters, but got 20,002",
    ),
    (
        {"task": "sentiment", "gap": 8, "model": "bag", "cell": "lstm"},
        "cell must be left out for the model bag, which has no recurrence, but got 'lstm'",
    ),
    (
        {"task": "sentiment", "gap": 8, "model": "bag", "init": "orthogonal"},
        "init must be left out for the model bag, which has no recurrence, but got 'orthogonal'",
    ),
    (
        {"task": "sentiment", "gap": 8, "model": "bag", "layers": 2},
        "layers must be at most 1 for the model bag, but got 2",
    ),
    (
        {"task": "sentiment", "gap": 8, "model": "convolution", "truncate": 4},
        "truncate must be left out for the model convolution (the gradient goes through no time there), but got 4",
    ),
    (
        {"task": "sentiment", "gap": 8, "truncate": 4},
        "truncate must be left out for the task sentiment (its sequences end at different timesteps), but got 4",
    ),
    (
        {"task": "translation", "gap": 8, "truncate": 4},
        "truncate must be left out for the task translation (a decoder takes over in the middle of the sequence), but "
        "got 4",
    ),
    (
        {"task": "entities", "gap": 4, "bidirectional": True, "truncate": 4},
        "truncate must be left out for the network in two directions (a second direction begins at the end of the "
        "sequence), but got 4",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "sentence"), SENTENCES, ids=[str(fields)[:60] for fields, _ in SENTENCES])
def test_what_does_not_go_together_is_refused_in_a_sentence(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refusal) as refusal:
        RunSpec.make(**fields)
    assert str(refusal.value) == sentence


def test_what_is_left_out_is_the_tasks_own_and_follows_a_change_of_task() -> None:
    spec = RunSpec.make(task="text", gap=2)
    assert (spec.text, spec.model) == (TASKS["text"].own_text, "recurrent")
    assert spec.changed(task="france", gap=40).text is None
    own = RunSpec.make(task="text", gap=2, text="so long\r\nso well")
    assert own.text == "so long\nso well"
    assert own.changed(steps=9).text == own.text


def test_labels_say_what_kind_of_network_it_is() -> None:
    bag = RunSpec.make(task="sentiment", gap=8, model="bag")
    assert bag.label() == "bag of words · clip norm 1 · seed 0"
    both = RunSpec.make(task="entities", gap=4, bidirectional=True, cell="gru")
    assert both.label() == "GRU · two directions · clip norm 1 · seed 0"
    noise = RunSpec.make(task="words", gap=4, softmax="nce")
    assert noise.label() == "tanh · nce softmax · clip norm 1 · seed 0"


def test_new_settings_are_described_like_all_others() -> None:
    assert FIELDS["bidirectional"].kind == "switch"
    assert (FIELDS["model"].kind, FIELDS["model"].default, FIELDS["model"].choices) == ("choice", None, tuple(MODELS))
    assert FIELDS["text"].kind == "text"
