"""Named entities: every word is tagged none, person or location; some can be tagged only by who knows what follows.

Layout: ``[opener] name | gap − 1 words | decider | [completion] .``, then padding. Most names are a person's as well as
a place's ("Jordan", "Paris"): which one is told by the decider, exactly ``gap`` words later ("Jordan lives …", "Paris
lies …"). The opener and what stands between are drawn without looking at the tag, so that the past says nothing of it.
Later names are told by the past ("in Jordan", "my friend Jordan"), others by themselves ("David", "Munich").

A comma and a full stop are words; a word is one token whether or not it begins a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from tasks.base import CROSS_ENTROPY, PAD, UNASKED, Array, Batch, Ints, Task, Wiring
from tasks.sentences import Filler, Phrase, Phrasebook, phrases
from tasks.slots import PADDING, packed, table

TAGS = ("none", "person", "location")
NONE, PERSON, LOCATION = range(3)

AMBIGUOUS = (
    *("Jordan", "Paris", "Florence", "Austin", "Victoria", "Sydney"),
    *("Chelsea", "Georgia", "Lincoln", "Madison", "Charlotte", "Carolina"),
)
"""Names of people and of places alike."""
PEOPLE = phrases("David|Usman|Anna|Peter|Maria", "David Clark|Anna Clark")
PLACES = phrases("Munich|Berlin|Cairo|Oslo|Lima", "Munich|Berlin / DE")
KNOWN = 0.15
"""Share of sentences whose first name is not ambiguous."""

OPENERS = (
    "",
    "we|they|people / know|say|hear / that",
    "PERSON / says|writes|knows / that",
    "my|our / brother|friend|teacher / thinks",
    "nobody doubts that|everybody knows that|today we read|now it seems",
    "everybody in / PLACE / knows|says / that",
)
"""One line as likely as another, however many phrases it spells."""
BETWEEN: Mapping[int, Sequence[Phrase]] = {
    1: phrases("still|also|always|really|once"),
    2: phrases("of course|after all|no doubt|in truth"),
    3: phrases(", / indeed|admittedly|again|meanwhile / ,"),
}
"""What stands between name and decider where there is room for one word, two or three; from four on, asides do."""
_WHO = ("us|everybody|many", "my / father|sister|uncle", "our / cousins|neighbours", "the / old|young / baker|farmer")
ASIDE = {
    "known": phrases("known|dear|familiar|strange|new"),
    "very": phrases("so|always|still|very"),
    "to": phrases(*(f"to / {who}" for who in _WHO)),
    "loved": phrases("loved|painted|praised|admired|missed|visited"),
    "by": phrases(*(f"by / {who}" for who in _WHO)),
    "how": phrases("much|often|rarely|dearly"),
    "then": phrases("every summer|in winter|long ago|from time to time"),
}
ASIDES = ("how loved", "how loved then", "known to", "very known to", "loved by", "how loved by", "loved by then")
LONGEST_ASIDE = 8
JOINERS = ("and", "yet", "but")

FUTURE: Mapping[int, Mapping[str, tuple[str, ...]]] = {
    PERSON: {
        "lives": ("in|near / PLACE", "in|near / AMBIGUOUS", "with / PERSON|alone"),
        "says": ("hello", "hello to / PERSON", "good morning"),
        "laughs": ("", "at us", "with / PERSON"),
        "meets": ("PERSON", "my friend / NAMED", "the neighbours"),
        "plays": ("cards", "the piano", "football in / PLACE"),
        "sings": ("", "old songs"),
    },
    LOCATION: {
        "lies": ("in|near / PLACE", "in|near / AMBIGUOUS", "by the / sea|river"),
        "borders": ("PLACE", "the / desert|sea"),
        "stretches": ("along the / coast|river", "to the sea"),
        "attracts": ("many tourists", "many tourists from / PLACE"),
        "exports": ("fine cloth", "oil", "bread|cloth / to / PLACE"),
        "flourishes": ("", "again"),
    },
}
"""The deciders of each tag, each as likely as another, and the lines of what may follow each, likewise."""

_SLOTS: Mapping[str, Sequence[tuple[int, Phrase]]] = {
    "PERSON": [(PERSON, name) for name in PEOPLE],
    "PLACE": [(LOCATION, name) for name in PLACES],
    "AMBIGUOUS": [(LOCATION, (name,)) for name in AMBIGUOUS],
    "NAMED": [(PERSON, (name,)) for name in AMBIGUOUS],
}
"""What a word in capitals in a phrase stands for, with its tag."""
STOP = "."
LONGEST_OPENER, LONGEST_NAME, LONGEST_END = 6, 2, 5
USUAL_OPENER = 3
"""Words of most openers: the name that they lead to is the answer that profiles are of."""


def overhead(gap: int) -> int:
    """T: the longest opener and name, ``gap`` words to the decider and with it, the longest end, a full stop."""
    return LONGEST_OPENER + LONGEST_NAME + gap + LONGEST_END + 1


class Entities(Task):
    """Tagging at one gap, many-to-many; success is the share of ambiguous first names that are tagged right."""

    def __init__(self, gap: int, length: int, wiring: Wiring) -> None:
        self._words = _words()
        words = self._words
        asked = (1 - KNOWN) * np.log(2)
        super().__init__(
            name="entities",
            title="Named entities",
            gap=gap,
            length=length,
            wiring=wiring,
            vocabulary=words.vocabulary,
            input_size=len(words.vocabulary),
            outputs=len(TAGS),
            answer_steps=(USUAL_OPENER,),
            informative=(USUAL_OPENER + gap,),
            # What decides comes after the answer.
            distance=-gap,
            # Every other word's tag is told by itself or by its past; the loss is a mean over all words.
            chance_loss=float(asked / (words.mean_words + gap)),
            chance_success=0.5,
            loss_name=f"{CROSS_ENTROPY}, mean over all words",
            success_name="ambiguous names right",
        )

    def _draw(self, rng: np.random.Generator, size: int) -> Batch:
        return self.sentences(rng, rng.integers(PERSON, LOCATION + 1, size=size))

    def sentences(self, rng: np.random.Generator, tags: Ints) -> Batch:
        """Sentences whose first name has the tag ``tags`` ``[B]``; all that comes before the decider, the name's own
        choice where it is ambiguous included, is drawn from ``rng`` in the same way for either tag."""
        words, size = self._words, len(tags)
        opener, opener_tags = words.openers.draw(rng, size)
        ambiguous, which = rng.random(size) >= KNOWN, rng.random(size)
        middle = self._between(rng, size)
        person, place = (names[(which * len(names)).astype(np.int64)] for names in words.names.values())
        name = np.where((tags == PERSON)[:, None], person, place)
        name[ambiguous] = PADDING
        name[ambiguous, 0] = words.ambiguous[(which[ambiguous] * len(AMBIGUOUS)).astype(np.int64)]
        futures = []
        for tag, rows in words.futures.items():
            said, said_tags = rows.draw(rng, size)
            said[tags != tag] = PADDING
            futures.append((said, said_tags))
        columns = [opener, name, middle, *(said for said, _ in futures)]
        named = np.broadcast_to(tags[:, None], name.shape)
        alike = [opener_tags, named, np.zeros_like(middle), *(said_tags for _, said_tags in futures)]
        page, tagged, lengths = packed(columns, self.length, alike)
        tagged[np.arange(self.length) >= lengths[:, None]] = UNASKED
        at = (opener != PADDING).sum(axis=1) + (name != PADDING).sum(axis=1) - 1
        inputs, targets = (np.ascontiguousarray(rows.T) for rows in (page, tagged))
        return Batch(inputs, targets, (at + self.gap)[:, None], lengths=lengths)

    def _between(self, rng: np.random.Generator, size: int) -> Ints:
        """The gap − 1 words between name and decider, ``[B, gap − 1]``."""
        words, room = self._words, self.gap - 1
        if room in words.between:
            few = words.between[room]
            return few[rng.integers(len(few), size=size)]
        page = np.full((size, room), words.comma, dtype=np.int64)
        if room:
            # After the first comma, asides, each with the word that joins it to the next; after the last, a comma.
            pieces = words.filler.split(rng, np.full(size, room - 1))
            there = pieces.ravel().nonzero()[0]
            row, piece = there // pieces.shape[1], pieces.take(there)
            start = 1 + pieces.cumsum(axis=1).take(there) - piece
            asides = words.filler.draw(rng, row, start, piece - 1)
            joiner = words.joiners[rng.integers(len(JOINERS), size=len(there))]
            page[row, start + piece - 1] = np.where(start + piece == room, words.comma, joiner)
            words.book.write(page, [asides])
        return page

    def alike(self, batch: Batch) -> Array:
        """The samples whose first name stands where the answer is looked at."""
        there: Array = batch.informative_steps[:, 0] == self.informative[0]
        return there

    def decided(self, batch: Batch) -> tuple[Ints, Ints]:
        """The samples whose first name is ambiguous, and that name's timestep in each of them."""
        at = batch.informative_steps[:, 0] - self.gap
        samples = np.flatnonzero(np.isin(batch.inputs[at, np.arange(batch.size)], self._words.ambiguous))
        return samples, at[samples]

    def success(self, outputs: Array, batch: Batch) -> float:
        """Share of the names that only the future decides that are tagged right; nan where the batch has none."""
        self._check_shape(outputs, batch)
        samples, at = self.decided(batch)
        return _share(outputs[at, samples], batch.targets[at, samples])

    def all_words(self, outputs: Array, batch: Batch) -> float:
        """Share of all words that are tagged right."""
        self._check_shape(outputs, batch)
        asked = batch.targets != UNASKED
        return _share(outputs[asked], batch.targets[asked])

    def _farthest(self, rng: np.random.Generator) -> Batch:
        """“… Jordan … lives in Jordan .”, behind an opener of the usual length."""
        words, at = self._words, USUAL_OPENER
        wanted = [words.tokens[word] for word in ("lives", "in", "Jordan", STOP)]
        while True:
            drawn = self.sentences(rng, np.full(1024, PERSON))
            told = (drawn.informative_steps[:, 0] == at + self.gap) & (drawn.inputs[at] == words.tokens["Jordan"])
            ending = drawn.inputs[at + self.gap :][: len(wanted)]
            told &= (ending == np.array(wanted)[:, None]).all(axis=0)
            if told.any():
                first = int(told.argmax())
                return drawn.part(slice(first, first + 1))

    def _answer(self, batch: Batch, index: int) -> str:
        at = int(batch.informative_steps[index, 0]) - self.gap
        return TAGS[int(batch.targets[at, index])]

    def readable(self, batch: Batch, index: int) -> tuple[tuple[str, ...], str]:
        """As for every task, with a capital letter where the sentence begins (one token stands for both)."""
        tokens, answer = super().readable(batch, index)
        return (tokens[0][:1].upper() + tokens[0][1:], *tokens[1:]), answer


def _share(answers: Array, targets: Array) -> float:
    if not len(targets):
        return float("nan")
    return float(((answers.argmax(axis=-1) == targets) & ~np.isnan(answers).any(axis=-1)).mean())


class _Rows:
    """Tagged phrases as tokens, ``said`` and ``tags`` ``[N, W]``, and how likely each is."""

    def __init__(self, listed: Sequence[_Tagged], chance: Sequence[float], tokens: Mapping[str, int]) -> None:
        self.said = table([phrase for phrase, _ in listed], tokens)
        width = self.said.shape[1]
        self.tags = np.array([[*tags, *[NONE] * (width - len(tags))] for _, tags in listed], dtype=np.int64)
        self._ends = np.cumsum(chance)[:-1]
        self.mean_words = float(np.array(chance) @ (self.said != PADDING).sum(axis=1))

    def draw(self, rng: np.random.Generator, size: int) -> tuple[Ints, Ints]:
        """Words and tags of ``size`` of them, each ``[size, W]``."""
        drawn = self._ends.searchsorted(rng.random(size), side="right")
        return self.said[drawn], self.tags[drawn]


class _Words:
    """The vocabulary and the tables that do not depend on the gap; none is changed afterwards."""

    def __init__(self) -> None:
        openers = _spelled(OPENERS)
        futures = {tag: _futures(deciders) for tag, deciders in FUTURE.items()}
        said = [phrase for listed, _ in (openers, *futures.values()) for phrase, _ in listed]
        for part in (*BETWEEN.values(), *ASIDE.values()):
            said += part
        names = dict.fromkeys([*AMBIGUOUS, *(word for name in (*PEOPLE, *PLACES) for word in name)])
        others = {word for phrase in said for word in phrase} | set(JOINERS)
        self.vocabulary: tuple[str, ...] = (PAD, *names, *sorted(others - set(names)))
        self.tokens = {word: token for token, word in enumerate(self.vocabulary)}
        self.openers = _Rows(*openers, self.tokens)
        self.futures = {tag: _Rows(*listed, self.tokens) for tag, listed in futures.items()}
        self.names = {PERSON: table(PEOPLE, self.tokens), LOCATION: table(PLACES, self.tokens)}
        self.ambiguous = np.array([self.tokens[name] for name in AMBIGUOUS], dtype=np.int64)
        self.between = {room: table(few, self.tokens) for room, few in BETWEEN.items()}
        self.comma = self.tokens[","]
        self.joiners = np.array([self.tokens[word] for word in JOINERS], dtype=np.int64)
        self.book = Phrasebook(ASIDE, self.tokens)
        self.filler = Filler(self.book, ASIDES, LONGEST_ASIDE)
        known = np.mean([(names != PADDING).sum(axis=1).mean() for names in self.names.values()])
        ends = np.mean([rows.mean_words for rows in self.futures.values()])
        self.mean_words = float(self.openers.mean_words + (1 - KNOWN) + KNOWN * known + ends - 1)
        """The expected number of words, all but the ``gap`` words from the name to the decider."""


_Tagged = tuple[Phrase, tuple[int, ...]]


def _futures(deciders: Mapping[str, Sequence[str]]) -> tuple[list[_Tagged], list[float]]:
    """Each decider with all that may follow it and a full stop, and how likely each is."""
    listed: list[_Tagged] = []
    chance: list[float] = []
    for word, lines in deciders.items():
        ends, likely = _spelled(lines)
        listed += [((word, *end, STOP), (NONE, *tags, NONE)) for end, tags in ends]
        chance += [one / len(deciders) for one in likely]
    return listed, chance


def _spelled(lines: Sequence[str]) -> tuple[list[_Tagged], list[float]]:
    """The phrases of the lines, with every word in capitals replaced by each name that it may stand for, the tags of
    all words, and how likely each phrase is."""
    listed: list[_Tagged] = []
    chance: list[float] = []
    for line in lines:
        of_line: list[_Tagged] = []
        for phrase in phrases(line):
            made: list[_Tagged] = [((), ())]
            for word in phrase:
                choices: Sequence[tuple[int, Phrase]] = _SLOTS.get(word, [(NONE, (word,))])
                made = [((*a, *name), (*b, *[tag] * len(name))) for a, b in made for tag, name in choices]
            of_line += made
        listed += of_line
        chance += [1 / len(lines) / len(of_line)] * len(of_line)
    return listed, chance


@cache
def _words() -> _Words:
    return _Words()


def vocabulary() -> tuple[str, ...]:
    """The words of the task, at any gap."""
    return _words().vocabulary
