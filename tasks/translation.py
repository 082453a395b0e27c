"""Translation from English to German: a small bilingual grammar in which the words change places.

One sequence of T = S + U timesteps: the English words, padded to S, then from the bridge on ``<START>`` and the German
words as the decoder's inputs, with the German words and ``<END>`` as its answers. Both languages share one vocabulary.

One sentence in eight is held out and never trained on, the same ones at every gap: "Hello, I am Usman" among them.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from tasks.base import CROSS_ENTROPY, HELD_OUT_KEY, UNASKED, Array, Batch, Task, Wiring
from tasks.bilingual import END, HELD_OUT_SHARE, LONGER, MOST_WORDS, START, Pairs, grammar, sentence
from tasks.bilingual_shapes import shapes
from tasks.slots import PADDING


def overhead(gap: int) -> int:
    """T: the longest English sentence, the longest German one and its end."""
    return 2 * gap + LONGER + 1


class Translation(Task):
    """Translation of sentences of at most ``gap`` English words; success is the share of whole sentences right."""

    def __init__(self, gap: int, length: int, wiring: Wiring) -> None:
        self._grammar = grammar()
        self._shapes = shapes(gap)
        self._example = _example(gap)
        last = gap + int(self._example.german_words[0]) - 1
        needed = int(self._example.said_last[0])
        super().__init__(
            name="translation",
            title="Translation",
            gap=gap,
            length=length,
            wiring=wiring,
            vocabulary=self._grammar.vocabulary,
            input_size=len(self._grammar.vocabulary),
            outputs=len(self._grammar.vocabulary),
            answer_steps=tuple(range(gap, last + 1)),
            informative=(needed,),
            distance=last - needed,
            # What the grammar alone foretells of the next German word has no closed form.
            chance_loss=float("nan"),
            chance_success=self._shapes.likeliest,
            loss_name=f"{CROSS_ENTROPY}, mean over the German words",
            success_name="whole sentences right",
        )
        self.bridge = gap

    def _draw(self, rng: np.random.Generator, size: int) -> Batch:
        return self.laid_out(self._pairs(rng, size, held_out=False))

    def held_out(self, seed: int, size: int) -> Batch:
        """As for every task, of sentences that are never trained on."""
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(HELD_OUT_KEY,)))
        return self.laid_out(self._pairs(rng, size, held_out=True))

    def _pairs(self, rng: np.random.Generator, size: int, *, held_out: bool) -> Pairs:
        """Sentences of those that are held out, or of the others."""
        share = 1 / HELD_OUT_SHARE if held_out else 1 - 1 / HELD_OUT_SHARE
        found: list[Pairs] = []
        missing = size
        while missing > 0:
            drawn = self._grammar.compose(self._shapes.draw(rng, int(1.2 * missing / share) + 8))
            kept = np.flatnonzero(self._grammar.is_held_out(drawn.english) == held_out)[:missing]
            found.append(Pairs(*(part[kept] for part in drawn)))
            missing -= len(kept)
        return Pairs(*(np.concatenate(parts) for parts in zip(*found, strict=True)))

    def laid_out(self, pairs: Pairs) -> Batch:
        """The pairs as one sequence each, with the bridge between the languages."""
        S, T, size = self.gap, self.length, len(pairs.english)
        start, ends = (self._grammar.tokens[word] for word in (START, END))
        rows = np.arange(size)
        inputs = np.full((T, size), PADDING, dtype=np.int64)
        inputs[:S] = pairs.english.T[:S]
        inputs[S] = start
        inputs[S + 1 :] = pairs.german.T[: T - S - 1]
        targets = np.full((T, size), UNASKED, dtype=np.int64)
        german = np.pad(pairs.german, ((0, 0), (0, 1))).T[: T - S]
        targets[S:] = np.where(german == PADDING, UNASKED, german)
        targets[S + pairs.german_words, rows] = ends
        return Batch(inputs, targets, pairs.said_last[:, None].copy(), lengths=pairs.english_words.copy())

    def success(self, outputs: Array, batch: Batch) -> float:
        """Share of sentences of which every word and the end are right, each word told the right one before it.

        It is the same share where the decoder reads its own likeliest words instead: up to a first wrong word it has
        read the right ones.
        """
        wrong = self._wrong(outputs, batch)
        return float(1 - wrong.any(axis=0).mean())

    def words_right(self, outputs: Array, batch: Batch) -> float:
        """Share of words, ends of sentences included, that are right."""
        wrong = self._wrong(outputs, batch)
        return float(1 - wrong.sum() / (batch.targets != UNASKED).sum())

    def _wrong(self, outputs: Array, batch: Batch) -> Array:
        self._check_shape(outputs, batch)
        bad = (outputs.argmax(axis=-1) != batch.targets) | np.isnan(outputs).any(axis=-1)
        return np.asarray(bad & (batch.targets != UNASKED))

    def _farthest(self, rng: np.random.Generator) -> Batch:
        return self.laid_out(self._example)

    def _answer(self, batch: Batch, index: int) -> str:
        said = [int(token) for token in batch.targets[self.bridge :, index] if token != UNASKED]
        return sentence([self.vocabulary[token] for token in said])


@cache
def _example(gap: int) -> Pairs:
    """One of the longest sentences, with as many German words as most of them, or more, and the last one said by the
    earliest English word that there is."""
    found = shapes(gap)
    pairs = grammar().compose(found.each())
    lengths, chance = pairs.german_words[found.full], found.chance[found.full]
    usual = max(set(lengths.tolist()), key=lambda words: float(chance[lengths == words].sum()))
    fits = found.full & (pairs.german_words == usual)
    first = int(np.where(fits, pairs.said_last, MOST_WORDS).argmin())
    return Pairs(*(part[first : first + 1] for part in pairs))
