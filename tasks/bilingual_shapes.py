"""The sentences of the bilingual grammar by their shape, so that they can be drawn at a length that is asked for."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np

from tasks.base import Array, Ints
from tasks.bilingual import CLAUSE, FRONTED, GREETING, Choice, Grammar, grammar
from tasks.slots import PADDING

KINDS = (0.08, 0.32, 0.2, 0.4)
"""How likely each kind of sentence is: a greeting, a main clause, one that begins with its time, a subordinate one."""
MODAL, TIMED = 0.4, 0.6
"""How likely a sentence other than a greeting has a modal verb, and one that does not begin with its time has one."""
LONGEST = 0.6
"""Share of sentences that have as many English words as are allowed; of the others, longer ones are as likely as the
grammar makes them."""


class Shapes:
    """Sentences of at most ``gap`` English words by their shape: the kind, and how many words each part has.

    ``LONGEST`` of them have exactly ``gap`` words; within that, a shape is as likely as ``KINDS``, ``MODAL`` and
    ``TIMED`` and evenly drawn parts make it. Letters: ``F`` shapes, ``P`` parts in the order of ``Choice``.
    """

    def __init__(self, words: Grammar, gap: int) -> None:
        parts = {
            "head": _by_length(words.head[0]),
            "greeting": _by_length(words.greeting[0]),
            "subject": _by_length(words.subject[0]),
            "name": _by_length(words.name),
            "modal": _by_length(words.modal[0]),
            "i_am": _by_length(words.i_am[0]),
            "verb": _by_length(words.verb[0]),
            "thing": _by_length(words.thing[0]),
            "time": _by_length(words.time[0]),
        }
        none = {0: (1.0, np.array([-1]))}
        orders = {GREETING: ("greeting", "name", "i_am"), CLAUSE: ("head", "subject", "modal", "verb", "thing", "time")}
        self.rows: list[tuple[int, tuple[Ints, ...]]] = []
        chance, size = [], []
        for kind, share in enumerate(KINDS):
            order = orders.get(kind, orders[CLAUSE])
            choices = [parts[name] for name in order]
            if kind == GREETING:
                choices += [none, none, none]
            else:
                choices[0] = parts["head"] if kind == CLAUSE else none
                choices[2] = _maybe(parts["modal"], MODAL)
                choices[5] = parts["time"] if kind == FRONTED else _maybe(parts["time"], TIMED)
            comma = int(kind == GREETING)
            for way in product(*(one.items() for one in choices)):
                length = comma + sum(words_of for words_of, _ in way)
                if length <= gap:
                    self.rows.append((kind, tuple(members for _, (_, members) in way)))
                    chance.append(share * float(np.prod([part for _, (part, _) in way])))
                    size.append(length)
        natural, full = np.array(chance), np.array(size) == gap
        weight = np.where(full, LONGEST / natural[full].sum(), 1.0)
        if (~full).any():
            weight[~full] = (1 - LONGEST) / natural[~full].sum()
        self.chance = natural * weight / (natural * weight).sum()
        """``[F]``."""
        self.full = full
        """Whether a shape has exactly ``gap`` English words, ``[F]``."""
        self._ends = np.cumsum(self.chance)[:-1]
        self._kinds = np.array([kind for kind, _ in self.rows])
        self._count = np.array([[len(members) for members in row] for _, row in self.rows])
        self._members = np.zeros((len(self.rows), 6, self._count.max()), dtype=np.int64)
        for place, (_, row) in enumerate(self.rows):
            for part, members in enumerate(row):
                self._members[place, part, : len(members)] = members
        self.likeliest = float((self.chance / self._count.prod(axis=1)).max())
        """How likely the likeliest sentence is, which is what always giving it gets right."""

    def draw(self, rng: np.random.Generator, size: int) -> Choice:
        """``size`` sentences."""
        shape = self._ends.searchsorted(rng.random(size), side="right")
        return self._chosen(shape, rng.random((size, 6)))

    def each(self) -> Choice:
        """One sentence of each shape."""
        return self._chosen(np.arange(len(self.rows)), np.zeros((len(self.rows), 6)))

    def _chosen(self, shape: Ints, share: Array) -> Choice:
        which = (share * self._count[shape]).astype(np.int64)
        drawn = np.take_along_axis(self._members[shape], which[:, :, None], axis=2)[:, :, 0]
        return Choice(self._kinds[shape], *drawn.T)


_Groups = dict[int, tuple[float, Ints]]
"""Number of words → how likely it is, and the rows of a table that have so many."""


def _by_length(rows: Ints) -> _Groups:
    size = (rows != PADDING).sum(axis=1)
    return {int(n): (float((size == n).mean()), np.flatnonzero(size == n)) for n in np.unique(size)}


def _maybe(groups: _Groups, share: float) -> _Groups:
    """The groups of a part that only a share of the sentences has."""
    return {0: (1 - share, np.array([-1])), **{n: (share * part, rows) for n, (part, rows) in groups.items()}}


@cache
def shapes(gap: int) -> Shapes:
    """The shapes of sentences of at most ``gap`` words."""
    return Shapes(grammar(), gap)
