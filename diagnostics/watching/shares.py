"""A recurrent weight's gradient from its shares by timestep, Σ_k G_k, made from what was recorded of the calls.

Of torch's own cells it takes one more pass through the cell, with all calls side by side and the recorded gradients
coming in; of a linear module it is Σ_k δ_kᵀ h_{k−1} itself (Pascanu, Mikolov and Bengio, 2013).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from diagnostics.watching import graph
from diagnostics.watching.leaves import Path


@dataclass(slots=True, eq=False)
class Share:
    """One call: what it was given, and by the number of a backward pass what arrived at each thing that it made."""

    given: tuple[Tensor, ...]
    """(x, h) or (x, h, c) of a cell, (h,) of a linear module, [·,·] each."""
    weight: Tensor
    versions: tuple[int, ...]
    """How often each of these, and then the weight, had been changed in place."""
    gradients: dict[int, dict[int, Tensor]] = field(default_factory=dict)

    @property
    def unchanged(self) -> bool:
        """Whether all is as it was during the call."""
        return self.versions == tuple(tensor._version for tensor in (*self.given, self.weight))


def weight_of(module: nn.Module) -> str:
    """The name of a module's recurrent weight, where it is a parameter of its own; "" where it is not."""
    name = "weight_hh" if isinstance(module, nn.RNNCellBase) else "weight" if type(module) is nn.Linear else ""
    return name if name in dict(module.named_parameters(recurse=False)) else ""


def share(module: nn.Module, leaves: Iterable[tuple[Path, Tensor]], made: Sequence[Tensor]) -> Share | None:
    """What is to be kept of a call that was given ``leaves`` and made the tensors ``made``: h, or h and the c that it
    hands on. None where the weight is not a parameter."""
    name = weight_of(module)
    if not name:
        return None
    weight: Tensor = getattr(module, name)
    given = [_rows(leaf) for _, leaf in leaves]
    if isinstance(module, nn.RNNCellBase):
        zeros = given[0].new_zeros(len(given[0]), module.hidden_size)
        given += [zeros] * (1 + isinstance(module, nn.LSTMCell) - (len(given) - 1))
    weight_now = weight.detach()
    one = Share(tuple(given), weight_now, tuple(tensor._version for tensor in (*given, weight_now)))
    for which, tensor in enumerate(made):
        tensor.register_hook(_arrival(one, which))
    return one


def product(made: Iterable[Tensor]) -> torch.dtype | None:
    """What autocast has a call multiply in that has just ``made`` these; None without it, and of float64, which it
    leaves as it is."""
    for tensor in made:
        kind = tensor.device.type
        if tensor.dtype != torch.float64 and torch.is_autocast_enabled(kind):
            return torch.get_autocast_dtype(kind)
    return None


def _rows(tensor: Tensor) -> Tensor:
    tensor = tensor.detach()
    return tensor[None] if tensor.dim() == 1 else tensor.flatten(0, -2)


def _arrival(one: Share, which: int) -> Any:
    def arrive(gradient: Tensor | None) -> None:
        if gradient is not None:
            one.gradients.setdefault(graph.backward_pass(), {})[which] = _rows(gradient).clone()

    return arrive


def weight_sum(module: nn.Module, shares: Sequence[tuple[Share, int | None]]) -> Tensor | None:
    """Σ_k G_k in float64, in the weight's shape, of calls and the backward pass that reached each, if one did.

    None where something was changed in place since, and of a complex weight.
    """
    if not all(one.unchanged for one, _ in shares) or shares[0][0].weight.is_complex():
        return None
    parts = [(one, one.gradients[number]) for one, number in shares if number in one.gradients]
    weight = shares[0][0].weight.double()
    if not parts:
        return torch.zeros_like(weight)
    given = [torch.cat(tensors).double() for tensors in zip(*(one.given for one, _ in parts), strict=True)]
    if not isinstance(module, nn.RNNCellBase):
        return torch.cat([gradients[0] for _, gradients in parts]).double().T @ given[0]
    with torch.enable_grad():
        weight.requires_grad_()
        made = _cell(module, given, weight)
        wanted = [
            torch.cat(
                [
                    gradients[which] if which in gradients else torch.zeros_like(one.given[1 + which])
                    for one, gradients in parts
                ]
            )
            for which in range(len(made))
        ]
        return torch.autograd.grad(made, weight, [gradient.double() for gradient in wanted])[0]


def _cell(module: nn.RNNCellBase, given: Sequence[Tensor], weight: Tensor) -> tuple[Tensor, ...]:
    """One call of torch's cell in float64: (h,) or (h, c)."""
    biases = [None if bias is None else bias.detach().double() for bias in (module.bias_ih, module.bias_hh)]
    parameters = (module.weight_ih.detach().double(), weight, *biases)
    if isinstance(module, nn.LSTMCell):
        h, c = torch.lstm_cell(given[0], (given[1], given[2]), *parameters)
        return h, c
    if isinstance(module, nn.GRUCell):
        return (torch.gru_cell(*given, *parameters),)
    simple = torch.rnn_relu_cell if getattr(module, "nonlinearity", "") == "relu" else torch.rnn_tanh_cell
    return (simple(*given, *parameters),)
