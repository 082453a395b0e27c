"""Sentiment: is the speaker content? "There is nothing to like in this movie"; sentences of different lengths, padded.

A word that affirms or denies ("much", "nothing") and, two words later, one that praises or blames ("like", "hate")
decide together: a denial flips the sentiment. All four combinations are equally likely in each of four ways to say it,
so that no single word says anything about the answer:

- Whatever adds up a number per word (a bag of words under a linear head, naive Bayes) is right in at most 3 of the 4
  combinations: the two contented ones ("much … like", "nothing … hate") have the same sum together as the two others,
  so they cannot both lie above a threshold and the others both below.
- A third of the sentences says it twice, the other way round ("nothing to like but much to hate"). Exchanging the two
  that praise and blame gives a sentence of the same words with the other answer, so on these nothing that only counts
  words, however it does, is right more than half the time. Added up, at most 2/3 · 3/4 + 1/3 · 1/2 = 2/3 in all.

Layout: ``[words in front] [opening: 0, 2 or 4] [subject: 0 or 2] pair [but pair] [the rest] PAD …``. A pair is 3 words
long, and from the first word of the last pair to the end of the sentence it is 2 to ``gap`` steps, each equally
likely; but more than a quarter of the sentences are of one geometry, that of the example: the last pair at timestep 6
and the whole ``gap`` to the end. All parts in front are of even length, so that in training what decides always stands
at even timesteps. A ``length`` above the shortest makes room for words in front ("yesterday …"): they are put before
the sentences that success is measured on, and before no sentence that is trained on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tasks.asides import Asides, asides
from tasks.asides import words as aside_words
from tasks.base import PAD, Batch, Ints, Task, Wiring
from tasks.sentences import Phrase, phrases
from tasks.typed import ENDS

ANSWERS = ("negative", "positive")
TWICE = 1 / 3
"""Share of the sentences that say it twice."""
LINEAR_CEILING = (1 - TWICE) * 3 / 4 + TWICE / 2
"""What adding up a number per word gets right at best: see above."""
COUNTING_CEILING = (1 - TWICE) + TWICE / 2
"""What anything that only counts words gets right at best."""

_DENIED, _AFFIRMED = ("never", "rarely"), ("always", "often")
_VERBS = (("hate", "dislike", "regret", "mock"), ("like", "love", "enjoy", "admire"))
_PAST = (("hated", "disliked", "regretted", "mocked"), ("liked", "loved", "enjoyed", "admired"))
_ADJECTIVES = (("dull", "bad", "silly", "weak"), ("good", "great", "clever", "fresh"))


@dataclass(frozen=True)
class Way:
    """A way to say it: ``subjects`` of 0 or 2 words, then ``quantity`` (denying, affirming), one of ``links``, and
    ``opinion`` (blaming, praising), then ``objects``, which are left out where there is no room."""

    subjects: tuple[Phrase, ...]
    quantity: tuple[tuple[str, ...], tuple[str, ...]]
    links: tuple[str, ...]
    opinion: tuple[tuple[str, ...], tuple[str, ...]]
    objects: tuple[Phrase, ...]


WAYS = (
    Way(
        phrases("there / is|was", "we found"),
        (("nothing", "little"), ("much", "plenty")),
        ("to",),
        _VERBS,
        phrases("in|about / this|that / movie|film"),
    ),
    Way(
        phrases(""),
        (("nobody", "few"), ("everybody", "most")),
        ("really", "truly"),
        _PAST,
        phrases("this|that / movie|film|story"),
    ),
    Way(
        phrases("my friends", "the critics"),
        (_DENIED, _AFFIRMED),
        ("really", "truly"),
        _PAST,
        phrases("this|that / movie|film|story"),
    ),
    Way(
        phrases("this|the / movie|film|story"),
        (_DENIED, _AFFIRMED),
        ("felt", "seemed"),
        _ADJECTIVES,
        phrases("to / me|us|everyone"),
    ),
)
OPENINGS: tuple[tuple[Phrase, ...], ...] = (
    phrases(""),
    phrases("yesterday evening", "honestly speaking", "today again", "once more"),
    phrases("to be quite honest", "after all these years"),
)
FRONT = ("yesterday", "honestly", "today")
"""What the sentence is moved by; each is known from the openings."""
BUT = ("but", "and")
_PAIR, _SECOND = 3, 4
"""Words of a pair, and from one pair to the next."""
_BEFORE_LAST = 4 + 2 + _SECOND
"""The most words before the last pair: an opening, a subject, a pair and the word that joins them."""
_USUAL, _EVERY = 6, 3
"""Where the last pair stands in one of ``_EVERY`` sentences, if its parts allow: the gradient at so many steps before
the end can then be looked at over many samples."""
EXAMPLE = "there is plenty to hate but nothing to like in this movie"


def overhead(gap: int) -> int:
    """The shortest T: what comes before the last pair, its first word, and ``gap`` steps to the end."""
    return _BEFORE_LAST + 1 + gap


class Sentiment(Task):
    """Sentiment at one gap, many-to-one: the answer is given at each sentence's own last word.

    ``front``: how many words are put before the sentences that are measured. ``informative_steps`` of a sample are the
    two words of its last pair; what it says before, if it does, is the same.
    """

    def __init__(self, gap: int, length: int, wiring: Wiring) -> None:
        vocabulary = _vocabulary()
        self.front = length - overhead(gap)
        super().__init__(
            name="sentiment",
            title="Sentiment",
            gap=gap,
            length=length,
            wiring=wiring,
            vocabulary=vocabulary,
            input_size=len(vocabulary),
            outputs=2,
            answer_steps=(_USUAL + gap,),
            informative=(_USUAL, _USUAL + _PAIR - 1),
            distance=gap,
            chance_loss=float(np.log(2)),
            chance_success=0.5,
        )
        self._tokens = {word: token for token, word in enumerate(vocabulary)}
        self._asides: Asides = asides(vocabulary)
        code = self._tokens.__getitem__
        self._quantity = np.array([[[code(w) for w in side] for side in way.quantity] for way in WAYS])  # [ways,2,·]
        self._opinion = np.array([[[code(w) for w in side] for side in way.opinion] for way in WAYS])  # [ways,2,·]
        self._links = np.array([[code(way.links[0]), code(way.links[-1])] for way in WAYS])  # [ways,2]
        self._subjects = [np.array([[code(w) for w in one] for one in way.subjects], dtype=np.int64) for way in WAYS]
        self._objects = [np.array([[code(w) for w in one] for one in way.objects]) for way in WAYS]
        self._openings = [np.array([[code(w) for w in one] for one in some], dtype=np.int64) for some in OPENINGS]
        self._but = np.array([code(word) for word in BUT])
        self._front = np.array([code(word) for word in FRONT])

    def held_out(self, seed: int, size: int) -> Batch:
        """The set that success is measured on: every sentence moved by ``front`` words."""
        batch = super().held_out(seed, size)
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_FRONT_KEY,)))
        return self.moved(rng, batch, self.front)

    def moved(self, rng: np.random.Generator, batch: Batch, by: int) -> Batch:
        """The sentences of a batch with ``by`` words put in front of each, drawn from ``FRONT``.

        Raises ``ValueError`` where a sentence would become longer than T.
        """
        assert batch.lengths is not None
        if not 0 <= by <= self.length - int(batch.lengths.max()):
            raise ValueError(
                f"by must be from 0 to {self.length - int(batch.lengths.max())}, so that every sentence still has room "
                f"in {self.length} timesteps, but got {by}"
            )
        if not by:
            return batch
        front = self._front[rng.integers(len(self._front), size=(by, batch.size))]
        inputs = np.concatenate([front, batch.inputs[: self.length - by]])
        return replace(batch, inputs=inputs, informative_steps=batch.informative_steps + by, lengths=batch.lengths + by)

    def said(self, sentence: str) -> tuple[Ints, int]:
        """The tokens ``[T]`` of a sentence that a person typed, and its length.

        Capital letters and the marks that end it (``ENDS``) do not matter. Raises ``ValueError`` with one sentence
        where it is empty, too long, or holds a word that the task has not.
        """
        words = sentence.strip().rstrip(ENDS).lower().split()
        if not 1 <= len(words) <= self.length:
            raise ValueError(f"a sentence must have from 1 to {self.length} words, but got {len(words)}")
        page = np.zeros(self.length, dtype=np.int64)
        for step, word in enumerate(words):
            token = self._tokens.get(word, 0)
            if not token:
                raise ValueError(f"every word must be one that the network was trained on, but got {word[:30]!r}")
            page[step] = token
        return page, len(words)

    def deciding(self, words: Ints) -> tuple[int, ...]:
        """The timesteps of the pairs in a sentence ``words`` [T]: each one's first and last word."""
        first, last = np.isin(words, self._quantity), np.isin(words, self._opinion)
        found = (first[: -_PAIR + 1] & last[_PAIR - 1 :]).nonzero()[0]
        return tuple(int(step) for at in found for step in (at, at + _PAIR - 1))

    def _draw(self, rng: np.random.Generator, size: int) -> Batch:
        page = np.zeros((size, self.length), dtype=np.int64)
        way, opening = rng.integers(len(WAYS), size=size), rng.integers(len(OPENINGS), size=size)
        affirmed, praised = rng.integers(2, size=(2, size))
        twice = rng.random(size) < TWICE
        usual = np.arange(size) % _EVERY == rng.integers(_EVERY)
        needed = (_USUAL - _SECOND * twice - np.array([some.shape[1] for some in self._subjects])[way]) // 2
        usual &= needed < len(OPENINGS)
        opening = np.where(usual, needed, opening)
        first = np.zeros(size, dtype=np.int64)
        for chosen, some in enumerate(self._openings):
            rows = (opening == chosen).nonzero()[0]
            first[rows] += _spell(rng, page, rows, first[rows], some)
        for chosen, some in enumerate(self._subjects):
            rows = (way == chosen).nonzero()[0]
            first[rows] += _spell(rng, page, rows, first[rows], some)
        rows = twice.nonzero()[0]
        self._pair(rng, page, rows, first[rows], way[rows], 1 - affirmed[rows], 1 - praised[rows])
        page[rows, first[rows] + _PAIR] = self._but[rng.integers(len(self._but), size=len(rows))]
        last = first + _SECOND * twice
        self._pair(rng, page, np.arange(size), last, way, affirmed, praised)
        ends = last + np.where(usual, self.gap, rng.integers(_PAIR - 1, self.gap + 1, size=size))
        self._rest(rng, page, way, last + _PAIR, ends)
        steps = np.stack([last, last + _PAIR - 1], axis=1)
        return Batch(np.ascontiguousarray(page.T), (affirmed == praised).astype(np.int64), steps, ends + 1)

    def _pair(
        self, rng: np.random.Generator, page: Ints, rows: Ints, at: Ints, way: Ints, affirmed: Ints, praised: Ints
    ) -> None:
        """Three words from ``page[rows, at]`` on."""
        drawn = [
            rng.integers(table.shape[-1], size=len(rows)) for table in (self._quantity, self._links, self._opinion)
        ]
        page[rows, at] = self._quantity[way, affirmed, drawn[0]]
        page[rows, at + 1] = self._links[way, drawn[1]]
        page[rows, at + 2] = self._opinion[way, praised, drawn[2]]

    def _rest(self, rng: np.random.Generator, page: Ints, way: Ints, starts: Ints, ends: Ints) -> None:
        """Everything from ``page[b, starts[b]]`` to ``page[b, ends[b]]``: what it is about, then asides."""
        starts = starts.copy()
        for chosen, some in enumerate(self._objects):
            rows = ((way == chosen) & (ends + 1 - starts >= some.shape[1])).nonzero()[0]
            starts[rows] += _spell(rng, page, rows, starts[rows], some)
        self._asides.write(rng, page, starts, ends + 1 - starts)

    def _farthest(self, rng: np.random.Generator) -> Batch:
        """A sentence of the usual geometry that ends in what the lecture says: "nothing to like in this movie"."""
        page = np.zeros((1, self.length), dtype=np.int64)
        words, (step,) = EXAMPLE.split(), self.answer_steps
        if len(words) > step + 1:
            words = words[: _USUAL + _PAIR]  # no room for what it is about
        page[0, : len(words)] = [self._tokens[word] for word in words]
        self._asides.write(rng, page, np.array([len(words)]), np.array([step + 1 - len(words)]))
        return Batch(np.ascontiguousarray(page.T), np.array([0]), np.array([self.informative]), np.array([step + 1]))

    def readable(self, batch: Batch, index: int) -> tuple[tuple[str, ...], str]:
        """As for every task, with a capital letter where the sentence begins."""
        (first, *others), answer = super().readable(batch, index)
        return (first[:1].upper() + first[1:], *others), answer

    def _answer(self, batch: Batch, index: int) -> str:
        return ANSWERS[int(batch.targets[index])]


_FRONT_KEY = 0x46524F4E
"""Keys the stream of the words in front; like HELD_OUT_KEY met by nobody who spawns."""


def _spell(rng: np.random.Generator, page: Ints, rows: Ints, at: Ints, some: Ints) -> int:
    """One of the phrases ``some`` [P, words] from ``page[rows, at]`` on; returns how many words that is."""
    chosen = some[rng.integers(len(some), size=len(rows))]
    page[rows[:, None], at[:, None] + np.arange(some.shape[1])] = chosen
    return int(some.shape[1])


def _vocabulary() -> tuple[str, ...]:
    """PAD, the words that decide, then every other word in alphabetical order."""
    decide = [word for way in WAYS for side in (*way.quantity, *way.opinion) for word in side]
    listed = [phrase for way in WAYS for phrase in (*way.subjects, *way.objects)]
    listed += [phrase for some in OPENINGS for phrase in some]
    others = {word for phrase in listed for word in phrase} | {word for way in WAYS for word in way.links}
    return tuple(dict.fromkeys((PAD, *decide, *sorted(others | {*BUT, *FRONT} | set(aside_words())))))
