"""What the recurrence tests share: random problems whose recurrence is not chaotic, one way to call every cell, and how
close is close."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from diagnostics.recurrence import reference

torch.set_num_threads(1)

GATES = {"tanh": 1, "relu": 1, "sigmoid": 1, "identity": 1, "gru": 3, "lstm": 4}
CELLS = pytest.mark.parametrize("cell", GATES)
WAYS = pytest.mark.parametrize(
    ("path", "dtype"),
    [("plain", torch.float64), ("plain", torch.float32), ("fused", torch.float32)],
    ids=["plain-float64", "plain-float32", "fused-float32"],
    indirect=["path"],
)
"""Every path with every dtype that it serves; the fixture ``path`` puts it in force."""
WALKS = {
    "forward": {},
    "reverse": {"reverse": True},
    "lengths": {"lengths": "mixed"},
    "lengths-reverse": {"lengths": "mixed", "reverse": True},
}


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
    lengths: Tensor | None = None
    reverse: bool = False

    def named(self) -> dict[str, Tensor]:
        """Everything that has a gradient, by name."""
        names = ("x", "h0", "c0", "w_ih", "w_hh", "b_ih", "b_hh")
        candidates = zip(names, (self.x, self.h0, self.c0, *self.parameters), strict=True)
        return {name: leaf for name, leaf in candidates if leaf is not None and leaf.requires_grad}

    def leaves(self) -> list[Tensor]:
        """Everything that has a gradient."""
        return list(self.named().values())

    def to(self, dtype: torch.dtype) -> None:
        """Make everything of ``dtype``, the leaves anew."""
        for name in ("x", "h0", "c0"):
            value = getattr(self, name)
            setattr(self, name, None if value is None else value.detach().to(dtype).requires_grad_())
        self.parameters = [None if w is None else w.detach().to(dtype).requires_grad_() for w in self.parameters]
        self.of_output, self.of_final = self.of_output.to(dtype), self.of_final.to(dtype)

    def padding(self) -> Tensor:
        """[T,B], true where a sample is over."""
        assert self.lengths is not None
        return torch.arange(len(self.x))[:, None] >= self.lengths

    def run(self, module: ModuleType) -> tuple[Tensor, Tensor, Tensor | None, Any]:
        """(output, h_n, c_n or None, trace) from a module that has rnn, gru and lstm."""
        walk = {"lengths": self.lengths, "reverse": self.reverse}
        if self.cell == "lstm":
            state = None if self.h0 is None else (self.h0, self.c0)
            output, (h_n, c_n), trace = module.lstm(self.x, state, *self.parameters, **walk)
            return output, h_n, c_n, trace
        if self.cell == "gru":
            output, h_n, trace = module.gru(self.x, self.h0, *self.parameters, **walk)
        else:
            output, h_n, trace = module.rnn(self.x, self.h0, *self.parameters, nonlinearity=self.cell, **walk)
        return output, h_n, None, trace

    def everything(self, module: ModuleType) -> dict[str, Tensor]:
        """All that there is to compare, by name: returns, trace and gradients."""
        output, h_n, c_n, trace = self.run(module)
        gradients = torch.autograd.grad(self.loss(output, h_n, c_n), self.leaves())
        found = {"output": output, "h_n": h_n, "h": trace.h, **trace.gates}
        found |= {"grad_h": trace.grad_h, "grad_preactivation": trace.grad_preactivation}
        if c_n is not None:
            found |= {"c_n": c_n, "c": trace.c, "grad_c": trace.grad_c}
        return found | {f"gradient of {name}": value for name, value in zip(self.named(), gradients, strict=True)}

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
    lengths: str | None = None,
    reverse: bool = False,
    seed: int = 0,
) -> Problem:
    """T, B, I, H = shape; biases "both", "none", "ih" or "hh"; loss at the "last", "every", or "random" steps, or
    "final" (the final states alone); lengths "mixed" or "all". Its numbers are those of float32 in every dtype."""
    T, B, inputs, H = shape
    G = GATES[cell]
    random = torch.Generator().manual_seed(seed)

    def draw(*size: int, scale: float = 1.0) -> Tensor:
        return (torch.randn(*size, generator=random, dtype=torch.float64) * scale).float().to(dtype)

    # An orthogonal matrix below one in norm keeps rnn from exploding; relu and identity would amplify otherwise.
    square = torch.linalg.qr(torch.randn(G, H, H, generator=random, dtype=torch.float64))[0]
    w_hh = (0.95 * square.reshape(G * H, H)).float().to(dtype)
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
        {"all": torch.full((B,), T), "mixed": torch.randint(1, T + 1, (B,), generator=random)}[lengths]
        if lengths
        else None,
        reverse,
    )
    for leaf in (made.x, made.h0, made.c0, *made.parameters):
        if leaf is not None:
            leaf.requires_grad_()
    return made


@lru_cache(maxsize=4)  # every way of a problem is tested before the next problem is, with at most four losses
def of_twin(cell: str, shape: tuple[int, int, int, int], **how: Any) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Everything of a problem from the plain twin in float64, and of each the scale of its rounding errors.

    That is the largest entry, and for a gradient that is a sum over K, the batch or time, the largest of its sums of
    absolute values: where the terms all but cancel, what is left says nothing about the errors in it.
    """
    p = problem(cell, shape, **how)
    found = p.everything(reference)
    scales = {name: value.abs().max().item() for name, value in found.items()}
    delta, w_ih, w_hh = (value.detach().abs() for value in (found["grad_preactivation"], *p.parameters[:2]))
    total, ends = delta.sum((0, 1)), torch.full(shape[1:2], shape[0]) if p.lengths is None else p.lengths
    first = delta[ends - 1, torch.arange(shape[1])] if p.reverse else delta[0]
    states = [found["output"], *([] if p.h0 is None else [p.h0])]
    sums = {
        "x": delta @ w_ih,
        "h0": first @ w_hh,
        "w_ih": torch.einsum("tbk,tbi->ki", delta, p.x.abs()),
        "w_hh": total * max(state.abs().max() for state in states),
        "b_ih": total,
        "b_hh": total,
    }
    for name, value in sums.items():
        scales[f"gradient of {name}"] = max(value.max().item(), scales.get(f"gradient of {name}", 0.0))
    return found, scales


def tolerance(dtype: torch.dtype, T: int) -> float:
    """How far a result of T steps may be from that of the twin in float64, relative to the largest entry.

    The roundings of a step, about u each (2⁻²⁴ or 2⁻⁵³), add up like a random walk over the steps, since the problems'
    recurrences are not chaotic, and a sum over a batch of them does not do worse: a few u √T. The factor has room for
    what a step does in a row: products over I and H, functions good to a few u each, products of gates. (Measured over
    the grid in float32: below 10 on either path, save where a single unit's gradient all but cancels, below 31.)
    """
    u = torch.finfo(dtype).eps / 2
    return 32 * u * T**0.5


def error(got: Tensor, want: Tensor, scale: float | None = None) -> float:
    """The largest difference relative to ``scale``, or to the largest entry of what is wanted, in float64.

    Below the normal numbers of a dtype there is no relative precision to ask for: no scale counts as less than these.
    """
    assert got.shape == want.shape
    floor = torch.finfo(got.dtype).smallest_normal / torch.finfo(got.dtype).eps
    got, want = got.detach().double(), want.detach().double()
    difference = (got - want).abs().max().item()
    assert not math.isnan(difference)
    return difference / max(floor, want.abs().max().item() if scale is None else scale)


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
