"""How a network begins: torch's default, orthogonal, identity, scaled, and how far open its memory gate is.

Every number is drawn from the generator that is given, so weights depend on the seed and on nothing else.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor, nn

from models.model import Model
from models.recurrent import Layer

# Row block of the gate that keeps the memory, and of the gate whose bias chrono sets to its opposite.
_MEMORY_BLOCK = 1  # i, f, g, o: the forget gate; r, z, n: the update gate
_INPUT_BLOCK = 0


@torch.no_grad()
def initialise(network: Model, init: str, gate_bias: float | str | None, horizon: int, generator: Generator) -> None:
    """Fill every parameter of ``network``.

    ``init`` is one of

    - ``torch``: what torch.nn does: embedding N(0, 1), everything else U(−1/√n, 1/√n), where n is H in a recurrent
      layer and the numbers that go into an output elsewhere;
    - ``orthogonal``: the same, then each gate's [H, H] block of ``weight_hh`` a random orthogonal matrix;
    - ``identity``: the same, then each such block the identity and both recurrent biases 0 (the IRNN of Le, Jaitly
      and Hinton 2015, for each gate where there are gates);
    - ``scaled:F``: the same, then ``weight_hh`` multiplied by F.

    ``gate_bias`` (None: as ``init`` left it) is the memory gate's whole bias, a number or ``chrono``: it is written to
    ``bias_ih`` and that gate's part of ``bias_hh`` becomes 0, since the two only ever act as a sum. ``horizon`` is
    chrono's T_max, in timesteps.
    """
    embedding = network.embedding
    if embedding is not None:
        embedding.weight.normal_(generator=generator)
    for module in network.modules():
        if isinstance(module, Layer):
            _recurrent(module, init, generator)
            if gate_bias is not None and module.cell.memory_gate is not None:
                _open_gate(module, gate_bias, horizon, generator)
        elif isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d) and module is not network.head:
            _as_torch_does(module, generator)
    if network.own_loss is not None:
        network.own_loss.fill(generator)
    elif isinstance(network.head, nn.Linear):
        _as_torch_does(network.head, generator)


def _as_torch_does(module: nn.Linear | nn.Conv1d | nn.Conv2d, generator: Generator) -> None:
    """U(−1/√n, 1/√n), n the numbers that go into one output."""
    bound = 1 / math.sqrt(module.weight[0].numel())
    module.weight.uniform_(-bound, bound, generator=generator)
    if module.bias is not None:
        module.bias.uniform_(-bound, bound, generator=generator)


def _recurrent(layer: Layer, init: str, generator: Generator) -> None:
    hidden = layer.weight_hh.shape[1]
    bound = 1 / math.sqrt(hidden)
    for parameter in (layer.weight_ih, layer.weight_hh, layer.bias_ih, layer.bias_hh):
        parameter.uniform_(-bound, bound, generator=generator)
    kind, _, factor = init.partition(":")
    if kind == "orthogonal":
        for block in layer.weight_hh.split(hidden):
            nn.init.orthogonal_(block, generator=generator)
    elif kind == "identity":
        for block in layer.weight_hh.split(hidden):
            nn.init.eye_(block)
        layer.bias_ih.zero_()
        layer.bias_hh.zero_()
    elif kind == "scaled":
        layer.weight_hh.mul_(float(factor))
    elif kind != "torch":
        raise ValueError(f"init must be one of torch, orthogonal, identity, scaled:F, but got {init!r}")


def _open_gate(layer: Layer, gate_bias: float | str, horizon: int, generator: Generator) -> None:
    def whole(block: int, value: Tensor | float) -> None:
        hidden = layer.weight_hh.shape[1]
        rows = slice(block * hidden, (block + 1) * hidden)
        layer.bias_ih[rows] = value
        layer.bias_hh[rows] = 0.0

    if gate_bias != "chrono":
        whole(_MEMORY_BLOCK, float(gate_bias))
        return
    drawn = chrono(layer.weight_hh.shape[1], horizon, generator)
    whole(_MEMORY_BLOCK, drawn)
    if layer.cell.kind == "lstm":
        whole(_INPUT_BLOCK, -drawn)


def chrono(hidden: int, horizon: int, generator: Generator) -> Tensor:
    """Memory gate biases ln U[1, T_max − 1], [H]: time scales spread up to the horizon.

    The LSTM's input gate takes the opposite. torch's GRU keeps z h₋ + (1 − z) n, so its update gate takes the same
    bias and its input share 1 − z follows by itself. Source: Tallec and Ollivier 2018, "Can recurrent neural networks
    warp time?".
    """
    return torch.empty(hidden).uniform_(1.0, max(1.0, horizon - 1.0), generator=generator).log()
