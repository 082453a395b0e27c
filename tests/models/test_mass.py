"""What probabilities add up to, in NumPy, against the heads in torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from experiments.making import build, task_of
from experiments.spec import RunSpec
from models.mass import mass


@pytest.mark.parametrize("cell", ["tanh", "gru"])
@pytest.mark.parametrize("softmax", ["full", "adaptive", "hierarchical", "nce"])
def test_the_sum_is_that_of_the_head_in_torch(softmax: str, cell: str) -> None:
    spec = RunSpec.make(task="words", gap=4, cell=cell, hidden=20, embedding=5, batch=2, steps=1, softmax=softmax)
    task = task_of(spec)
    network = build(spec, task, 3).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(3)  # far from where everything is alike
    batch = task.held_out(1, 4)
    features = network(torch.from_numpy(batch.inputs)).outputs
    own = network.own_loss
    expected = own.mass(features.flatten(0, 1)) if own is not None else features.softmax(2).sum(2).flatten()
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    found = mass(softmax, cell, weights, batch.inputs)
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-12)
    whole = np.abs(found - 1).max()
    assert whole > 0.1 if softmax == "nce" else whole < 1e-12
