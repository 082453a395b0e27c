"""Sentences of different lengths out of columns: a table of phrases for each column, padded, then packed.

Token 0 is padding, in the tables as in the sentences. Letters: ``B`` sentences, ``N`` phrases of a table, ``W``
words of its longest phrase, ``T`` timesteps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tasks.base import Array, Ints
from tasks.sentences import Phrase

PADDING = 0


def table(phrases: Sequence[Phrase], tokens: Mapping[str, int]) -> Ints:
    """The phrases as tokens, ``[N, W]``, each followed by padding."""
    width = max((len(phrase) for phrase in phrases), default=0)
    rows = [[tokens[word] for word in phrase] + [PADDING] * (width - len(phrase)) for phrase in phrases]
    return np.array(rows, dtype=np.int64).reshape(len(phrases), width)


def packed(columns: Sequence[Array], length: int, *alike: Sequence[Array]) -> tuple[Array, ...]:
    """Put the columns ``[B, W]`` beside one another and close the gaps that padding leaves: ``[B, length]``.

    Each of ``alike`` has columns of the same shapes and is moved with them; padding among these becomes 0 as well. The
    last of what is returned is the number of words of each sentence ``[B]``. Raises ``ValueError`` where a sentence has
    more than ``length`` words.
    """
    page = np.concatenate(columns, axis=1)
    there = page != PADDING
    words = there.sum(axis=1)
    if len(words) and words.max() > length:
        raise ValueError(f"length must be at least {int(words.max())}, but got {length}")
    order = np.argsort(~there, axis=1, kind="stable")[:, :length]
    closed = []
    for one in (page, *(np.concatenate(other, axis=1) for other in alike)):
        moved = np.take_along_axis(np.where(there, one, 0), order, axis=1)
        closed.append(np.pad(moved, ((0, 0), (0, length - moved.shape[1]))))
    return (*closed, words)
