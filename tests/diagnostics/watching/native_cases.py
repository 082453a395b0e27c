"""What the tests of torch.nn's layers share: layers called in every way, and the same written out in plain autograd.

Letters: T timesteps, B batch, I input size, H hidden size, P size of the state that is handed on, L layers, D
directions.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from diagnostics.watching.native import NativeSource, attach
from diagnostics.watching.passing import Pass

torch.set_num_threads(1)

T, B, I, H = 6, 4, 3, 5  # noqa: E741
LENGTHS = {"sorted": [6, 5, 5, 2], "unsorted": [2, 6, 5, 3], "short": [3, 4, 1, 4]}
CLOSE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 5e-2}
CELLS: dict[str, tuple[type[nn.RNNBase], dict[str, Any]]] = {
    "tanh": (nn.RNN, {}),
    "relu": (nn.RNN, {"nonlinearity": "relu"}),
    "gru": (nn.GRU, {}),
    "lstm": (nn.LSTM, {}),
}


@dataclass
class Case:
    """A layer, how it is called, and the weights of a linear loss: of the output, and of the final states."""

    cell: str
    options: dict[str, Any] = field(default_factory=dict)
    packed: str = ""
    state: bool = False
    unbatched: bool = False
    loss: str = "every"
    dtype: torch.dtype = torch.float64
    x_learns: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        torch.manual_seed(self.seed)
        cls, fixed = CELLS[self.cell]
        self.module = cls(I, H, **fixed, **self.options).to(self.dtype)
        self.batch = 1 if self.unbatched else B
        self.D = 2 if self.module.bidirectional else 1
        self.P = self.module.proj_size or H
        places = self.module.num_layers * self.D
        self.x = self._random(T, self.batch, I).requires_grad_(self.x_learns)
        sizes = (self.P, H) if self.cell == "lstm" else (self.P,)
        self.hx = tuple(self._random(places, self.batch, size).requires_grad_() for size in sizes)
        self.of_output = self._random(T, self.batch, self.D * self.P)
        self.of_finals = [self._random(places, self.batch, size) for size in sizes]
        if self.loss in ("last", "final"):
            self.of_output[: T - 1] = 0
        if self.loss == "final":
            self.of_output.zero_()
        if self.loss in ("last", "every"):
            self.of_finals = [torch.zeros_like(final) for final in self.of_finals]

    def _random(self, *shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64).to(self.dtype)

    @property
    def lengths(self) -> Tensor | None:
        """In the order of the packed samples."""
        return torch.tensor(sorted(LENGTHS[self.packed], reverse=True)) if self.packed else None

    @property
    def order(self) -> Tensor:
        """Packed sample → the person's."""
        packed = self.given()
        order = packed.sorted_indices if isinstance(packed, PackedSequence) else None
        return torch.arange(self.batch) if order is None else order

    def given(self) -> Tensor | PackedSequence:
        """The input as the person gives it."""
        x = self.x[:, 0] if self.unbatched else self.x
        first = self.module.batch_first and not self.unbatched
        x = x.transpose(0, 1) if first else x
        if not self.packed:
            return x
        return pack_padded_sequence(
            x, torch.tensor(LENGTHS[self.packed]), batch_first=first, enforce_sorted=self.packed == "sorted"
        )

    def call(self) -> tuple[Tensor, list[Tensor], Any]:
        """(output [T,B,·] or packed data, final states [L·D,B,·], what the module returned)."""
        hx: Any = None
        if self.state:
            states = [state[:, 0] if self.unbatched else state for state in self.hx]
            hx = tuple(states) if self.cell == "lstm" else states[0]
        returned = self.module(self.given(), hx)
        output, finals = returned
        finals = list(finals) if isinstance(finals, tuple) else [finals]
        if isinstance(output, PackedSequence):
            return output.data, finals, returned
        if self.unbatched:
            return output.unsqueeze(1), [final.unsqueeze(1) for final in finals], returned
        return (output.transpose(0, 1) if self.module.batch_first else output), finals, returned

    def value(self, output: Tensor, finals: list[Tensor], of_output: Tensor, of_finals: list[Tensor]) -> Tensor:
        """The loss: each output, packed or not, and the final states in the person's order."""
        if self.packed:
            of_output = of_output[:, self.order].flatten(0, 1)[self.rows()]
        value = (output.to(self.dtype) * of_output).sum()
        return value + sum((final * w).sum() for final, w in zip(finals, of_finals, strict=True))

    def rows(self) -> Tensor:
        """Which of T·B rows [t, packed sample] are no padding, in the order of the packed data."""
        assert self.lengths is not None
        there = torch.arange(T)[:, None] < self.lengths
        return there.flatten().nonzero().flatten()

    def leaves(self) -> dict[str, Tensor]:
        """All that has a gradient."""
        named = dict(self.module.named_parameters())
        if self.x_learns:
            named["x"] = self.x
        if self.state:
            named |= {f"hx{k}": state for k, state in enumerate(self.hx)}
        return named

    def gradients(self) -> dict[str, Tensor]:
        """And take them away."""
        found = {}
        for name, leaf in self.leaves().items():
            found[name] = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad.clone()
            leaf.grad = None
        return found


@contextmanager
def watching(model: nn.Module, *, check: bool = False) -> Iterator[NativeSource]:
    """An armed source; afterwards the model is as it was."""
    before = [(module, dict(vars(module))) for module in model.modules()]
    source = attach(model)
    source.arm(check=check)
    try:
        yield source
    finally:
        source.close()
        for module, was in before:
            assert list(vars(module)) == list(was)
            assert all(vars(module)[name] is value for name, value in was.items() if not name.startswith("_flat"))


@dataclass
class Layer:
    """Of the plain twin: handed-over states [T][B,·] in walk order of each sample, with their gradients."""

    h: list[Tensor]
    c: list[Tensor]
    steps: list[int]
    """The timesteps as they were walked."""


def step(cell: str, x_t: Tensor, h: Tensor, c: Tensor, weights: list[Tensor], bias: bool) -> tuple[Tensor, Tensor]:
    """One step written anew from torch's documentation."""
    w_ih, w_hh, *rest = weights
    from_x, from_h = x_t @ w_ih.T, h @ w_hh.T
    if bias:
        from_x, from_h = from_x + rest[0], from_h + rest[1]
    if cell == "gru":
        (x_r, x_z, x_n), (h_r, h_z, h_n) = from_x.split(H, 1), from_h.split(H, 1)
        z = (x_z + h_z).sigmoid()
        return (1 - z) * (x_n + (x_r + h_r).sigmoid() * h_n).tanh() + z * h, c
    if cell == "lstm":
        i, f, g, o = (from_x + from_h).split(H, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        return (h @ rest[-1].T if len(rest) % 2 else h), c
    return (from_x + from_h).tanh() if cell == "tanh" else (from_x + from_h).clamp(min=0), c


def unrolled(case: Case) -> tuple[Tensor, list[Tensor], dict[tuple[int, int], Layer]]:
    """(output, final states in the person's order, layers): the same as ``case.call`` in plain autograd.

    The state that each step hands on is a tensor of its own, an alias, which keeps its gradient.
    """
    module, order, lengths = case.module, case.order, case.lengths
    x = case.x[:, order]
    L, D = module.num_layers, case.D
    ends = torch.full((case.batch,), T) if lengths is None else lengths
    finals: list[list[Tensor]] = [[], []]
    layers = {}
    for layer in range(L):
        outputs = []
        for direction in range(D):
            place = layer * D + direction
            weights = [getattr(module, name) for name in module._all_weights[place]]
            if case.state:
                h, c = case.hx[0][place, order], case.hx[-1][place, order]
            else:
                h, c = x.new_zeros(case.batch, case.P), x.new_zeros(case.batch, H)
            steps = list(range(int(ends.max())))[:: -1 if direction else 1]
            kept, out = Layer([], [], steps), {}
            for t in steps:
                there = (ends > t)[:, None]
                h_t, c_t = step(case.cell, x[t], h, c, weights, module.bias)
                h, c = (torch.where(there, new, old) for new, old in ((h_t, h), (c_t, c)))
                for state in (h, c):
                    if state.requires_grad:
                        state.retain_grad()
                kept.h.append(h)
                kept.c.append(c)
                out[t] = torch.where(there, h, 0.0)
            outputs.append(torch.stack([out[t] for t in sorted(out)]))
            finals[0].append(h)
            finals[1].append(c)
            layers[layer, direction] = kept
        x = torch.cat(outputs, 2)
        if module.dropout and module.training and layer < L - 1:
            if lengths is None:
                x = torch.dropout(x, module.dropout, True)
            else:
                flat = torch.dropout(x.flatten(0, 1)[case.rows()], module.dropout, True)
                x = torch.zeros_like(x).flatten(0, 1).index_copy(0, case.rows(), flat).view_as(x)
    back = order.argsort()
    states = [torch.stack(part)[:, back] for part in finals[: len(case.hx)]]
    return (x.flatten(0, 1)[case.rows()] if case.packed else x), states, layers


def total(kept: list[Tensor], layer: Layer, lengths: Tensor | None) -> Tensor:
    """[T,B,·] in walk order, samples as packed, zeros beyond a sample's length: of states that kept their gradients."""
    grads = torch.stack([torch.zeros_like(state) if state.grad is None else state.grad for state in kept])
    if lengths is None:
        return grads
    by_time = torch.zeros_like(grads)
    by_time[layer.steps] = grads
    whole = torch.zeros_like(grads)
    for b, length in enumerate(lengths.tolist()):
        own = by_time[:length, b]
        whole[:length, b] = own.flip(0) if layer.steps[0] > layer.steps[-1] else own
    return whole


def close(got: Tensor, want: Tensor, dtype: torch.dtype = torch.float64) -> None:
    assert got.shape == want.shape
    scale = max(1.0, want.abs().max().item()) if want.numel() else 1.0
    assert (got.double() - want.double()).abs().max().item() <= CLOSE[dtype] * scale


def gone_through(case: Case, **how: Any) -> tuple[Tensor, list[Tensor], dict[str, Tensor], Tensor, list[Pass]]:
    """Output, final states, gradients, the generator's state afterwards and the passes of one step, watched."""
    torch.manual_seed(3)
    with watching(case.module, **how) as source:
        output, finals, _ = case.call()
        case.value(output, finals, case.of_output, case.of_finals).backward()
        passes = source.take()
    return output, finals, case.gradients(), torch.get_rng_state(), passes


def gone_alone(case: Case) -> tuple[Tensor, list[Tensor], dict[str, Tensor], Tensor]:
    """The same of the layer that nobody watches."""
    torch.manual_seed(3)
    output, finals, _ = case.call()
    case.value(output, finals, case.of_output, case.of_finals).backward()
    return output, finals, case.gradients(), torch.get_rng_state()


def by_group(passes: list[Pass]) -> dict[int, Pass]:
    """By direction, of one call."""
    return {int(one.direction == "reverse"): one for one in passes}
