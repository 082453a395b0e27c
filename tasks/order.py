"""Order: "Market falls into bear territory" is about trading, "Bear falls into market territory" is not.

One word of the exchange and one animal; whichever comes first decides. The samples of a batch come in pairs, 2i and
2i + 1: the same words, those two exchanged, and the other answer. A network that only counts words (``models.bag``) has
the same outputs for both, bit for bit, so it is right on exactly one of each pair: on any even number of samples on
exactly half.

Layout: ``word [0 to 2 adverbs] verb into word place asides``, the first word at timestep 0 and T = gap + 1, so that gap
4 is the lecture's sentence. Who knows where to look needs only one of the two words; the second stands 3 to 5 steps
after the first.
"""

from __future__ import annotations

import numpy as np

from tasks.asides import asides
from tasks.asides import words as aside_words
from tasks.base import Batch, Ints, Task, Wiring

ANSWERS = ("trading", "something else")
EXCHANGE = ("market", "stock", "dollar", "index")
ANIMALS = ("bear", "bull", "wolf", "tiger")
VERBS = ("falls", "slips", "runs", "moves")
PLACES = ("territory", "country", "land")
ADVERBS = (("slowly", "suddenly"), ("now", "soon"))
"""What may stand between the first word and the verb: none of these, one of the first, or one of each."""
SHORTEST = 4
"""From the first of the two words to the end: verb, into, the second word, place."""


def overhead(gap: int) -> int:
    """T: the first word and ``gap`` steps to the end."""
    return gap + 1


class Order(Task):
    """Order at one gap ≥ 4, many-to-one."""

    def __init__(self, gap: int, length: int, wiring: Wiring) -> None:
        fixed = (*EXCHANGE, *ANIMALS, *VERBS, "into", *PLACES, *ADVERBS[0], *ADVERBS[1])
        vocabulary = tuple(dict.fromkeys((*fixed, *aside_words())))
        super().__init__(
            name="order",
            title="Order",
            gap=gap,
            length=length,
            wiring=wiring,
            vocabulary=vocabulary,
            input_size=len(vocabulary),
            outputs=2,
            answer_steps=(length - 1,),
            informative=(0, SHORTEST - 1),
            distance=gap,
            chance_loss=float(np.log(2)),
            chance_success=0.5,
        )
        self._tokens = {word: token for token, word in enumerate(vocabulary)}
        self._asides = asides(vocabulary)

    def example(self) -> Batch:
        """ "Market falls into bear territory", and what follows it at this gap: the same every time."""
        return self._farthest(np.random.default_rng(0))

    def exchanged(self, batch: Batch) -> Batch:
        """Each sample's pair: the two words that decide exchanged, and the other answer."""
        inputs, samples = batch.inputs.copy(), np.arange(batch.size)
        first, second = batch.informative_steps.T
        inputs[first, samples], inputs[second, samples] = batch.inputs[second, samples], batch.inputs[first, samples]
        return Batch(inputs, 1 - batch.targets, batch.informative_steps)

    def _draw(self, rng: np.random.Generator, size: int) -> Batch:
        half = (size + 1) // 2
        adverbs = rng.integers(min(len(ADVERBS), self.gap - SHORTEST) + 1, size=half)
        words = [rng.integers(len(some), size=half) for some in (EXCHANGE, VERBS, ANIMALS, PLACES)]
        one = self._written(rng, adverbs, *words)
        other = self.exchanged(one)
        turned = rng.integers(2, size=half).astype(bool)  # which of the two comes first in the batch
        inputs = np.stack([np.where(turned, b.inputs, a.inputs) for a, b in ((one, other), (other, one))], axis=2)
        targets = np.stack([turned, ~turned], axis=1).astype(np.int64)
        return Batch(
            np.ascontiguousarray(inputs.reshape(self.length, -1)[:, :size]),
            targets.ravel()[:size],
            one.informative_steps.repeat(2, axis=0)[:size],
        )

    def _written(
        self, rng: np.random.Generator, adverbs: Ints, exchange: Ints, verb: Ints, animal: Ints, place: Ints
    ) -> Batch:
        """Sentences about trading with so many ``adverbs``, and these words by their numbers; all ``[B]``."""
        rows = np.arange(len(adverbs))
        page = np.zeros((len(rows), self.length), dtype=np.int64)

        def put(at: Ints, some: tuple[str, ...], which: Ints, where: Ints = rows) -> None:
            page[where, at] = np.array([self._tokens[word] for word in some])[which]

        put(np.zeros_like(rows), EXCHANGE, exchange)
        for before, some in enumerate(ADVERBS):
            there = (adverbs > before).nonzero()[0]
            put(np.full(len(there), 1 + before), some, rng.integers(len(some), size=len(there)), there)
        put(adverbs + 1, VERBS, verb)
        put(adverbs + 2, ("into",), np.zeros_like(rows))
        put(adverbs + 3, ANIMALS, animal)
        put(adverbs + 4, PLACES, place)
        self._asides.write(rng, page, adverbs + SHORTEST + 1, self.length - SHORTEST - 1 - adverbs)
        steps = np.stack([np.zeros_like(rows), adverbs + 3], axis=1)
        return Batch(np.ascontiguousarray(page.T), np.zeros_like(rows), steps)

    def _farthest(self, rng: np.random.Generator) -> Batch:
        """The lecture's sentence; every one has the same distance."""
        first = np.zeros(1, dtype=np.int64)
        return self._written(rng, first, first, first, first, first)

    def readable(self, batch: Batch, index: int) -> tuple[tuple[str, ...], str]:
        """As for every task, with a capital letter where the sentence begins."""
        (first, *others), answer = super().readable(batch, index)
        return (first[:1].upper() + first[1:], *others), answer

    def _answer(self, batch: Batch, index: int) -> str:
        return ANSWERS[int(batch.targets[index])]
