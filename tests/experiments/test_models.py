"""Every task of the table with every kind of network that it offers: trained, recorded, predicted, kept."""

from __future__ import annotations

from functools import partialmethod
from typing import Any

import numpy as np
import pytest
import torch

from diagnostics.measures.verdict import verdict
from diagnostics.records import COLUMNS, Run
from experiments.making import task_of
from experiments.spec import RunSpec, predict
from experiments.train import Trainer, train
from models import pictures
from models.count import picture_size
from models.pictures import Pictures
from tasks import TASKS
from tests.experiments.recording import Memory, trained

torch.set_num_threads(1)

SMALL: dict[str, Any] = {"hidden": 5, "embedding": 4, "batch": 6, "steps": 2, "seed": 3}

OFFERED = [
    {"task": name, "model": model, "bidirectional": both, "softmax": softmax, "cell": cell}
    for name, info in TASKS.items()
    if info.lecture
    for model in info.models
    for both in ((False, True) if info.bidirectional and model == "recurrent" else (False,))
    for softmax in (info.softmaxes if model == "recurrent" else ("full",))
    for cell in (("tanh", "lstm") if model == "recurrent" and softmax == "full" else ("tanh",))
]


def spec_of(fields: dict[str, Any], **more: Any) -> RunSpec:
    return RunSpec.make(**{**SMALL, "gap": TASKS[fields["task"]].min_gap, **fields, **more})


@pytest.fixture(autouse=True)
def _quick_eyes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What looks at pictures learns for seconds; here it need not see well."""
    monkeypatch.setattr(Pictures, "learn", partialmethod(Pictures.learn, steps=2))
    monkeypatch.setattr(pictures, "_learnt", {})


@pytest.mark.parametrize("fields", OFFERED, ids=lambda fields: "-".join(map(str, fields.values())))
def test_it_trains_and_every_column_has_its_shape(fields: dict[str, Any]) -> None:
    spec = spec_of(fields)
    memory = Memory()
    assert train(spec, memory).state == "finished"
    records, facts, T = memory.records, memory.facts, spec.timesteps
    for name in ("state_grad", "grad_h", "state_norm", "saturated", "input_grad", "loss", "eval_loss", "eval_success"):
        assert np.isfinite(records[name]).all(), name
        assert records[name].dtype == np.dtype(COLUMNS[name].dtype)
    L = records["state_grad"].shape[1]
    assert records["state_grad"].shape == (2, L, T, 3)
    assert records["input_grad"].shape == (2, T, 3)
    assert ("answer_grad" in records) == (spec.wiring == "many-to-many")
    assert ("grad_c" in records) == (spec.cell == "lstm")
    assert ((records["saturated"] >= 0) & (records["saturated"] <= 1)).all()
    assert facts is not None
    assert len(facts.tokens) == T
    shown = records["answer_grad" if spec.wiring == "many-to-many" else "state_grad"]
    assert (shown[:, -1, facts.loss_step, 1] > 0).all()  # there is a gradient at the loss to compare with
    assert verdict(Run("r", "r", "finished", spec.to_json(), facts, records)).sentence.endswith(".")


@pytest.mark.parametrize("fields", OFFERED, ids=lambda fields: "-".join(map(str, fields.values())))
def test_the_prediction_is_exact_in_parameters_and_near_in_what_is_kept(fields: dict[str, Any]) -> None:
    spec = spec_of(fields)
    trainer = Trainer(spec)
    found, counted = trainer.flat.parameters.numel(), predict(spec).parameters
    assert found <= counted if spec.softmax != "full" else found == counted
    if (eyes := getattr(trainer.network, "pictures", None)) is not None:
        assert eyes.size == picture_size(task_of(spec).pictures)


@pytest.mark.parametrize("fields", OFFERED, ids=lambda fields: "-".join(map(str, fields.values())))
def test_the_same_spec_gives_the_same_bits_again(fields: dict[str, Any]) -> None:
    spec = spec_of(fields)
    first, again = trained(spec)[1], trained(spec)[1]
    for name in set(first) - {"wall_s"}:
        assert first[name].tobytes() == again[name].tobytes(), name


def test_what_sees_learns_before_the_first_step_and_says_so() -> None:
    said: list[str] = []
    memory = Memory()
    assert train(spec_of({"task": "captions"}), memory, said.append).state == "finished"
    assert said[0].startswith("training the CNN")
    assert said[-1] == ""
    assert "picture accuracy" in memory.info
    assert "pictures.weight_0" in memory.weights[0]
    assert (memory.weights[0]["pictures.weight_0"] == memory.weights[2]["pictures.weight_0"]).all()
    assert np.abs(memory.weights[0]["pictures.weight_0"]).max() > 0
    assert not any(name.startswith("pictures") for name in memory.update_ratios[2])


@pytest.mark.parametrize(
    "fields", OFFERED[:: max(1, len(OFFERED) // 6)], ids=lambda fields: "-".join(map(str, fields.values()))
)
def test_the_what_if_of_clipping_has_what_it_needs(fields: dict[str, Any]) -> None:
    records = trained(spec_of(fields))[1]
    assert np.isfinite(records["grad_sizes"][0]).all()
    count, _, squares = records["grad_sizes"][0].sum(axis=0)
    assert count > 0
    np.testing.assert_allclose(np.sqrt(squares), records["grad_norm_pre"][0], rtol=1e-6)


@pytest.mark.parametrize(
    ("fields", "broken"),
    [
        ({"task": "sentiment", "model": "convolution"}, "of the features, timestep"),
        ({"task": "entities", "bidirectional": True, "cell": "relu", "init": "scaled:50"}, "of the state h, timestep"),
        ({"task": "translation", "cell": "relu", "init": "scaled:80"}, "of the state h, timestep"),
    ],
)
def test_where_training_breaks_is_found_in_every_kind_of_network(fields: dict[str, Any], broken: str) -> None:
    spec = spec_of(fields, steps=60, optimizer="sgd", learning_rate=100.0, clip="none")
    outcome, _, judged = trained(spec)
    assert outcome.state == "diverged"
    assert broken in outcome.detail
    assert judged.kind == "diverged"
