"""The forward of a torch.nn recurrent layer anew, layer by layer and direction by direction, so that every state's
gradient is known: the same output, the same random numbers, the same gradients of the parameters.

Letters: T timesteps, B batch, I input size, H hidden size, P size of the state that is handed on, L layers, D
directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from diagnostics.recurrence import gru, lstm, rnn
from diagnostics.recurrence.trace import StateGradients
from diagnostics.watching import stepwise
from diagnostics.watching.calls import Call, Gradients, Place, States
from diagnostics.watching.doors import Entrance, Exit
from diagnostics.watching.insides import Graph
from diagnostics.watching.packing import Packing

KINDS = {"RNN_TANH": "tanh", "RNN_RELU": "relu", "GRU": "gru", "LSTM": "lstm"}


class Given:
    """What a layer was called with, brought to one form: time first, a batch, samples of a packed input as it has them.

    ``x`` [T,B,I]; ``first`` (h0,) or (h0, c0), [L·D,B,·] each, or None where it was left out; ``packing`` None unless
    the input is packed. Raises ``ValueError`` where the call does not fit: the layer's own forward says what is wrong.
    """

    def __init__(self, module: nn.RNNBase, given: Tensor | PackedSequence, hx: Any) -> None:
        self.packing = Packing(given) if isinstance(given, PackedSequence) else None
        states = self._states(module, hx)
        self.batched, self.batch_first = True, False
        if self.packing is not None:
            self.x = self.packing.padded(self.packing.data)
            states = tuple(self.packing.sort(state) for state in states)
        else:
            if not isinstance(given, Tensor):
                raise ValueError("the input must be a tensor or packed")
            self.batched, self.batch_first = given.dim() == 3, module.batch_first and given.dim() == 3
            if given.dim() not in (2, 3):
                raise ValueError("the input must have 2 or 3 dimensions")
            self.x = given.transpose(0, 1) if self.batch_first else given if self.batched else given.unsqueeze(1)
            if not self.batched:
                states = tuple(state.unsqueeze(1) for state in states if state.dim() == 2)
        self.first: tuple[Tensor, ...] | None = states if hx is not None else None
        self._check(module)

    @staticmethod
    def _states(module: nn.RNNBase, hx: Any) -> tuple[Tensor, ...]:
        wanted = 2 if module.mode == "LSTM" else 1
        states = (hx,) if wanted == 1 else tuple(hx) if isinstance(hx, (tuple, list)) else ()
        if hx is None:
            return ()
        if len(states) != wanted or not all(isinstance(state, Tensor) for state in states):
            raise ValueError("hx must be what the layer takes")
        return states

    def _check(self, module: nn.RNNBase) -> None:
        places, B = module.num_layers * (2 if module.bidirectional else 1), self.x.shape[1]
        weights = [weight for weight in module._flat_weights if weight is not None]
        if 0 in self.x.shape or self.x.shape[2] != module.input_size:
            raise ValueError("the input must be of the layer's size, and of something")
        sizes = (module.proj_size or module.hidden_size, module.hidden_size)
        for state, size in zip(self.first or (), sizes, strict=False):
            if list(state.shape) != [places, B, size]:
                raise ValueError("hx must be of the layer's size")
        tensors = [self.x, *(self.first or ()), *weights]
        if not autocast(self.x) and len({tensor.dtype for tensor in tensors}) > 1:
            raise ValueError("hx and the weights must have the dtype of the input")
        if len({tensor.device for tensor in tensors}) > 1:
            raise ValueError("hx and the weights must be on the device of the input")


def autocast(x: Tensor) -> bool:
    """Whether torch chooses the dtype of each operation on such a tensor."""
    return torch.is_autocast_enabled(x.device.type)


def exact(module: nn.RNNBase, x: Tensor) -> bool:
    """Whether the instrumented recurrences serve; else a plain loop does."""
    return not module.proj_size and x.dtype in (torch.float32, torch.float64) and not autocast(x)


def run(module: nn.RNNBase, given: Given, call: Call) -> Any:
    """What ``module`` returns, with all that a backward pass leaves at its timesteps going to ``call``."""
    graph = _layers(module, given, call)
    copied = call.directions == 2 or not exact(module, given.x)  # by torch.cat or torch.stack
    output, *finals = Exit.apply(call, graph, copied, *graph.ends)
    call.ended = tuple(final.detach() for final in finals)
    call.steps = len(output)
    packing = given.packing
    if packing is not None:
        result: Any = packing.packed(output)
        finals = [packing.unsort(final) for final in finals]
    elif given.batched:
        result = output.transpose(0, 1) if given.batch_first else output
    else:
        result, finals = output.squeeze(1), [final.squeeze(1) for final in finals]
    return result, tuple(finals) if len(finals) == 2 else finals[0]


def _layers(module: nn.RNNBase, given: Given, call: Call) -> Graph:
    """All layers, the bottom one first."""
    x, L, D = given.x, call.layers, call.directions
    each = len(module._flat_weights) // (L * D)
    dtypes = _dtypes(module, given) if autocast(x) else None
    anchor = torch.empty(0, requires_grad=True)
    first = [_first(module, given, place, bottom=place < D) for place in range(L * D)]
    finals: list[tuple[Tensor, ...]] = []
    recurrences = []
    for layer in range(L):
        outputs = []
        for direction in range(D):
            k = layer * D + direction
            weights = _weights(module, module._flat_weights[k * each : (k + 1) * each])
            entering = Entrance.apply(call, direction, anchor, x) if layer == 0 else x
            output, *ends = _layer(module, call, (layer, direction), entering, first[k], weights, given.packing)
            outputs.append(output if dtypes is None else output.to(dtypes[0]))
            finals.append(tuple(ends))
            if exact(module, entering):
                recurrences.append(output.grad_fn)
        x = outputs[0] if D == 1 else torch.cat(outputs, 2)
        if module.dropout and module.training and layer < L - 1:
            x = _dropped(x, module.dropout, given.packing)
    stacked = [torch.stack(parts) for parts in zip(*finals, strict=True)]
    if dtypes is not None:
        stacked = [end.to(dtype) for end, dtype in zip(stacked, dtypes[1:], strict=True)]
    wanted = first[:D] if given.first is None or not all(s.requires_grad for s in given.first) else first
    initial = [state for part in zip(*wanted, strict=True) for state in part]
    return Graph(initial, [x, *stacked], recurrences, D)


def _layer(
    module: nn.RNNBase,
    call: Call,
    place: Place,
    x: Tensor,
    first: tuple[Tensor, ...],
    weights: stepwise.Weights,
    packing: Packing | None,
) -> tuple[Tensor, ...]:
    """(output [T,B,P], h_n[, c_n] [B,·]) of one layer in one direction."""
    kind = KINDS[module.mode]
    if not exact(module, x):
        sizes = None if packing is None else packing.sizes
        output, finals = stepwise.walk(call, place, kind, x, first, weights, sizes)
        return output, *finals
    w_ih, w_hh, b_ih, b_hh, _ = weights
    how: dict[str, Any] = {"lengths": None if packing is None else packing.lengths, "reverse": place[1] == 1}
    finals = ()
    if kind == "lstm":
        output, finals, trace = lstm(x, (first[0], first[1]), w_ih, w_hh, b_ih, b_hh, **how)
    else:
        run_one = gru if kind == "gru" else partial(rnn, nonlinearity=kind)
        output, h_n, trace = run_one(x, first[0], w_ih, w_hh, b_ih, b_hh, **how)
        finals = (h_n,)
    call.states[place] = States(trace.h, trace.c, trace.gates, first[0].detach(), rounding=stepwise.rounding(trace.h))
    trace.listener = partial(_collect, call, place)
    return output, *finals


def _collect(call: Call, place: Place, found: StateGradients) -> None:
    """What a backward pass through a recurrence has found, which belongs to that pass alone."""
    delta, gates = None, call.states[place].gates
    if call.ledger.check:
        delta = found.preactivation
        if "r" in gates:  # what the recurrent weights give for n, the reset gate multiplies
            r_z, n = delta.tensor_split((2 * found.h.shape[2],), 2)
            delta = torch.cat((r_z, n * gates["r"]), 2)
    call.collect(place, Gradients(found.h, found.c, delta))


def _first(module: nn.RNNBase, given: Given, place: int, *, bottom: bool) -> tuple[Tensor, ...]:
    """(h0,) or (h0, c0), [B,·] each, at one place. At the bottom they always have a graph, so that a part of the
    gradient can be taken back to them alone, without any product with a weight's gradient."""
    if given.first is not None:
        states = tuple(state[place] for state in given.first)
    else:
        sizes = (module.proj_size or module.hidden_size, module.hidden_size)[: 2 if module.mode == "LSTM" else 1]
        states = tuple(given.x.new_zeros(given.x.shape[1], size) for size in sizes)
    if not bottom:
        return states
    return tuple(state if state.requires_grad else state.detach().requires_grad_() for state in states)


def _weights(module: nn.RNNBase, flat: Sequence[Any]) -> stepwise.Weights:
    w_ih, w_hh, *rest = flat
    b_ih, b_hh = rest[:2] if module.bias else (None, None)
    return w_ih, w_hh, b_ih, b_hh, rest[-1] if module.proj_size else None


def _dropped(x: Tensor, share: float, packing: Packing | None) -> Tensor:
    """As ATen's native/RNN.cpp applies it, packed or not: the same masks come of the same generator."""
    if packing is None:
        return torch.dropout(x, share, True)
    return packing.padded(torch.dropout(packing.taken(x), share, True))


def _dtypes(module: nn.RNNBase, given: Given) -> list[torch.dtype]:
    """The dtypes of (output, h_n[, c_n]) that the layer itself gives under autocast, from one step of one sample."""
    with torch.no_grad():
        first = _first_of_one(module, given)
        native: dict[str, Any] = {
            "RNN_TANH": torch.rnn_tanh,
            "RNN_RELU": torch.rnn_relu,
            "GRU": torch.gru,
            "LSTM": torch.lstm,
        }
        state: Any = first if module.mode == "LSTM" else first[0]
        options = (module.bias, module.num_layers, 0.0, False, module.bidirectional, False)
        found = native[module.mode](given.x[:1, :1].detach(), state, module._flat_weights, *options)
    return [tensor.dtype for tensor in found]


def _first_of_one(module: nn.RNNBase, given: Given) -> tuple[Tensor, ...]:
    if given.first is not None:
        return tuple(state[:, :1].contiguous() for state in given.first)
    places = module.num_layers * (2 if module.bidirectional else 1)
    sizes = (module.proj_size or module.hidden_size, module.hidden_size)[: 2 if module.mode == "LSTM" else 1]
    return tuple(given.x.new_zeros(places, 1, size) for size in sizes)
