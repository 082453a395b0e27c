"""n-gram language models, counted and smoothed by NLTK. Free of torch.

Letters: n the length of an n-gram, V the number of words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

Sentences = Sequence[Sequence[str]]
BEGIN = "<s>"
"""What stands before a sentence, n − 1 times."""


class NGram:
    """An n-gram model of ``sentences``, interpolated down to single words as Witten and Bell 1991 do, and every word of
    the ``vocabulary`` counted once more than it came.

    A word is predicted from the n − 1 before it, and from nothing else; the probabilities of the ``vocabulary`` add up
    to 1. Raises ``ValueError`` where n is below 1 or there is no sentence.
    """

    def __init__(self, n: int, sentences: Sentences, vocabulary: Sequence[str]) -> None:
        if n < 1:
            raise ValueError(f"n must be at least 1, but got {n}")
        if not sentences:
            raise ValueError("sentences must have at least one sentence, but got none")
        # Here, since it takes a third of a second that only those pay who ask for an n-gram.
        from nltk.lm import Vocabulary, WittenBellInterpolated
        from nltk.util import everygrams

        self.n = n
        self._model = WittenBellInterpolated(n, vocabulary=Vocabulary([*vocabulary, BEGIN], unk_cutoff=1))
        # What ends in a beginning is not counted: it never comes next, so it must take no probability from what does.
        self._model.fit(
            [gram for gram in everygrams(self._begun(words), max_len=n) if gram[-1] != BEGIN] for words in sentences
        )
        # Once more each: at the end of the interpolation no word of the vocabulary is impossible.
        self._model.counts.update([[(word,) for word in vocabulary]])
        self._vocabulary = tuple(vocabulary)

    def _begun(self, words: Sequence[str]) -> list[str]:
        return [BEGIN] * (self.n - 1) + list(words)

    @property
    def possible(self) -> int:
        """Vⁿ: how many n-grams there could be, and so how many numbers a whole table would have."""
        return int(len(self._vocabulary) ** self.n)

    @cached_property
    def kept(self) -> int:
        """How many different n-grams were seen: the numbers that are in fact kept at the highest order."""
        return sum(len(after) for after in self._model.counts[self.n].values()) if self.n > 1 else len(self._vocabulary)

    def log_probability(self, words: Sequence[str], at: int) -> float:
        """ln p of the word at ``at``, given those before it."""
        begun = self._begun(words)
        place = at + self.n - 1
        context = begun[place - self.n + 1 : place]
        return float(self._model.logscore(begun[place], context)) * math.log(2)

    def probabilities(self, words: Sequence[str], at: int, among: Sequence[str]) -> list[float]:
        """p of each of ``among`` at ``at``, given the words before."""
        begun = self._begun(words)
        place = at + self.n - 1
        context = begun[place - self.n + 1 : place]
        return [float(self._model.score(word, context)) for word in among]

    def perplexity(self, sentences: Sentences) -> float:
        """exp of the mean of −ln p over every word but the first of each sentence, as a next-word network is asked."""
        found = [self.log_probability(words, at) for words in sentences for at in range(1, len(words))]
        return math.exp(-math.fsum(found) / len(found))

    def unseen(self, sentences: Sentences) -> float:
        """The share, 0 to 1, of the n-grams of ``sentences`` (without beginnings) that were never counted."""
        seen = total = 0
        for words in sentences:
            for at in range(self.n - 1, len(words)):
                context = tuple(words[at - self.n + 1 : at])
                seen += self._model.counts[context][words[at]] > 0 if context else self._model.counts[words[at]] > 1
                total += 1
        return 1 - seen / total if total else math.nan
