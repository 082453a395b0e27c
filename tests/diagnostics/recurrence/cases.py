"""What the recurrence tests share: random problems whose recurrence is not chaotic, and one way to call every cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

GATES = {"tanh": 1, "relu": 1, "sigmoid": 1, "identity": 1, "gru": 3, "lstm": 4}
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}


@dataclass
class Problem:
    """A cell, its inputs and parameters, and the weights of a loss: of each output, and of the final h and c."""

    cell: str
    x: Tensor
    h0: Tensor | None
    c0: Tensor | None
    parameters: list[Tensor | None]
    of_output: Tensor
    of_final: Tensor

    def leaves(self) -> list[Tensor]:
        """Everything that has a gradient."""
        candidates = [self.x, self.h0, self.c0, *self.parameters]
        return [leaf for leaf in candidates if leaf is not None and leaf.requires_grad]

    def run(self, module: ModuleType) -> tuple[Tensor, Tensor, Tensor | None, Any]:
        """(output, h_n, c_n or None, trace) from a module that has rnn, gru and lstm."""
        if self.cell == "lstm":
            state = None if self.h0 is None else (self.h0, self.c0)
            output, (h_n, c_n), trace = module.lstm(self.x, state, *self.parameters)
            return output, h_n, c_n, trace
        if self.cell == "gru":
            output, h_n, trace = module.gru(self.x, self.h0, *self.parameters)
        else:
            output, h_n, trace = module.rnn(self.x, self.h0, *self.parameters, nonlinearity=self.cell)
        return output, h_n, None, trace

    def loss(self, output: Tensor, h_n: Tensor, c_n: Tensor | None) -> Tensor:
        """A loss that is not linear in anything that it uses."""
        value = (self.of_output * output.sin()).sum() + (self.of_final[0] * h_n.sin()).sum()
        return value if c_n is None else value + (self.of_final[1] * c_n.sin()).sum()


def problem(
    cell: str,
    shape: tuple[int, int, int, int],
    *,
    dtype: torch.dtype = torch.float64,
    biases: str = "both",
    state: bool = True,
    loss: str = "every",
    seed: int = 0,
) -> Problem:
    """T, B, I, H = shape; biases "both", "none", "ih" or "hh"; loss at the "last", "every", or "random" steps, or
    "final" (the final states alone)."""
    T, B, inputs, H = shape
    G = GATES[cell]
    random = torch.Generator().manual_seed(seed)

    def draw(*size: int, scale: float = 1.0) -> Tensor:
        return (torch.randn(*size, generator=random, dtype=torch.float64) * scale).to(dtype)

    # An orthogonal matrix below one in norm keeps rnn from exploding; relu and identity would amplify otherwise.
    square = torch.linalg.qr(torch.randn(G, H, H, generator=random, dtype=torch.float64))[0]
    w_hh = (0.95 * square.reshape(G * H, H)).to(dtype)
    parameters: list[Tensor | None] = [draw(G * H, inputs, scale=inputs**-0.5), w_hh]
    parameters += [draw(G * H, scale=0.3) if biases in ("both", name) else None for name in ("ih", "hh")]
    steps = torch.ones(T) if loss == "every" else (torch.rand(T, generator=random) < 0.3).double()
    steps = torch.zeros(T) if loss == "final" else steps
    if loss == "last":
        steps = torch.nn.functional.one_hot(torch.tensor(T - 1), T)
    final = 0.0 if loss in ("last",) else 1.0
    made = Problem(
        cell,
        draw(T, B, inputs),
        draw(B, H, scale=0.5) if state else None,
        draw(B, H, scale=0.5) if state and cell == "lstm" else None,
        parameters,
        draw(T, B, H) * steps.to(dtype)[:, None, None],
        draw(2, B, H, scale=final),
    )
    for leaf in (made.x, made.h0, made.c0, *made.parameters):
        if leaf is not None:
            leaf.requires_grad_()
    return made


def error(got: Tensor, want: Tensor, *, by_step: bool = False) -> float:
    """Norm of the difference relative to the norm of what is wanted, in float64; ``by_step``, the largest over T.

    Below the normal numbers of a dtype there is no relative precision to ask for, so no norm counts as less than these.
    """
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    floor = torch.finfo(want.dtype).smallest_normal / torch.finfo(want.dtype).eps
    got, want = got.detach().double(), want.detach().double()
    if not by_step:
        got, want = got[None], want[None]
    difference, scale = (got - want).flatten(1).norm(dim=1), want.flatten(1).norm(dim=1)
    assert not difference.isnan().any()
    return (difference / scale.clamp(min=floor)).max().item()


def step(cell: str, x_t: Tensor, h: Tensor, c: Tensor, parameters: list[Tensor | None]) -> tuple[Tensor, Tensor]:
    """One step (h, c) written anew from the definitions, sharing no code with what is tested."""
    w_ih, w_hh, b_ih, b_hh = parameters
    zero = torch.zeros((), dtype=x_t.dtype)
    from_x = torch.einsum("bi,ki->bk", x_t, w_ih) + (zero if b_ih is None else b_ih)
    from_h = torch.einsum("bj,kj->bk", h, w_hh) + (zero if b_hh is None else b_hh)
    H = h.shape[1]
    if cell == "gru":
        r = 1 / (1 + torch.exp(-(from_x[:, :H] + from_h[:, :H])))
        z = 1 / (1 + torch.exp(-(from_x[:, H : 2 * H] + from_h[:, H : 2 * H])))
        n = torch.tanh(from_x[:, 2 * H :] + r * from_h[:, 2 * H :])
        return (1 - z) * n + z * h, c
    a = from_x + from_h
    if cell == "lstm":
        i, f, o = (1 / (1 + torch.exp(-a[:, k * H : (k + 1) * H])) for k in (0, 1, 3))
        c = f * c + i * torch.tanh(a[:, 2 * H : 3 * H])
        return o * torch.tanh(c), c
    simple: Mapping[str, Callable[[Tensor], Tensor]] = {
        "tanh": torch.tanh,
        "relu": lambda v: v.clamp(min=0),
        "sigmoid": lambda v: 1 / (1 + torch.exp(-v)),
        "identity": lambda v: v,
    }
    return simple[cell](a), c


def cut_gradients(p: Problem) -> tuple[list[Tensor], list[Tensor]]:
    """The state gradients at h and at c by their definition: at every t, the network is cut between t and t+1.

    The part before the cut runs alone; h_t and c_t are made leaves; the rest runs from them, and the loss uses h_t by
    itself as output[t]. Quadratic in T, and free of hooks.
    """
    T, B, _ = p.x.shape
    H = p.of_final.shape[2]
    x, parameters = p.x.detach(), [None if w is None else w.detach() for w in p.parameters]
    first = [torch.zeros(B, H, dtype=x.dtype) if s is None else s.detach() for s in (p.h0, p.c0)]
    states = [(first[0], first[1])]
    for x_t in x:
        states.append(step(p.cell, x_t, *states[-1], parameters))
    of_h, of_c = [], []
    for t in range(T):
        h, c = (part.detach().requires_grad_() for part in states[t + 1])
        leaves, outputs = (h, c), [h]
        for x_t in x[t + 1 :]:
            h, c = step(p.cell, x_t, h, c, parameters)
            outputs.append(h)
        value = (p.of_output[t:] * torch.stack(outputs).sin()).sum() + (p.of_final[0] * h.sin()).sum()
        if p.cell == "lstm":
            value = value + (p.of_final[1] * c.sin()).sum()
        found = torch.autograd.grad(value, leaves, allow_unused=True, materialize_grads=True)
        of_h.append(found[0])
        of_c.append(found[1])
    return of_h, of_c
