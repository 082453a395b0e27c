"""A word language model: every next word of sentences that end in an answer only a distant word decides.

The sentences are France's: "I grew up in France … I speak fluent French", with the country ``gap`` tokens before the
language. Every word is predicted from those before it; success is counted at the last one, the language, which no
model that looks back fewer than ``gap`` words can tell. Words are numbered by how often they come, the commonest
first, as a softmax wants them that spends less on rare words.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from tasks.base import CROSS_ENTROPY, Batch, Ints, Wiring
from tasks.base import Task as Base
from tasks.cloze import Cloze
from tasks.france import FRANCE

_COUNTED = 2000
"""Sentences that the order of the words is counted in."""
_COUNTED_GAP = 40


class Words(Base):
    """France's sentences at one gap, word by word."""

    def __init__(self, gap: int, length: int, wiring: Wiring) -> None:
        self._sentences = Cloze(FRANCE, gap, length, wiring)
        order, self._number = _by_frequency()
        super().__init__(
            name="words",
            title="Word language model",
            gap=gap,
            length=length,
            wiring=wiring,
            vocabulary=tuple(self._sentences.vocabulary[token] for token in order),
            input_size=len(order),
            outputs=len(order),
            answer_steps=self._sentences.answer_steps,
            informative=self._sentences.informative,
            distance=gap,
            chance_loss=float("nan"),  # the entropy of the filler has no closed form
            chance_success=self._sentences.chance_success,
            loss_name=f"{CROSS_ENTROPY}, mean over every next word",
            success_name="accuracy at the last word",
        )

    def _draw(self, rng: np.random.Generator, size: int) -> Batch:
        return self._numbered(self._sentences.batch(rng, size))

    def _numbered(self, batch: Batch) -> Batch:
        return Batch(self._number[batch.inputs], self._number[batch.targets], batch.informative_steps)

    def _answer(self, batch: Batch, index: int) -> str:
        return self.vocabulary[int(batch.targets[-1, index])]

    def _farthest(self, rng: np.random.Generator) -> Batch:
        return self._numbered(self._sentences._farthest(rng))

    def written(self, batch: Batch) -> list[list[str]]:
        """The T + 1 words of each sample in order, blank and answer last: a model of text that predicts each but the
        first is asked what the network is asked."""
        texts = np.concatenate([batch.inputs, batch.targets[-1:]])
        return [[self.vocabulary[token] for token in texts[:, index]] for index in range(batch.size)]


@cache
def _by_frequency() -> tuple[Ints, Ints]:
    """France's tokens in the order of how often they come, the commonest first, and each token's place in it."""
    sentences = Cloze(FRANCE, _COUNTED_GAP, _COUNTED_GAP + 5, "many-to-many")
    targets = sentences.batch(np.random.default_rng(0), _COUNTED).targets
    counts = np.bincount(targets.ravel(), minlength=len(sentences.vocabulary))
    order = np.argsort(-counts, kind="stable")
    number = np.empty_like(order)
    number[order] = np.arange(len(order))
    return order, number
