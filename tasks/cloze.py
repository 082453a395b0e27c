"""Sentences with a blank whose answer hangs on one word, exactly ``gap`` tokens before it: France and Clouds.

Layout, with p = T − 1 − gap: ``[filler sentences] opener (4 tokens) | cue at p | gap − 1 tokens | "___" at T − 1``.
The blank is an input token; the answer is read there. Only the cue says anything about the answer: the
opener, the filler and the end are drawn without looking at it.

A full stop is a token and counts as one; there is no other punctuation. A word is one token whether or not it begins a
sentence: the capital is put there when a person reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from tasks.base import CROSS_ENTROPY, Batch, Ints, Task, Wiring
from tasks.grammar import CLAUSE_PARTS, CLAUSES, LONGEST_CLAUSE, STOP
from tasks.sentences import Filler, Frames, Phrase, Phrasebook, Slots, frames, phrases, taken

BLANK = "___"
OPENER = 4
"""Tokens of an opener, all of them before the cue."""

REDRAWS = 20
"""How often sentences that already stand in the batch are drawn again before they are let stand."""

JOINED = 0.4
"""Share of clauses, among those that may, that are joined to the next one by a conjunction and not by a full stop."""

PREFACE = phrases("honestly|yes", "you see")
"""What stands before the opener where there is room for no more than one or two words."""


@dataclass(frozen=True, eq=False)
class Theme:
    """What makes a cloze task: its words. ``pairs`` maps each answer to the cues that stand for it.

    ``patterns`` spell the gap − 1 tokens between cue and blank out of ``parts`` and clauses (``fill``).
    ``example`` is the cue of the sentence that people are shown.
    ``stops`` says what joins clauses: after each a full stop, or now and then one of ``joiners``; where it is False,
    before each one of ``joiners``, and before the first one of ``first_joiners``.
    """

    name: str
    title: str
    openers: tuple[Phrase, ...]
    pairs: Mapping[str, tuple[str, ...]]
    parts: Mapping[str, Sequence[Phrase]]
    patterns: tuple[str, ...]
    example: str
    stops: bool
    first_joiners: tuple[str, ...]
    joiners: tuple[str, ...]


def overhead(gap: int) -> int:
    """The shortest T: an opener, the cue, and ``gap`` tokens to the blank and with it."""
    return gap + OPENER + 1


class Cloze(Task):
    """A theme at one gap. Two sentences of a batch are alike only where there are too few to tell all apart."""

    def __init__(self, theme: Theme, gap: int, length: int, wiring: Wiring) -> None:
        answers, many = tuple(theme.pairs), wiring == "many-to-many"
        cue_at = length - 1 - gap
        vocabulary, tokens, self._book, self._filler = _machinery(theme)
        super().__init__(
            name=theme.name,
            title=theme.title,
            gap=gap,
            length=length,
            wiring=wiring,
            vocabulary=vocabulary,
            input_size=len(vocabulary),
            outputs=len(vocabulary) if many else len(answers),
            answer_steps=(length - 1,),
            informative=(cue_at,),
            distance=gap,
            # Predicting every word: the mean over a sentence holds the entropy of the filler, which has no closed form.
            chance_loss=float("nan") if many else float(np.log(len(answers))),
            chance_success=1 / len(answers),
            loss_name=f"{CROSS_ENTROPY}, mean over every next word" if many else CROSS_ENTROPY,
        )
        self.answers = answers
        self._frames = frames(self._book, theme.patterns, gap - 1, self._filler.counts(gap - 1))
        self._ends = np.cumsum(self._frames.chance)[:-1]
        self._answer_tokens = np.array([tokens[word] for word in answers], dtype=np.int64)
        self._cues = np.array([[tokens[cue] for cue in cues] for cues in theme.pairs.values()], dtype=np.int64)
        self._blank, self._stop = tokens[BLANK], tokens[STOP]
        self._first_joiners = np.array([tokens[word] for word in theme.first_joiners], dtype=np.int64)
        self._joiners = np.array([tokens[word] for word in theme.joiners], dtype=np.int64)
        self._stops = theme.stops
        self._example = tokens[theme.example]
        # Fixed odd numbers: equal sums mean equal sentences, but for odds of one in 2**62.
        self._hash = np.random.default_rng(0).integers(1, 2**62, length) | 1

    def _draw(self, rng: np.random.Generator, size: int) -> Batch:
        page, answer = self._sentences(rng, size)
        for _ in range(REDRAWS):
            marks = page @ self._hash
            if len(set(marks.tolist())) == size:
                break
            _, first = np.unique(marks, return_index=True)
            again = np.setdiff1d(np.arange(size), first)
            page[again], answer[again] = self._sentences(rng, len(again))
        inputs = np.ascontiguousarray(page.T)
        targets = answer
        if self.wiring == "many-to-many":
            targets = np.concatenate([inputs[1:], self._answer_tokens[answer][None]])
        return Batch(inputs, targets, np.full((size, 1), self.informative[0], dtype=np.int64))

    def _sentences(self, rng: np.random.Generator, size: int) -> tuple[Ints, Ints]:
        """Tokens ``[B, T]`` and the number of each answer ``[B]``."""
        cue_at, everyone = self.informative[0], np.arange(size)
        answer = rng.integers(len(self.answers), size=size)
        page = np.empty((size, self.length), dtype=np.int64)
        page[:, -1] = self._blank
        page[:, cue_at] = self._cues[answer, rng.integers(self._cues.shape[1], size=size)]
        opener = np.full(size, self._book.sheaf["opener", OPENER])
        drawn = [self._book.draw(rng, everyone, np.full(size, cue_at - OPENER), opener)]
        drawn += self._preface(rng, page, cue_at - OPENER)
        drawn += self._middle(rng, page, cue_at + 1)
        self._book.write(page, drawn)
        return page, answer

    def _preface(self, rng: np.random.Generator, page: Ints, room: int) -> list[Slots]:
        """What fills the ``room`` tokens before the opener: an introductory word or two, or sentences."""
        if not room:
            return []
        rows = np.arange(len(page))
        if room >= Filler.SHORTEST:
            return [self._clauses(rng, page, rows, np.zeros_like(rows), np.full(len(page), room), stops=True)]
        sheaf = np.full(len(page), self._book.sheaf["preface", room])
        return [self._book.draw(rng, rows, np.zeros_like(rows), sheaf)]

    def _middle(self, rng: np.random.Generator, page: Ints, start: int) -> list[Slots]:
        """What fills the gap − 1 tokens between the cue and the blank."""
        table: Frames = self._frames
        frame = self._ends.searchsorted(rng.random(len(page)), side="right")
        rows, within, sheaves = taken(table.sheaves, table.starts, frame)
        drawn = [self._book.draw(rng, rows, start + within, sheaves)]
        room = table.fill_room.take(frame)
        filled = room.nonzero()[0]
        if len(filled):
            at = start + table.fill_start.take(frame).take(filled)
            drawn.append(self._clauses(rng, page, filled, at, room.take(filled), stops=self._stops))
        return drawn

    def _clauses(
        self, rng: np.random.Generator, page: Ints, rows: Ints, starts: Ints, room: Ints, *, stops: bool
    ) -> Slots:
        """The clauses that fill ``page[rows[m], starts[m]:][:room[m]]``; what joins them is written here."""
        pieces = self._filler.split(rng, room)  # [M, pieces]
        present = pieces > 0
        there = present.ravel().nonzero()[0]
        region = there // pieces.shape[1]
        row, size = rows.take(region), pieces.take(there)
        at = starts.take(region) + pieces.cumsum(axis=1).take(there) - size
        clauses = self._filler.draw(rng, row, at if stops else at + 1, size - 1)
        joiner = self._joiners.take(rng.integers(len(self._joiners), size=pieces.shape))
        if stops:
            joined = rng.random(pieces.shape) < JOINED
            # Every other clause at most, and never the last: no chain of conjunctions, a full stop at the end.
            joined &= (np.arange(pieces.shape[1]) + rng.integers(2, size=(len(rows), 1))) % 2 == 0
            joined[:, :-1] &= present[:, 1:]
            joined[:, -1] = False
            joiner = np.where(joined, joiner, self._stop)
            at = at + size - 1
        else:
            joiner[:, 0] = self._first_joiners.take(rng.integers(len(self._first_joiners), size=len(rows)))
        page[row, at] = joiner.take(there)
        return clauses

    def _farthest(self, rng: np.random.Generator) -> Batch:
        """The sentence that the task is named after; every one has the same distance."""
        while True:
            batch = self._draw(rng, 1)
            if batch.inputs[self.informative[0], 0] == self._example:
                return batch

    def _answer(self, batch: Batch, index: int) -> str:
        if self.wiring == "many-to-many":
            return self.vocabulary[int(batch.targets[-1, index])]
        return self.answers[int(batch.targets[index])]

    def readable(self, batch: Batch, index: int) -> tuple[tuple[str, ...], str]:
        """As for every task, with a capital letter where a sentence begins (one token stands for both)."""
        tokens, answer = super().readable(batch, index)
        before = (STOP, *tokens[:-1])
        return tuple(w[:1].upper() + w[1:] if b == STOP else w for b, w in zip(before, tokens, strict=True)), answer


@cache
def _machinery(theme: Theme) -> tuple[tuple[str, ...], Mapping[str, int], Phrasebook, Filler]:
    """The vocabulary, each word's token, and the tables that do not depend on the gap; none is changed afterwards."""
    vocabulary = _vocabulary(theme)
    tokens = {word: token for token, word in enumerate(vocabulary)}
    book = Phrasebook({**CLAUSE_PARTS, **theme.parts, "opener": theme.openers, "preface": PREFACE}, tokens)
    return vocabulary, tokens, book, Filler(book, CLAUSES, LONGEST_CLAUSE)


def _vocabulary(theme: Theme) -> tuple[str, ...]:
    """The blank, the cues, the answers, then every other word in alphabetical order."""
    listed = [*theme.openers, *PREFACE]
    for part in (*CLAUSE_PARTS.values(), *theme.parts.values()):
        listed.extend(part)
    words = {word for phrase in listed for word in phrase} | {STOP, *theme.first_joiners, *theme.joiners}
    cues = [cue for cues in theme.pairs.values() for cue in cues]
    return (*dict.fromkeys((BLANK, *cues, *theme.pairs)), *sorted(words))
