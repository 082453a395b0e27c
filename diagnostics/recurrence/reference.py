"""Plain autograd twins of ``rnn``, ``gru`` and ``lstm``: same arguments, same returns, every equation as it is written.

Slow and obvious: what the instrumented recurrences are compared with, and what their second derivatives go through. The
state gradients are caught by hooks on the states that a step hands to the next. A sample takes part in the steps that
it has; at the others its state stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn.functional import linear

from diagnostics.recurrence.arguments import Lengths, check, check_lengths, check_nonlinearity, pair
from diagnostics.recurrence.trace import StateGradients, Trace

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": torch.clone,
}


def rnn(
    x: Tensor,
    h0: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    nonlinearity: str = "tanh",
    *,
    lengths: Lengths = None,
    reverse: bool = False,
) -> tuple[Tensor, Tensor, Trace]:
    """Twin of ``diagnostics.recurrence.rnn``, which says what the arguments and the returns are."""
    check(1, x, {"h0": h0}, w_ih, w_hh, {"b_ih": b_ih, "b_hh": b_hh})
    check_nonlinearity(nonlinearity)
    trace = Trace("rnn", check_lengths(lengths, x), reverse)
    tap = _Tap(trace, x, h0, w_ih, w_hh, b_ih, b_hh)
    h, states = _initial(x, h0, w_hh), {}
    for t, there in _steps(x, trace):
        at = t, there
        a = tap.catch("preactivation", at, linear(x[at], w_ih, b_ih) + linear(h[there], w_hh, b_hh))
        h_t = ACTIVATIONS[nonlinearity](a)
        h_t = tap.catch("h", at, h_t.view_as(h_t))  # what is handed over, apart from what φ′ is made of in a backward
        h = h.index_copy(0, there, h_t)
        states[t] = h_t, there
    output, h_n = tap.finish(_stack(states, x), h)
    return output, h_n, trace


def gru(
    x: Tensor,
    h0: Tensor | None,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    *,
    lengths: Lengths = None,
    reverse: bool = False,
) -> tuple[Tensor, Tensor, Trace]:
    """Twin of ``diagnostics.recurrence.gru``, which says what the arguments and the returns are."""
    check(3, x, {"h0": h0}, w_ih, w_hh, {"b_ih": b_ih, "b_hh": b_hh})
    trace = Trace("gru", check_lengths(lengths, x), reverse)
    tap = _Tap(trace, x, h0, w_ih, w_hh, b_ih, b_hh)
    H = w_hh.shape[1]
    h, states, gates = _initial(x, h0, w_hh), {}, {}
    for t, there in _steps(x, trace):
        at = t, there
        from_x, from_h = linear(x[at], w_ih, b_ih), linear(h[there], w_hh, b_hh)
        a_rz = tap.catch("preactivation", at, from_x[:, : 2 * H] + from_h[:, : 2 * H])
        r, z = torch.sigmoid(a_rz).chunk(2, 1)
        n = torch.tanh(tap.catch("preactivation", at, from_x[:, 2 * H :] + r * from_h[:, 2 * H :], 2 * H))
        h_t = tap.catch("h", at, (1 - z) * n + z * h[there])
        h = h.index_copy(0, there, h_t)
        states[t] = h_t, there
        gates[t] = torch.cat((r, z, n), 1), there
    trace.gates = _gates("rzn", gates, x)
    output, h_n = tap.finish(_stack(states, x), h)
    return output, h_n, trace


def lstm(
    x: Tensor,
    state: tuple[Tensor | None, Tensor | None] | None,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
    *,
    lengths: Lengths = None,
    reverse: bool = False,
) -> tuple[Tensor, tuple[Tensor, Tensor], Trace]:
    """Twin of ``diagnostics.recurrence.lstm``, which says what the arguments and the returns are."""
    h0, c0 = pair(state)
    check(4, x, {"h0": h0, "c0": c0}, w_ih, w_hh, {"b_ih": b_ih, "b_hh": b_hh})
    trace = Trace("lstm", check_lengths(lengths, x), reverse)
    tap = _Tap(trace, x, h0, c0, w_ih, w_hh, b_ih, b_hh)
    h, c, states, cells, gates = _initial(x, h0, w_hh), _initial(x, c0, w_hh), {}, {}, {}
    for t, there in _steps(x, trace):
        at = t, there
        a = tap.catch("preactivation", at, linear(x[at], w_ih, b_ih) + linear(h[there], w_hh, b_hh))
        a_i, a_f, a_g, a_o = a.chunk(4, 1)
        i, f, g, o = torch.sigmoid(a_i), torch.sigmoid(a_f), torch.tanh(a_g), torch.sigmoid(a_o)
        c_t = f * c[there] + i * g
        h_t = tap.catch("h", at, o * torch.tanh(c_t))
        c_t = tap.catch("c", at, c_t.clone())  # what is handed over, apart from what h_t is made of
        h, c = h.index_copy(0, there, h_t), c.index_copy(0, there, c_t)
        states[t], cells[t] = (h_t, there), (c_t, there)
        gates[t] = torch.cat((i, f, g, o), 1), there
    trace.gates, trace.c = _gates("ifgo", gates, x), _stack(cells, x).detach()
    output, h_n, c_n = tap.finish(_stack(states, x), h, c)
    return output, (h_n, c_n), trace


def _initial(x: Tensor, state: Tensor | None, w_hh: Tensor) -> Tensor:
    return x.new_zeros(x.shape[1], w_hh.shape[1]) if state is None else state


def _steps(x: Tensor, trace: Trace) -> Iterator[tuple[int, Tensor]]:
    """The timesteps in their order, each with the numbers of the samples that take part in it, if there are any."""
    T, B, _ = x.shape
    lengths = torch.full((B,), T) if trace.lengths is None else trace.lengths
    for t in reversed(range(T)) if trace.reverse else range(T):
        there = (lengths > t).nonzero().flatten().to(x.device)
        if len(there):
            yield t, there


def _stack(rows: Mapping[int, tuple[Tensor, Tensor]], x: Tensor) -> Tensor:
    """[T,B,K] from ``rows``, t → what the samples have there, [·,K], and their numbers; zeros elsewhere."""
    zeros = x.new_zeros(x.shape[1], next(iter(rows.values()))[0].shape[1])
    whole = {t: zeros.index_copy(0, there, values) for t, (values, there) in rows.items()}
    return torch.stack([whole.get(t, zeros) for t in range(len(x))])


def _gates(names: str, gates: Mapping[int, tuple[Tensor, Tensor]], x: Tensor) -> dict[str, Tensor]:
    """name → [T,B,H], from rows with a block for each of ``names``."""
    return dict(zip(names, _stack(gates, x).detach().chunk(len(names), 2), strict=True))


class _Tap:
    """Fills the trace from hooks on the tensors whose gradients are wanted; every backward pass starts from zeros."""

    def __init__(self, trace: Trace, *inputs: Tensor | None) -> None:
        self.trace = trace
        self._active = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in inputs)
        self._rows: dict[str, Tensor] = {}

    def catch(self, name: str, at: tuple[int, Tensor], tensor: Tensor, column: int = 0) -> Tensor:
        """Have the gradient at ``tensor`` [·,K] written to ``name``: at step and samples ``at``, from ``column`` on."""
        if self._active:
            tensor.requires_grad_()  # where only later steps depend on what is differentiated
            tensor.register_hook(partial(self._write, name, at, column))
        return tensor

    def _write(self, name: str, at: tuple[int, Tensor], column: int, gradient: Tensor | None) -> None:
        if gradient is not None:  # as autograd says where the loss does not use the final state
            self._rows[name][..., column : column + gradient.shape[1]][at] = gradient.detach()

    def finish(self, output: Tensor, *last: Tensor) -> tuple[Tensor, ...]:
        """Keep the states, and return what the recurrence returns, through the one door of every backward pass."""
        self.trace.h = output.detach()
        returned: tuple[Tensor, ...] = _Door.apply(self, output, *last)
        return returned

    def begin(self) -> None:
        """Give the trace fresh zeros for the backward pass that is about to write them."""
        h, gates = self.trace.h, max(1, len(self.trace.gates))
        rows = self._rows
        rows["h"], rows["preactivation"] = torch.zeros_like(h), h.new_zeros(*h.shape[:2], gates * h.shape[2])
        if self.trace.c is not None:
            rows["c"] = torch.zeros_like(h)
        self.trace.record(StateGradients(rows["h"], rows.get("c"), rows["preactivation"]))


class _Door(Function):
    """The identity on everything that a recurrence returns; its backward runs before any other of that recurrence."""

    @staticmethod
    def forward(ctx: Any, tap: _Tap, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.tap = tap
        ctx.set_materialize_grads(False)
        return tuple(tensor.clone() for tensor in tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        ctx.tap.begin()
        return None, *gradients
