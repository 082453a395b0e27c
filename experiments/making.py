"""From a spec to what is trained: its task, and its network with the weights that it begins with."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

import tasks
from experiments.cost import planned
from experiments.spec import RunSpec
from models.build import assemble
from models.initialise import initialise
from models.model import Model
from tasks.base import Task


def task_of(spec: RunSpec) -> Task:
    """The task that a spec describes."""
    return tasks.build(spec.task, spec.gap, spec.length, spec.wiring, spec.text)


def build(spec: RunSpec, task: Task, seed: int) -> Model:
    """The network that a spec describes, with weights drawn from ``seed``; what has to learn to look at pictures first
    has not (see ``prepare``)."""
    assert spec.model is not None  # resolved by the spec
    network = assemble(spec.model, planned(spec, task))
    initialise(network, spec.init, spec.gate_bias, task.length, torch.Generator().manual_seed(seed))
    return network


def prepare(
    network: Model, task: Task, seed: int, say: Callable[[str], None], stop: Callable[[], bool]
) -> Mapping[str, str]:
    """Have what looks at pictures learn to see, before the network that talks of them is trained; what is to be known
    of that, as words. Raises ``models.pictures.Stopped`` where ``stop``, asked again and again, says that it should
    end."""
    eyes = getattr(network, "pictures", None)
    if eyes is None:
        return {}
    told: Mapping[str, str] = eyes.prepare(task.labelled, seed, say, stop)
    return told
