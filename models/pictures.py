"""What a network sees of a picture: a small CNN that was trained to classify, with its last layer chopped off.

Three times 3 × 3 convolution, ReLU and 2 × 2 maximum, so that 32 × 32 pixels become 4 × 4 places of M maps. On top the
classifier has the maximum of each map over the places and one linear layer, which says of each kind of thing whether
the picture shows it; that last layer serves nothing but this training and is chopped off. The features v of a picture
are the maps at all places, F = 16 · M numbers, scaled to the size ``SIZE``.

The convolutions are **fixed** once they can classify (transfer learning): buffers, kept with the weights like the
parameters of a run, but not trained with them. ``models.sight`` has the same in NumPy.

Letters: B batch, T timesteps, P pixels of a side, M maps, K kinds, F features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.count import MAPS, picture_size
from models.sight import CONTRAST, GROUND

Array = np.ndarray[Any, np.dtype[Any]]
Draw = Callable[[np.random.Generator, int], tuple[Array, Array]]
"""Draws so many pictures float32 [B,3,P,P], and which kinds each shows, 0 or 1 int64 [B,K]."""

STEPS, BATCH, LEARNING_RATE = 400, 48, 8e-3
TESTED = 600
"""New pictures that the classifier's accuracy is measured on."""
TRAINING = "training the CNN to classify what the pictures show, which takes some seconds"

SIZE = 0.5
"""The root mean square of v: as many numbers of size 1 would drown the word beside them and saturate the state."""

_REMEMBERED = 4
_learnt: dict[tuple[Any, ...], tuple[dict[str, Tensor], float]] = {}
"""What was learnt from a seed: the runs of a comparison have the same pictures, and need not all learn it again."""


class Stopped(Exception):  # noqa: N818 - as with StopIteration, nothing went wrong
    """Somebody asked for an end while the CNN was learning."""


class Pictures(nn.Module):
    """A picture's features v, at each timestep at which the picture is looked at.

    ``width`` is P; ``looks`` at how many timesteps, from the first on, the picture is looked at (0: at all of them).
    The convolutions are zero until ``prepare`` has trained them.
    """

    def __init__(self, width: int, looks: int = 0) -> None:
        super().__init__()
        self.width, self.looks = width, looks
        self.size = picture_size(width)
        """F, the number of features."""
        for number, (below, maps) in enumerate(zip((3, *MAPS), MAPS, strict=False)):
            self.register_buffer(f"weight_{number}", torch.zeros(maps, below, 3, 3))
            self.register_buffer(f"bias_{number}", torch.zeros(maps))
        self.register_buffer("scale", torch.ones(()))

    def forward(self, pictures: Tensor, timesteps: int) -> Tensor:
        """The features [T,B,F] of pictures [B,3,P,P] of 0 … 1; exactly 0 where the picture is not looked at."""
        seen = self.features(pictures)
        looks = min(self.looks or timesteps, timesteps)
        looked = seen.expand(looks, *seen.shape)
        return torch.cat([looked, seen.new_zeros(timesteps - looks, *seen.shape)]) if looks < timesteps else looked

    def features(self, pictures: Tensor) -> Tensor:
        """The features v [B,F] of pictures [B,3,P,P]: map after map, each row by row."""
        return _maps(pictures, self._layers()).flatten(1) * self.get_buffer("scale")

    def _layers(self) -> list[tuple[Tensor, Tensor]]:
        return [(self.get_buffer(f"weight_{n}"), self.get_buffer(f"bias_{n}")) for n in range(len(MAPS))]

    def prepare(
        self, draw: Draw, seed: int, say: Callable[[str], None], stop: Callable[[], bool] = lambda: False
    ) -> Mapping[str, str]:
        """Have the convolutions learn, from ``seed``, to classify what ``draw`` gives; once in a process for each seed.

        ``say`` hears of it before, and "" after; ``stop`` is asked as in ``learn``. Returns, as words, what is known of
        the classifier: of which share of new pictures it named exactly the things that they show. Raises ``Stopped``.
        """
        key = (getattr(draw, "__func__", draw), self.width, seed)
        if key not in _learnt:
            say(TRAINING)
            accuracy = self.learn(draw, np.random.default_rng(seed), stop=stop)
            while len(_learnt) >= _REMEMBERED:
                _learnt.pop(next(iter(_learnt)))
            _learnt[key] = {name: value.cpu().clone() for name, value in self.state_dict().items()}, accuracy
            say("")
        state, accuracy = _learnt[key]
        self.load_state_dict(state)
        return {"picture accuracy": f"{accuracy:.4f}", "pictures tested": str(TESTED)}

    def learn(
        self,
        draw: Draw,
        rng: np.random.Generator,
        steps: int = STEPS,
        stop: Callable[[], bool] = lambda: False,
    ) -> float:
        """Train for ``steps``, write the convolutions into the buffers, and return the accuracy on new pictures.

        The loss is the cross-entropy of each kind's yes or no. Always computed on the CPU. Before each step ``stop`` is
        asked whether it should end; raises ``Stopped`` then, with the buffers as they were.
        """
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        shapes = [tuple(weight.shape) for weight, _ in self._layers()]
        layers = [(_drawn(generator, *shape), nn.Parameter(torch.zeros(shape[0]))) for shape in shapes]
        kinds = draw(rng, 1)[1].shape[1]
        last = nn.Parameter(torch.zeros(kinds, MAPS[-1]))  # so that at first every picture is guessed alike
        own = nn.Parameter(torch.full((kinds,), -2.0))  # and few things are there
        optimizer = torch.optim.Adam([*(part for layer in layers for part in layer), last, own], lr=LEARNING_RATE)
        for step in range(steps):
            if stop():
                raise Stopped
            optimizer.param_groups[0]["lr"] = LEARNING_RATE * min(1.0, 1.5 * (1 - step / steps))
            pictures, shown = draw(rng, BATCH)
            scores = _classified(torch.from_numpy(pictures), layers, last, own)
            optimizer.zero_grad()
            functional.binary_cross_entropy_with_logits(scores, torch.from_numpy(shown).float()).backward()
            optimizer.step()
        with torch.no_grad():
            pictures, shown = draw(rng, TESTED)
            named = _classified(torch.from_numpy(pictures), layers, last, own).numpy() > 0
            found = _maps(torch.from_numpy(pictures), layers)
            for (weight, bias), (learnt_weight, learnt_bias) in zip(self._layers(), layers, strict=True):
                weight.copy_(learnt_weight)
                bias.copy_(learnt_bias)
            self.get_buffer("scale").fill_(SIZE / math.sqrt(float(found.square().mean()) + 1e-12))
        return float((named == shown).all(1).mean())


def _maps(pictures: Tensor, layers: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    seen = CONTRAST * (GROUND - pictures)
    for weight, bias in layers:
        seen = functional.max_pool2d(functional.relu(functional.conv2d(seen, weight, bias, padding=1)), 2)
    return seen


def _classified(pictures: Tensor, layers: Sequence[tuple[Tensor, Tensor]], last: Tensor, own: Tensor) -> Tensor:
    return functional.linear(_maps(pictures, layers).amax((2, 3)), last, own)


def _drawn(generator: torch.Generator, *shape: int) -> nn.Parameter:
    """U(−√(6/n), √(6/n)), n the numbers that go into one output: keeps the size of what ReLUs hand on (He 2015)."""
    bound = math.sqrt(6 / math.prod(shape[1:]))
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound, generator=generator))
