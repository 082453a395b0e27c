"""A sentence that a person typed, as the words of a task's vocabulary; or one sentence that says why it cannot be."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from functools import cache

MOST_CHARACTERS = 2000
"""What is longer is refused before it is looked at."""
ENDS = ".!?"
"""Marks that end a sentence. A vocabulary that has them not was made without an end, so that nothing is lost."""
_SHOWN = 24


def typed(text: str, vocabulary: Sequence[str], most: int) -> tuple[int, ...]:
    """The tokens of the words and punctuation marks of ``text``; capitals matter only where the vocabulary has both,
    and marks that end the sentence (``ENDS``) are left out where it has none.

    Raises ``ValueError`` with one sentence where there is no word, there are more than ``most``, or the vocabulary has
    not all of them; it then names the first of those with the nearest word that there is.
    """
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"the sentence must have at most {MOST_CHARACTERS} characters, but has {len(text)}")
    # What can be seen and is neither a letter nor a digit stands for itself, so that nothing is dropped in silence.
    words = re.findall(r"[\w'’-]+|[^\w\s]", text)
    known = _known(tuple(vocabulary))
    while words and words[-1] in ENDS and words[-1] not in known:
        words.pop()
    if not words:
        raise ValueError("the sentence must have at least one word, but has none")
    if len(words) > most:
        raise ValueError(f"the sentence must have at most {most} words, but has {len(words)}")
    found: list[int] = []
    for word in words:
        token = known.get(word, known.get(word.lower()))
        if token is None:
            near = difflib.get_close_matches(word.lower(), known, 1, cutoff=0.75)
            hint = f"; did you mean “{vocabulary[known[near[0]]]}”?" if near else ""
            shown = word if len(word) <= _SHOWN else word[: _SHOWN - 1] + "…"
            raise ValueError(f"“{shown}” is not among the {len(vocabulary) - 1} words that this network knows{hint}")
        found.append(token)
    return tuple(found)


@cache
def _known(vocabulary: tuple[str, ...]) -> Mapping[str, int]:
    """The token of each word but padding, as it is written and in small letters."""
    small = {word.lower(): token for token, word in enumerate(vocabulary) if token}
    return {**small, **{word: token for token, word in enumerate(vocabulary) if token}}
