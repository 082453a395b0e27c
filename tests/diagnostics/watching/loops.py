"""Small models and training loops that the tests of a watched training share, and their profiles by plain autograd.

Letters: T timesteps, B batch, I input size, H hidden size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from diagnostics import Watch
from diagnostics.records import Run
from diagnostics.watching.passing import LayerPass, Pass

torch.set_num_threads(1)

T, B, I, H = 7, 4, 3, 5  # noqa: E741


class Classifier(nn.Module):
    """A recurrent layer of torch and a linear head: of the last timestep, or of all."""

    def __init__(self, kind: type[nn.RNNBase] = nn.LSTM, every_step: bool = False, **options: Any) -> None:
        super().__init__()
        self.rnn = kind(I, H, **options)
        self.head = nn.Linear(H * (2 if options.get("bidirectional") else 1), 2)
        self.every_step = every_step

    def forward(self, x: Tensor) -> Tensor:
        states = self.rnn(x)[0]
        return self.head(states if self.every_step else states[-1])


def model(seed: int = 0, dtype: torch.dtype = torch.float64, **options: Any) -> Classifier:
    torch.manual_seed(seed)
    return Classifier(**options).to(dtype)


def batches(
    count: int, dtype: torch.dtype = torch.float64, steps: int = T, size: int = B
) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    for _ in range(count):
        yield (
            torch.randn(steps, size, I, generator=generator, dtype=dtype),
            torch.randn(size, 2, generator=generator, dtype=dtype),
        )


def mean_square(outputs: Tensor, targets: Tensor) -> Tensor:
    """A mean over the batch (and over timesteps where there are several), summed over the rest."""
    return (outputs - targets).square().sum(dim=-1).mean()


def lstm_profile(
    network: Classifier, x: Tensor, y: Tensor, loss: Callable[[Tensor, Tensor], Tensor] = mean_square
) -> np.ndarray:
    """The median over the batch of ‖(∂L/∂h_t, ∂L/∂c_t)‖, [T], B times that of the mean, by unrolling the cell.

    The c that counts is the one that is handed on: h is made of the same c before it is cut.
    """
    cell = nn.LSTMCell(I, H).to(x.dtype)
    for name, values in cell.named_parameters():
        values.data = getattr(network.rnn, f"{name}_l0").data
    head = [values.detach() for values in (network.head.weight, network.head.bias)]
    h = c = torch.zeros(x.shape[1], H, dtype=x.dtype)
    states: list[tuple[Tensor, Tensor]] = []
    for now in x:
        h, c = cell(now, (h, c))
        c = c * 1.0  # an alias, so that the way through h is not counted
        h.retain_grad()
        c.retain_grad()
        states.append((h, c))
    outputs = nn.functional.linear(torch.stack([h for h, _ in states]) if network.every_step else h, *head)
    loss(outputs, y).backward()
    size = x.shape[1]
    norms = [
        torch.cat([g if g is not None else torch.zeros_like(s) for s, g in ((h, h.grad), (c, c.grad))], dim=1)
        for h, c in states
    ]
    return size * np.median([one.norm(dim=1).numpy() for one in norms], axis=1)


def a_pass(
    steps: int = T,
    size: int = B,
    *,
    group: str = "part",
    kind: str = "tanh",
    seed: int = 0,
    decay: float = 1.0,
    **more: Any,
) -> Pass:
    """A pass as a source hands it on, with random states; its gradient shrinks by ``decay`` per step back."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    falling = decay ** torch.arange(steps - 1, -1, -1, dtype=torch.float64)
    layer = LayerPass(h=random(steps, size, H), grad_h=random(steps, size, H) * falling[:, None, None])
    return Pass(group=group, kind=kind, layers=[more.pop("layer", layer)], class_name=f"mine.{kind}", **more)


def train(
    network: nn.Module,
    w: Watch | None,
    steps: int,
    *,
    clip: str | None = None,
    with_loss: bool = True,
    rate: float = 0.1,
    before: Callable[[int, Tensor, Tensor], None] = lambda step, x, y: None,
) -> None:
    optimizer = torch.optim.SGD(network.parameters(), rate)
    for step, (x, y) in enumerate(batches(steps, next(network.parameters()).dtype)):
        before(step, x, y)
        loss = mean_square(network(x), y)
        optimizer.zero_grad()
        loss.backward()
        if w is None:
            if clip is not None:
                torch.nn.utils.clip_grad_norm_(network.parameters(), float(clip.partition(":")[2]))
            optimizer.step()
        else:
            w.step(optimizer, clip=clip, loss=loss if with_loss else None)


def kinds(w: Watch) -> list[str]:
    """What happened, besides what the profile itself says."""
    return [event.kind for event in w.events if event.kind not in ("vanishing", "exploding")]


def only(w: Watch) -> Run:
    (run,) = w.runs
    return run


def norm_of(network: nn.Module) -> float:
    """The l2 norm of the whole gradient."""
    return math.sqrt(sum(float(p.grad.square().sum()) for p in network.parameters() if p.grad is not None))
