"""A torch.nn recurrent layer in one direction as a plain loop, for what the instrumented recurrences do not serve:
projections, half precision, autocast.

The equations, and the order of their operations, are those of ATen's native/RNN.cpp, so that the same roundings come.
The state that each step hands on is a tensor of its own, whose hook gives the total derivative.

Letters: T timesteps, B batch, I input size, H hidden size, P size of the state that is handed on, G gates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import linear, pad

from diagnostics.watching.calls import Call, Place, States

Weights = tuple[Tensor, Tensor, Tensor | None, Tensor | None, Tensor | None]
"""w_ih [G·H,I], w_hh [G·H,P], b_ih and b_hh [G·H] or None, w_hr [P,H] or None."""

After = tuple[Tensor, Tensor | None, Sequence[Tensor]]
"""h before a projection, c, and the gates."""

Step = Callable[[Tensor, Tensor, Tensor, Tensor | None], After]
"""(W_ih x + b_ih, W_hh h₋ + b_hh, h₋, c₋) → what is after the step."""


def walk(
    call: Call,
    place: Place,
    kind: str,
    x: Tensor,
    first: Sequence[Tensor],
    weights: Weights,
    sizes: Sequence[int] | None,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """(output [T,B,P], the final states (h,) or (h, c) [B,·]) of the layer at ``place``, whose states go to ``call``.

    ``x`` [T,B,I]; ``first`` (h0,) or (h0, c0); ``sizes``: how many samples, the first ones, have each step, or None.
    """
    w_ih, w_hh, b_ih, b_hh, w_hr = weights
    T, B = x.shape[:2]
    from_x = linear(x, w_ih, b_ih)
    h, c = first[0], first[1] if len(first) > 1 else None
    kept: list[tuple[Tensor, ...]] = [()] * T
    for t in range(T - 1, -1, -1) if place[1] else range(T):
        n = B if sizes is None else sizes[t]
        drive = linear(h[:n], w_hh, b_hh)
        h_t, c_t, gates = STEPS[kind](from_x[t, :n], drive, h[:n], None if c is None else c[:n])
        if w_hr is not None:
            h_t = linear(h_t, w_hr)
        _watch(call, place, t, "h", h_t)
        h = h_t if n == B else torch.cat((h_t, h[n:]))
        rows = [h_t, drive.detach(), *(gate.detach() for gate in gates)]
        if c_t is not None and c is not None:
            c_t = c_t.view_as(c_t)  # what is handed on, apart from what h is made of
            _watch(call, place, t, "c", c_t)
            c = c_t if n == B else torch.cat((c_t, c[n:]))
            rows.append(c_t.detach())
        if call.ledger.check:
            _watch(call, place, t, "recurrent", drive)
        kept[t] = tuple(row if n == B else pad(row, (0, 0, 0, B - n)) for row in rows)
    output, drives, *columns = (torch.stack(rows) for rows in zip(*kept, strict=True))
    cells = columns.pop() if c is not None else None
    named = dict(zip({"gru": "rzn", "lstm": "ifgo"}.get(kind, ""), columns, strict=True))
    asked = drives if call.ledger.check else None
    coarsest = rounding(output, from_x.dtype, drives.dtype)
    call.states[place] = States(output.detach(), cells, named, first[0].detach(), asked, coarsest)
    return output, (h,) if c is None else (h, c)


def rounding(h: Tensor, *products: torch.dtype) -> torch.dtype | None:
    """The coarsest dtype that the ``products`` of a layer, or those of float32, are rounded to; None: that of ``h``.

    A person may have float32 multiplied more coarsely (``torch.set_float32_matmul_precision``): as bfloat16, or on CUDA
    as TF32, whose mantissa has the ten bits of float16.
    """
    found = [h.dtype, *products]
    if h.dtype == torch.float32:
        try:
            precision = torch.get_float32_matmul_precision()
        except RuntimeError:  # it was set for some backends alone: then this does not tell
            precision = "highest"
        found += [torch.bfloat16] * (precision == "medium")
        found += [torch.float16] * (precision == "high" and h.device.type == "cuda")
    coarsest = max(found, key=lambda dtype: torch.finfo(dtype).eps)
    return None if coarsest == h.dtype else coarsest


def _watch(call: Call, place: Place, t: int, name: str, tensor: Tensor) -> None:
    if tensor.requires_grad:
        tensor.register_hook(partial(_write, call, place, t, name))


def _write(call: Call, place: Place, t: int, name: str, gradient: Tensor | None) -> None:
    room = call.room(place)
    if room is not None and gradient is not None:
        into: Tensor | None = getattr(room, name)
        if into is not None:
            into[t, : len(gradient)] = gradient.detach()


def _simple(phi: Callable[[Tensor], Tensor]) -> Step:
    """h = φ(from h + from x)."""

    def step(from_x: Tensor, from_h: Tensor, h: Tensor, c: Tensor | None) -> After:
        h = phi(from_h + from_x)
        return h.view_as(h), None, ()  # what is handed on, apart from what φ′ is made of in a backward

    return step


def _gru(from_x: Tensor, from_h: Tensor, h: Tensor, c: Tensor | None) -> After:
    """r, z = σ(from h + from x); n = tanh(from x + r ⊙ from h); h = (h₋ − n) ⊙ z + n."""
    (x_r, x_z, x_n), (h_r, h_z, h_n) = from_x.chunk(3, 1), from_h.chunk(3, 1)
    r, z = torch.sigmoid(h_r + x_r), torch.sigmoid(h_z + x_z)
    n = torch.tanh(x_n + h_n * r)
    return (h - n) * z + n, None, (r, z, n)


def _lstm(from_x: Tensor, from_h: Tensor, h: Tensor, c: Tensor | None) -> After:
    """c = f ⊙ c₋ + i ⊙ g; h = o ⊙ tanh c."""
    assert c is not None
    a_i, a_f, a_g, a_o = (from_h + from_x).chunk(4, 1)
    i, f, g, o = torch.sigmoid(a_i), torch.sigmoid(a_f), torch.tanh(a_g), torch.sigmoid(a_o)
    c = f * c + i * g
    return o * torch.tanh(c), c, (i, f, g, o)


STEPS: Mapping[str, Step] = {"tanh": _simple(torch.tanh), "relu": _simple(torch.relu), "gru": _gru, "lstm": _lstm}
