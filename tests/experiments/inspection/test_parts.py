"""The sections on where a gradient comes from, of whole networks: each against autograd or another section."""

import numpy as np
import pytest
import torch

from diagnostics.inspection import Inspection
from experiments.inspection.asked import Asked
from experiments.inspection.compute import inspect
from experiments.inspection.probe import Probe
from experiments.spec import RunSpec
from experiments.train import Trainer
from models.cells import CELLS

SECTIONS = ("profile", "weight_gradient", "itemised", "truncation", "parameters")
MANY, ONE = {"task": "copy", "gap": 5}, {"task": "france", "gap": 6}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def spec_of(cell: str, **fields: object) -> RunSpec:
    return RunSpec.make(cell=cell, hidden=7, batch=4, layers=2, steps=3, **fields)


def inspected(spec: RunSpec, samples: int = 3) -> Inspection:
    asked = Asked(samples=samples, sections=SECTIONS)
    return inspect("r", spec, 0, Trainer(spec).weights(), asked, lambda share, section: None)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("task", [ONE, MANY], ids=["one", "many"])
def test_the_sections_agree_with_one_another(cell: str, task: dict[str, object]) -> None:
    found = inspected(spec_of(cell, **task))
    assert (found["bptt_sum_error"] < 1e-12).all()
    assert found["truncation_cosine"][-1] == pytest.approx(1, abs=1e-12)
    assert found["truncation_error"][-1] == 0
    last = found["itemised"][:, -1]
    np.testing.assert_allclose(last, np.median(found["state_grad"], axis=2), rtol=1e-10, atol=1e-18)
    assert found["answer_steps"][-1] == found.loss_step
    assert found["memory_steps"][-1] == found.timesteps
    assert (np.diff(found["memory_full"]) > 0).all()
    assert found["memory_truncated"][-1] < found["memory_full"][-1]
    if task is ONE:
        assert len(found["answer_steps"]) == 1
        np.testing.assert_array_equal(found["lag_profile"], last[:, ::-1])
    else:
        assert len(found["answer_steps"]) == found.timesteps
    counted = found["grad_histogram"].sum(axis=1) + found["grad_zero"] + found["grad_nan"] + found["grad_inf"]
    spec = spec_of(cell, **task)
    sizes = {name: value.size for name, value in Trainer(spec).weights().items()}
    assert dict(zip(found["parameter_names"].tolist(), counted.tolist(), strict=True)) == sizes


@pytest.mark.parametrize("cell", ["tanh", "gru", "lstm"])
def test_the_gradient_that_is_taken_apart_is_autograds(cell: str) -> None:
    spec = spec_of(cell, **MANY)
    probe = Probe(spec, Trainer(spec).weights(), 3, {})
    loss = probe.loss()
    gradients = torch.autograd.grad(loss, list(probe.network.parameters()))
    found = inspected(spec)
    expected = [float(gradient.norm()) for gradient in gradients]
    np.testing.assert_allclose(found["parameter_grad_norm"], expected, rtol=1e-12)
    for layer in range(2):
        own = dict(zip((n for n, _ in probe.network.named_parameters()), gradients, strict=True))
        whole = own[f"recurrent.layers.{layer}.weight_hh"]
        share = found["weight_grad"][layer, :, -1].sum() * found["cancellation"][layer, -1]
        assert share == pytest.approx(float(whole.norm()), rel=1e-10)


def test_shorter_chunks_of_one_answer_hear_less() -> None:
    """Many-to-one: what lies before the last K timesteps is missing, so that the error of a linear recurrence whose
    shares all point one way falls with K."""
    found = inspected(spec_of("lstm", **ONE))
    assert found["truncation_error"][0] > 0.05
    assert found["truncation_error"][0] > found["truncation_error"][-2]
    assert (np.diff(found["chunk"]) > 0).all()
