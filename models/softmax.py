"""Heads for many words: the softmax in full, and three ways not to write all of it out at every training step.

Letters: N answers, H features, V words, numbered by how often they come, the commonest first; K noise words.

- full: log p(w) = s_w − log Σ_v exp s_v, s = W h + b. Time and memory grow with V.
- adaptive: the commonest words in a short list of their own, the others in clusters that are only looked into where
  they are needed, with fewer features the rarer they are. Grave, Joulin, Cissé, Grangier, Jégou, "Efficient softmax
  approximation for GPUs", 2017; torch's ``AdaptiveLogSoftmaxWithLoss``.
- hierarchical: a word is a leaf of a binary tree, and its probability the product of a left-or-right decision at each
  node on the way, σ(±(θ·h + b)): about log₂ V of them. Morin and Bengio, "Hierarchical probabilistic neural network
  language model", 2005; here the tree is the complete one over the words in order.
- nce: words are told from K noise words drawn from q, with s_w taken as log p(w) as it stands, so that no sum over V is
  needed: −log σ(s_w − log K q_w) − Σ log σ(log K q_v − s_v). Gutmann and Hyvärinen, "Noise-contrastive estimation",
  2010; for language models Mnih and Teh, "A fast and simple algorithm for training neural probabilistic language
  models", 2012. What it ends at need not add up to 1; ``mass`` says how far it does.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

NOISE_WORDS = 64
"""K, drawn anew for every training step and shared by all its answers."""


class Head(nn.Module, ABC):
    """A head over V words, numbered by how often they come, the commonest first."""

    @abstractmethod
    def fill(self, generator: Generator) -> None:
        """Draw every parameter from ``generator``, and from it whatever is drawn later."""

    @abstractmethod
    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """The mean training loss in nats of features [N,H] for targets int64 [N]."""

    @abstractmethod
    def log_probabilities(self, features: Tensor) -> Tensor:
        """log p of every word, [N,V], normalised, for features [N,H]."""

    def mass(self, features: Tensor) -> Tensor:
        """What the head's own probabilities add up to, [N]: 1, where they are normalised by the way they are made."""
        return self.log_probabilities(features).exp().sum(dim=1)


def head(kind: str, size: int, words: int) -> Head:
    """The head of that kind for ``size`` features and ``words`` words; raises ``ValueError`` for an unknown kind."""
    kinds: dict[str, Callable[[int, int], Head]] = {
        "full": Full,
        "adaptive": Adaptive,
        "hierarchical": Hierarchical,
        "nce": NoiseContrastive,
    }
    if kind not in kinds:
        raise ValueError(f"softmax must be one of {', '.join(kinds)}, but got {kind!r}")
    return kinds[kind](size, words)


@torch.no_grad()
def _fill(module: nn.Module, generator: Generator) -> None:
    """Every parameter from U(−1/√n, 1/√n), n the numbers that go into one of its outputs."""
    for part in module.modules():
        for name, parameter in part.named_parameters(recurse=False):
            inputs = parameter.shape[1] if name == "weight" else part.get_parameter("weight").shape[1]
            parameter.uniform_(-1 / math.sqrt(inputs), 1 / math.sqrt(inputs), generator=generator)


class Scores(nn.Module):
    """A row of ``weight`` [V,H] and an entry of ``bias`` [V] for each word or node: s = W h + b."""

    def __init__(self, size: int, rows: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(rows, size))
        self.bias = nn.Parameter(torch.zeros(rows))

    def fill(self, generator: Generator) -> None:
        """Draw every parameter from ``generator``."""
        _fill(self, generator)

    def scores(self, features: Tensor) -> Tensor:
        """All of s, [N,V], for features [N,H]."""
        return functional.linear(features, self.weight, self.bias)


class Full(Scores, Head):
    """The softmax over all words."""

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """The mean cross-entropy in nats of features [N,H] for targets int64 [N]."""
        return functional.cross_entropy(self.scores(features), targets)

    def log_probabilities(self, features: Tensor) -> Tensor:
        """log p of every word, [N,V], for features [N,H]."""
        return self.scores(features).log_softmax(dim=1)


class Adaptive(Head):
    """torch's adaptive softmax: a short list, and clusters of rarer and rarer words with fewer and fewer features."""

    def __init__(self, size: int, words: int) -> None:
        super().__init__()
        self.inner = nn.AdaptiveLogSoftmaxWithLoss(size, words, list(cutoffs(words)), div_value=div_value(size))

    def fill(self, generator: Generator) -> None:
        """Draw every parameter from ``generator``."""
        _fill(self, generator)

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """The mean cross-entropy in nats of features [N,H] for targets int64 [N]."""
        found: Tensor = self.inner(features, targets).loss
        return found

    def log_probabilities(self, features: Tensor) -> Tensor:
        """log p of every word, [N,V], for features [N,H]."""
        return self.inner.log_prob(features)


def cutoffs(words: int) -> tuple[int, ...]:
    """Where the clusters begin: the short list has about a tenth of the words, the first cluster up to half of them."""
    return tuple(sorted({max(1, words // 10), max(2, words // 2)} & set(range(1, words))))


def div_value(size: int) -> float:
    """By how much fewer features each further cluster has: a quarter, as far as there are so many."""
    return 4.0 if size >= 16 else 1.0


class Hierarchical(Head):
    """Left-or-right decisions down a complete binary tree, numbered as a heap: 1 the root, 2k and 2k + 1 below k.

    Word w is the leaf w + V; nodes 1 … V − 1 decide, and node k has row k − 1 of ``nodes``.
    """

    def __init__(self, size: int, words: int) -> None:
        super().__init__()
        self.words = words
        self.nodes = Scores(size, words - 1)
        depth = (2 * words - 1).bit_length() - 1
        leaves = torch.arange(words) + words
        above = torch.stack([leaves >> (d + 1) for d in range(depth)], dim=1)  # [V,depth], 0 beyond the root
        self.register_buffer("path", (above - 1).clamp(min=0), persistent=False)
        turns = torch.stack([(leaves >> d) & 1 for d in range(depth)], dim=1)
        # +1 to the right, −1 to the left, 0 where the path of a word has ended.
        self.register_buffer("turn", torch.where(above > 0, 2 * turns - 1, 0), persistent=False)

    path: Tensor
    turn: Tensor

    def fill(self, generator: Generator) -> None:
        """Draw every parameter from ``generator``."""
        self.nodes.fill(generator)

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """The mean cross-entropy in nats of features [N,H] for targets int64 [N], from log₂ V decisions each."""
        path, turn = self.path[targets], self.turn[targets]
        flat = path.flatten()
        weight = self.nodes.weight.index_select(0, flat).view(*path.shape, -1)
        score = (weight @ features[:, :, None]).squeeze(2) + self.nodes.bias[flat].view_as(path)
        return -(functional.logsigmoid(turn * score) * turn.abs()).sum(dim=1).mean()

    def log_probabilities(self, features: Tensor) -> Tensor:
        """log p of every word, [N,V], for features [N,H]: all decisions, from the root down."""
        score = self.nodes.scores(features)
        V = self.words
        found = [torch.zeros_like(score[:, :1])]  # level by level; the root is certain
        leaves = []
        first = 1
        while first < 2 * V:
            here = found[-1]
            inner = max(0, min(first * 2, V) - first)  # those of this level that decide; the others are leaves
            leaves.append(here[:, inner:])
            decided = score[:, first - 1 : first - 1 + inner]
            left, right = (here[:, :inner] + functional.logsigmoid(sign * decided) for sign in (-1, 1))
            found.append(torch.stack([left, right], dim=2).flatten(1))
            first *= 2
        # Level by level the heap's numbers rise, so these are the words in order.
        return torch.cat(leaves, dim=1)


class NoiseContrastive(Scores, Head):
    """Words told from noise; scores are trained to be logarithms of probabilities that were never normalised."""

    def __init__(self, size: int, words: int) -> None:
        super().__init__(size, words)
        self.noise = min(NOISE_WORDS, words)
        # Zipf's law over the words in order, as nobody here has counted them: q_w = log((w + 2)/(w + 1)) / log(V + 1).
        places = torch.arange(words, dtype=torch.float64)
        q = torch.log((places + 2) / (places + 1)) / math.log(words + 1)
        self.register_buffer("log_kq", (q * self.noise).log().float(), persistent=False)
        self._until = q.cumsum(0)
        self._generator = torch.Generator()

    log_kq: Tensor

    @torch.no_grad()
    def fill(self, generator: Generator) -> None:
        """Draw every parameter from ``generator``, and the seed of the noise; scores begin at −log V."""
        super().fill(generator)
        self.bias.fill_(-math.log(len(self.bias)))
        self._generator.manual_seed(int(torch.randint(2**62, (), generator=generator)))

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """The mean noise-contrastive loss in nats of features [N,H] for targets int64 [N]; not a cross-entropy."""
        drawn = torch.rand(self.noise, generator=self._generator, dtype=torch.float64)
        noise = torch.searchsorted(self._until, drawn).clamp(max=len(self.bias) - 1).to(features.device)
        rows = self.weight.index_select(0, targets)
        true = (rows * features).sum(dim=1) + self.bias.index_select(0, targets) - self.log_kq[targets]
        other = functional.linear(features, self.weight.index_select(0, noise), self.bias[noise]) - self.log_kq[noise]
        return -(functional.logsigmoid(true) + functional.logsigmoid(-other).sum(dim=1)).mean()

    def log_probabilities(self, features: Tensor) -> Tensor:
        """log p of every word, [N,V], for features [N,H], normalised: what its scores say once they are made to."""
        return self.scores(features).log_softmax(dim=1)

    def mass(self, features: Tensor) -> Tensor:
        """What the head's own probabilities exp s add up to, [N]; 1 where it has learned to be normalised."""
        return self.scores(features).exp().sum(dim=1)
