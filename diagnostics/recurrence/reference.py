"""Plain autograd twins of ``rnn``, ``gru`` and ``lstm``: same arguments, same returns, every equation as it is written.

Slow and obvious: what the instrumented recurrences are compared with, and what to use where a second derivative is
wanted. The state gradients are caught by hooks on the states that a step hands to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn.functional import linear

from diagnostics.recurrence.arguments import check, check_nonlinearity, pair
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
) -> tuple[Tensor, Tensor, Trace]:
    """Twin of ``diagnostics.recurrence.rnn``, which says what the arguments and the returns are."""
    check(1, x, {"h0": h0}, w_ih, w_hh, {"b_ih": b_ih, "b_hh": b_hh})
    check_nonlinearity(nonlinearity)
    tap = _Tap("rnn", x, h0, w_ih, w_hh, b_ih, b_hh)
    h, states = _initial(x, h0, w_hh), []
    for t, x_t in enumerate(x):
        a = tap.catch("preactivation", t, linear(x_t, w_ih, b_ih) + linear(h, w_hh, b_hh))
        h = tap.catch("h", t, ACTIVATIONS[nonlinearity](a))
        states.append(h)
    output, h_n = tap.finish(torch.stack(states), h)
    return output, h_n, tap.trace


def gru(
    x: Tensor, h0: Tensor | None, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None
) -> tuple[Tensor, Tensor, Trace]:
    """Twin of ``diagnostics.recurrence.gru``, which says what the arguments and the returns are."""
    check(3, x, {"h0": h0}, w_ih, w_hh, {"b_ih": b_ih, "b_hh": b_hh})
    tap = _Tap("gru", x, h0, w_ih, w_hh, b_ih, b_hh)
    H = w_hh.shape[1]
    h, states, gates = _initial(x, h0, w_hh), [], []
    for t, x_t in enumerate(x):
        from_x, from_h = linear(x_t, w_ih, b_ih), linear(h, w_hh, b_hh)
        a_rz = tap.catch("preactivation", t, from_x[:, : 2 * H] + from_h[:, : 2 * H])
        r, z = torch.sigmoid(a_rz).chunk(2, 1)
        n = torch.tanh(tap.catch("preactivation", t, from_x[:, 2 * H :] + r * from_h[:, 2 * H :], 2 * H))
        h = tap.catch("h", t, (1 - z) * n + z * h)
        states.append(h)
        gates.append(torch.cat((r, z, n), 1))
    tap.gates("rzn", gates)
    output, h_n = tap.finish(torch.stack(states), h)
    return output, h_n, tap.trace


def lstm(
    x: Tensor,
    state: tuple[Tensor | None, Tensor | None] | None,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
) -> tuple[Tensor, tuple[Tensor, Tensor], Trace]:
    """Twin of ``diagnostics.recurrence.lstm``, which says what the arguments and the returns are."""
    h0, c0 = pair(state)
    check(4, x, {"h0": h0, "c0": c0}, w_ih, w_hh, {"b_ih": b_ih, "b_hh": b_hh})
    tap = _Tap("lstm", x, h0, c0, w_ih, w_hh, b_ih, b_hh)
    h, c, states, cells, gates = _initial(x, h0, w_hh), _initial(x, c0, w_hh), [], [], []
    for t, x_t in enumerate(x):
        a = tap.catch("preactivation", t, linear(x_t, w_ih, b_ih) + linear(h, w_hh, b_hh))
        a_i, a_f, a_g, a_o = a.chunk(4, 1)
        i, f, g, o = torch.sigmoid(a_i), torch.sigmoid(a_f), torch.tanh(a_g), torch.sigmoid(a_o)
        c = f * c + i * g
        h = tap.catch("h", t, o * torch.tanh(c))
        c = tap.catch("c", t, c.clone())  # what is handed over, apart from what h_t is made of
        states.append(h)
        cells.append(c)
        gates.append(torch.cat((i, f, g, o), 1))
    tap.gates("ifgo", gates)
    tap.trace.c = torch.stack(cells).detach()
    output, h_n, c_n = tap.finish(torch.stack(states), h, c)
    return output, (h_n, c_n), tap.trace


def _initial(x: Tensor, state: Tensor | None, w_hh: Tensor) -> Tensor:
    return x.new_zeros(x.shape[1], w_hh.shape[1]) if state is None else state


class _Tap:
    """Fills the trace from hooks on the tensors whose gradients are wanted; every backward pass starts from zeros."""

    def __init__(self, kind: str, *inputs: Tensor | None) -> None:
        self.trace = Trace(kind)
        self._active = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in inputs)
        self._rows: dict[str, Tensor] = {}

    def catch(self, name: str, t: int, tensor: Tensor, column: int = 0) -> Tensor:
        """Have the gradient at ``tensor`` [B,K] written to row t of ``name``, from ``column`` on."""
        if self._active:
            tensor.requires_grad_()  # where only later steps depend on what is differentiated
            tensor.register_hook(partial(self._write, name, t, column))
        return tensor

    def _write(self, name: str, t: int, column: int, gradient: Tensor | None) -> None:
        if gradient is not None:  # as autograd says where the loss does not use the final state
            self._rows[name][t, :, column : column + gradient.shape[1]] = gradient.detach()

    def gates(self, names: str, gates: Sequence[Tensor]) -> None:
        """Keep the gates, each [B,G·H] with blocks in the order of ``names``."""
        blocks = torch.stack(list(gates)).detach().chunk(len(names), 2)
        self.trace.gates = dict(zip(names, blocks, strict=True))

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
