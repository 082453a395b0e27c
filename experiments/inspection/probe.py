"""A few held-out samples through a network as it was at a training step, in float64, forward and backward.

Letters: L layers, T timesteps, B samples, H hidden size, G gates, S state size (H; LSTM 2H, h before c).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from diagnostics.records import Array
from diagnostics.recurrence import Trace
from experiments import backward
from experiments.cost import HELD_OUT
from experiments.making import build, task_of
from experiments.spec import Refusal, RunSpec
from models.cells import CELLS
from models.network import Network


@dataclass(frozen=True)
class Gradients:
    """What one backward pass left in the traces; of a loss that is a mean over the samples, which is not undone.

    ``grad_h`` [L,T,B,H], ``grad_c`` [L,T,B,H] or None, ``grad_preactivation`` [L,T,B,G·H] (gate blocks in the order of
    the weights; the GRU's n before the reset gate's product with m is left through, see ``diagnostics.recurrence``).
    """

    grad_h: Array
    grad_c: Array | None
    grad_preactivation: Array

    @classmethod
    def of(cls, traces: list[Trace]) -> Gradients:
        """A copy of what the latest backward pass through ``traces`` recorded."""
        cells = [trace.grad_c for trace in traces if trace.grad_c is not None]
        return cls(
            _stacked([trace.grad_h for trace in traces]),
            _stacked(cells) if cells else None,
            _stacked([trace.grad_preactivation for trace in traces]),
        )


class Probe:
    """The network of ``spec`` with ``weights`` (the names of its state), and the first ``samples`` held-out samples.

    ``update_ratio`` by parameter is what training recorded. Raises ``Refusal`` where the weights are not those of such
    a network.
    """

    def __init__(
        self, spec: RunSpec, weights: Mapping[str, Array], samples: int, update_ratio: Mapping[str, float] | None = None
    ) -> None:
        self.spec = spec
        self.update_ratio = update_ratio or {}
        self.cell = CELLS[spec.cell]
        self.task = task_of(spec)
        network = build(spec, self.task, 0).double()
        assert isinstance(network, Network)  # others are refused before (see ``limits``)
        self.network = _rebuilt(network, weights)
        whole = self.task.held_out(spec.seed, HELD_OUT)
        self.batch = whole.part(slice(samples))
        self.inputs, self.targets = (
            numbers.double() if numbers.is_floating_point() else numbers
            for numbers in (torch.from_numpy(self.batch.inputs), torch.from_numpy(self.batch.targets))
        )
        self.many = self.task.wiring == "many-to-many"
        self.loss_step = self.task.answer_steps[-1]
        self.pass_ = self.network(self.inputs, keep_input_grad=True)
        self.traces = self.pass_.traces

    def loss(self, at: int | None = None) -> Tensor:
        """The mean over the samples of the loss that was trained, or many-to-many of its part at timestep ``at``,
        which is the loss there and not a share of the mean over the timesteps."""
        outputs, targets = self.pass_.outputs, self.targets
        if at is not None and self.many:
            outputs, targets = outputs[at], targets[at]
        return self.mean_loss(outputs, targets)

    def mean_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean of the task's loss over all answers in ``outputs``."""
        return backward.mean_loss(self.task.loss, outputs, targets)

    @cached_property
    def last_answer(self) -> Gradients:
        """The backward pass of the last answer's loss."""
        torch.autograd.grad(self.loss(self.loss_step), self.pass_.x, retain_graph=True)
        return Gradients.of(self.traces)

    @cached_property
    def whole(self) -> Gradients:
        """The backward pass of the whole loss; it leaves the parameters' gradients in ``gradients``."""
        self.network.zero_grad()
        self.loss().backward(retain_graph=True)
        return Gradients.of(self.traces)

    @property
    def gradients(self) -> dict[str, Array]:
        """The gradient of the whole loss with respect to each parameter, by name."""
        assert self.whole is not None
        return {name: _array(parameter.grad) for name, parameter in self.network.named_parameters()}

    @property
    def parameters(self) -> dict[str, Array]:
        """Each parameter by name."""
        return {name: _array(parameter) for name, parameter in self.network.named_parameters()}

    @cached_property
    def h(self) -> Array:
        """The states [L,T,B,H]."""
        return _stacked([trace.h for trace in self.traces])

    @cached_property
    def c(self) -> Array | None:
        """The LSTM's cell states [L,T,B,H]; None for the others."""
        cells = [trace.c for trace in self.traces if trace.c is not None]
        return _stacked(cells) if cells else None

    @cached_property
    def gates(self) -> Array | None:
        """The gates after their nonlinearity [L,G,T,B,H], in the order of the weights; None for simple cells."""
        if self.cell.kind == "rnn":
            return None
        return np.stack([_stacked(list(trace.gates.values())) for trace in self.traces])

    def direct(self, at: Array) -> Array:
        """∂⁺L_τ/∂h_τ of each sample [A,B,H]: how the answers' losses at the timesteps ``at`` use the top layer's state
        there; each sample's own loss, so that the batch mean is undone. Many-to-one, ``at`` holds the last timestep."""
        head = self.network.head.get_parameter("weight").detach().numpy()
        outputs = self.pass_.outputs
        used = [torch.autograd.grad(self.loss(t), outputs, retain_graph=True)[0] for t in at.tolist()]
        if self.many:
            used = [of_all[t] for of_all, t in zip(used, at.tolist(), strict=True)]
        direct: Array = _stacked(used) @ head * self.batch.size
        return direct

    def truncated_gradient(self, chunk: int) -> Array:
        """The gradient of the whole loss with respect to all parameters, end to end, as backpropagation truncated at
        ``chunk`` timesteps gives it."""
        network = copy.deepcopy(self.network)  # the full gradient stays where it is
        network.zero_grad()
        backward.Backward(network, self.inputs, self.targets, self.mean_loss, chunk, record=False)
        gradient: Array = np.concatenate([_array(parameter.grad).ravel() for parameter in network.parameters()])
        return gradient

    def w_ih(self, layer: int) -> Array:
        """The input weights of a layer [G·H,I]."""
        return self._of_layer(layer, "weight_ih")

    def w_hh(self, layer: int) -> Array:
        """The recurrent weights of a layer [G·H,H]."""
        return self._of_layer(layer, "weight_hh")

    def b_hh(self, layer: int) -> Array:
        """The recurrent biases of a layer [G·H]."""
        return self._of_layer(layer, "bias_hh")

    def grad_w_hh(self, layer: int) -> Array:
        """The gradient of the whole loss with respect to the recurrent weights of a layer [G·H,H], from autograd."""
        return self.gradients[f"recurrent.layers.{layer}.weight_hh"]

    def _of_layer(self, layer: int, name: str) -> Array:
        return self.parameters[f"recurrent.layers.{layer}.{name}"]


def _rebuilt(network: Network, weights: Mapping[str, Array]) -> Network:
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    got = {name: value.shape for name, value in weights.items()}
    if odd := next((name for name in sorted({*wanted, *got}) if wanted.get(name) != got.get(name)), None):
        raise Refusal(
            f"weights must be those of the network that the run's spec describes, but {odd} has the shape "
            f"{got.get(odd, 'of none: it is missing')} where {wanted.get(odd, 'none')} is wanted"
        )
    network.load_state_dict({name: torch.from_numpy(np.asarray(value, np.float64)) for name, value in weights.items()})
    return network


def _stacked(values: list[Tensor]) -> Array:
    return np.stack([_array(value) for value in values])


def _array(value: Tensor | None) -> Array:
    assert value is not None
    array: Array = value.detach().numpy().copy()
    return array
