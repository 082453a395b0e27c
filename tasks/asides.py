"""What follows the words that decide, to the last word of a sentence: asides that say nothing about the answer.

A region of 1 or 2 words becomes an adverb, a longer one clauses, each led in by a conjunction. Past tense throughout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from tasks.base import Ints
from tasks.sentences import Filler, Phrase, Phrasebook, phrases

JOINERS = ("while", "because", "so", "as")
ADVERB = "adverb"

PARTS: Mapping[str, Sequence[Phrase]] = {
    ADVERB: phrases("overall|again|somehow", "so far|this year|for now"),
    "subject": phrases("we|they|people", "my / brother|sister", "the / old|young / couple"),
    "did": phrases("waited|talked|slept", "drank tea|read letters", "sold / the|more / tickets"),
    "place": phrases("outside", "at / home|work", "in the / garden|street", "by the / front|back / door"),
    "time": phrases("again|afterwards", "all / evening|week", "for a / long|short / time"),
}
PATTERNS = ("subject did place? time?",)
LONGEST = 10


def words() -> tuple[str, ...]:
    """Every word that an aside may hold, in alphabetical order."""
    listed = (phrase for part in PARTS.values() for phrase in part)
    return tuple(sorted({word for phrase in listed for word in phrase} | set(JOINERS)))


class Asides:
    """Asides in the tokens of one vocabulary."""

    def __init__(self, tokens: Mapping[str, int]) -> None:
        self._book = Phrasebook(PARTS, tokens)
        self._filler = Filler(self._book, PATTERNS, LONGEST)
        self._joiners = np.array([tokens[word] for word in JOINERS], dtype=np.int64)
        self._adverbs = np.array([self._book.sheaf[ADVERB, size] for size in (1, 2)], dtype=np.int64)

    def write(self, rng: np.random.Generator, page: Ints, starts: Ints, room: Ints) -> None:
        """Fill ``page[b, starts[b]:][:room[b]]`` [B,T] for every sample b; ``starts`` and ``room`` ``[B]``."""
        short = ((room > 0) & (room < Filler.SHORTEST)).nonzero()[0]
        long = (room >= Filler.SHORTEST).nonzero()[0]
        drawn = [self._book.draw(rng, short, starts[short], self._adverbs[room[short] - 1])]
        if len(long):
            pieces = self._filler.split(rng, room[long])  # [M, pieces], 0 after the last
            there = (pieces.ravel() > 0).nonzero()[0]
            region, size = there // pieces.shape[1], pieces.ravel()[there]
            row = long[region]
            at = starts[row] + pieces.cumsum(axis=1).ravel()[there] - size
            page[row, at] = self._joiners[rng.integers(len(self._joiners), size=len(at))]
            drawn.append(self._filler.draw(rng, row, at + 1, size - 1))
        self._book.write(page, drawn)


@cache
def asides(vocabulary: tuple[str, ...]) -> Asides:
    """The asides of a vocabulary, made once; they are not changed afterwards."""
    return Asides({word: token for token, word in enumerate(vocabulary)})
