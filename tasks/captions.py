"""Captions: say in words what a small drawn scene shows, ``<START>`` to ``<END>``.

A scene has one thing ("a red circle") or two ("a red circle left of a blue square", "a red circle above a blue
square"), so captions have 3, 7 or 8 words. Of two things either may be named first, and the relation is turned round:
both captions are true, and the one that training asks for is drawn by lot. The picture enters beside the word at each
of the first T − gap timesteps (see ``tasks.scenes`` for what is drawn).

There are 66 pairs of things in 4 relations, 264 scenes of two. Of each pair one relation is never drawn in training,
66 scenes in all; success is measured on those, and on single things, all newly drawn.

Letters: ``T`` timesteps, ``B`` batch, ``C`` words, ``P`` pixels of a side, ``K`` kinds of things.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from tasks import scenes
from tasks.base import HELD_OUT_KEY, PAD, UNASKED, Array, Batch, Ints, Task, Wiring
from tasks.scenes import KINDS, RELATIONS, Thing

T = 9
"""<START> and at most eight words."""
START, END = 1, 2
VOCABULARY = (
    *(PAD, "<START>", "<END>", "a"),
    *scenes.COLOURS,
    *scenes.SHAPES,
    *("left", "right", "of", "above", "below"),
)
_NO_WORD = -2
"""What a network says whose scores are no numbers: right nowhere, and not ``UNASKED`` either."""
ALONE = 0.25
"""The share of scenes that have one thing."""

PAIRS = tuple(combinations(range(KINDS), 2))


def never_drawn(first: Any, second: Any) -> Any:
    """The relation of the kind ``first`` to the kind ``second``, ``first`` < ``second``, that training never draws.

    Numbers, or arrays of them.
    """
    return (first + second) % len(RELATIONS)


class Said(NamedTuple):
    """A caption: what is named first, in which relation to what; of a thing that is alone both are −1."""

    first: int
    relation: int = -1
    second: int = -1

    @property
    def turned(self) -> Said:
        """The other caption of the same scene; of a thing that is alone, the same."""
        return self if self.second < 0 else Said(self.second, scenes.INVERSE[self.relation], self.first)


@cache
def words(said: Said) -> tuple[int, ...]:
    """The caption's tokens and, at the end, ``END``."""
    text = f"a {scenes.named(said.first)}"
    if said.second >= 0:
        text += f" {RELATIONS[said.relation]} a {scenes.named(said.second)}"
    return (*(VOCABULARY.index(word) for word in text.split()), END)


def text(tokens: Array | tuple[int, ...] | list[int]) -> str:
    """Tokens as a person reads them, up to ``END``."""
    listed = [int(token) for token in tokens]
    until = listed.index(END) if END in listed else len(listed)
    return " ".join(VOCABULARY[token] for token in listed[:until])


@cache
def captions() -> Mapping[tuple[int, ...], Said]:
    """Every caption there is, by its tokens: 12 of one thing and 528 of two."""
    alone = [Said(kind) for kind in range(KINDS)]
    two = [
        Said(first, relation, second)
        for first in range(KINDS)
        for relation in range(len(RELATIONS))
        for second in range(KINDS)
        if first != second
    ]
    return {words(said): said for said in alone + two}


def overhead(gap: int) -> int:
    """T, the same for every gap."""
    return T


def true_of(things: Sequence[Thing]) -> tuple[tuple[int, ...], ...]:
    """Every caption, as ``words`` gives it, that is true of one or two things; none where neither relation holds.

    Raises ``ValueError`` where there are none or more than two.
    """
    if len(things) == 1:
        return (words(Said(things[0].kind)),)
    if len(things) != 2:
        raise ValueError(f"things must be one or two, but got {len(things)}")
    first, second = things
    said = [Said(first.kind, relation, second.kind) for relation in scenes.relations(first, second)]
    return tuple(dict.fromkeys(words(one) for each in said for one in (each, each.turned)))


def random_scene(rng: np.random.Generator) -> tuple[Thing, ...]:
    """The things of a scene that training never draws: three times of four two of them, else one."""
    radii = rng.uniform(*scenes.RADII, 2)
    shades = rng.uniform(0.8, 1.0, 2)
    if rng.random() < ALONE:
        (x,), (y,) = (scenes.anywhere(rng, radii[:1]) for _ in range(2))
        return (scenes.thing(int(rng.integers(KINDS)), x, y, radii[0], shades[0]),)
    pair = PAIRS[rng.integers(len(PAIRS))]
    places, sizes = scenes.pairs(rng, 1, np.array([never_drawn(*pair)]))
    found = zip(pair, places, sizes, shades, strict=True)
    return tuple(scenes.thing(kind, x[0], y[0], radius[0], shade) for kind, (x, y), radius, shade in found)


class Captions(Task):
    """Captions of drawn scenes; ``gap`` is for how many timesteps at the end the picture is no longer looked at.

    The picture is read at the timesteps 0 … T − 1 − gap: with a gap of 1 wherever a word is asked for (only the
    ``<END>`` of the longest caption follows), with a gap of 8 at ``<START>`` alone.

    ``success``: the share of scenes whose whole caption is right with the true words so far given (teacher forcing);
    where the two true captions of a scene part, the word of either is right. ``chance_loss`` and ``chance_success``
    are those of a network that knows the grammar and how often each kind of scene comes, and sees no picture: sums
    over all 540 captions.
    """

    pictures = scenes.P

    def __init__(self, gap: int, length: int, wiring: Wiring) -> None:
        self.looks = T - gap
        """For how many timesteps the picture is read."""
        loss, success = _blind()
        super().__init__(
            name="captions",
            title="Captions",
            gap=gap,
            length=length,
            wiring=wiring,
            vocabulary=VOCABULARY,
            input_size=len(VOCABULARY),
            outputs=len(VOCABULARY),
            answer_steps=(T - 1,),
            informative=(self.looks - 1,),
            distance=gap,
            chance_loss=loss,
            chance_success=success,
            success_name="whole captions that are true",
        )

    def held_out(self, seed: int, size: int) -> Batch:
        """New scenes: those of two things that training never draws, and single things."""
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(HELD_OUT_KEY,)))
        return self._scenes(rng, size, held=True)

    def success(self, outputs: Array, batch: Batch) -> float:
        """Share of captions of which every word is right; see the class."""
        self._check_shape(outputs, batch)
        said = outputs.argmax(axis=-1)
        said[np.isnan(outputs).any(axis=-1)] = _NO_WORD
        right = (said == batch.targets) | (said == turned(batch.targets)) | (batch.targets == UNASKED)
        return float(right.all(axis=0).mean())

    def _draw(self, rng: np.random.Generator, size: int) -> Batch:
        return self._scenes(rng, size)

    def labelled(self, rng: np.random.Generator, size: int) -> tuple[Array, Ints]:
        """Pictures [B,3,P,P] of scenes that training draws, and for each of the 12 kinds whether it is there [B,K]."""
        drawn = self._draw(rng, size)
        shown = np.zeros((size, KINDS), dtype=np.int64)
        for index, column in enumerate(drawn.targets.T):
            said = captions()[tuple(int(token) for token in column if token != UNASKED)]
            shown[index, [kind for kind in (said.first, said.second) if kind >= 0]] = 1
        assert drawn.pictures is not None
        return drawn.pictures, shown

    def _farthest(self, rng: np.random.Generator) -> Batch:
        return self._scenes(rng, 1, longest=True)

    def _scenes(self, rng: np.random.Generator, size: int, held: bool = False, longest: bool = False) -> Batch:
        alone = rng.random(size) < (0 if longest else ALONE)
        pairs = np.array(PAIRS)[rng.integers(len(PAIRS), size=size)]
        never = never_drawn(pairs[:, 0], pairs[:, 1])
        relation = never if held else (never + rng.integers(1, len(RELATIONS), size=size)) % len(RELATIONS)
        if longest:  # side by side: "left of" and "right of" have a word more
            relation = np.where(never == 0, 1, 0)
        turned = rng.random(size) < 0.5
        first = np.where(turned, pairs[:, 1], pairs[:, 0])
        second = np.where(turned, pairs[:, 0], pairs[:, 1])
        relation = np.where(turned, np.array(scenes.INVERSE)[relation], relation)
        # A thing that is alone may be any of the 12, in training as in the held-out set.
        first = np.where(alone, rng.integers(KINDS, size=size), first)
        second = np.where(alone, -1, second)
        places, radii = scenes.pairs(rng, size, relation)
        anywhere = scenes.anywhere(rng, radii[0]), scenes.anywhere(rng, radii[0])
        places[0] = (np.where(alone, anywhere[0], places[0][0]), np.where(alone, anywhere[1], places[0][1]))
        # Which of the two lies on top never matters, they are clear of each other.
        pictures = scenes.draw(rng, [first, second], places, radii)
        tokens = [
            words(Said(int(a), int(r), int(b)) if b >= 0 else Said(int(a)))
            for a, r, b in zip(first, relation, second, strict=True)
        ]
        return self.asked(tokens, pictures)

    def asked(self, tokens: list[tuple[int, ...]], pictures: Array) -> Batch:
        """The batch that asks for these captions, each with its ``END``, of these pictures [B,3,P,P]."""
        lengths = np.array([len(caption) for caption in tokens], dtype=np.int64)
        inputs = np.zeros((T, len(tokens)), dtype=np.int64)  # PAD
        targets = np.full((T, len(tokens)), UNASKED, dtype=np.int64)
        inputs[0] = START
        for index, caption in enumerate(tokens):
            targets[: len(caption), index] = caption
            inputs[1 : len(caption), index] = caption[:-1]
        # The last timestep at which there is a picture to look at, also where the caption has ended before.
        looked = np.full((len(tokens), 1), self.looks - 1, dtype=np.int64)
        return Batch(inputs, targets, looked, lengths=lengths, pictures=pictures)

    def _answer(self, batch: Batch, index: int) -> str:
        return text(tuple(token for token in batch.targets[:, index] if token != UNASKED))


def turned(targets: Array) -> Array:
    """The next words [T,B] of the other true caption, while it began with the same words; else ``UNASKED``."""
    found = np.full_like(targets, UNASKED)
    known = captions()
    for index, column in enumerate(targets.T):
        said = known[tuple(int(token) for token in column if token != UNASKED)]
        other = words(said.turned)
        for step in range(len(other)):
            found[step, index] = other[step]
            if other[step] != column[step]:
                break
    return found


@cache
def _blind() -> tuple[float, float]:
    """Loss and success of the best network that sees no picture, over all captions and how often each comes.

    The loss is a mean over all words of all captions (``END`` counts as one), so the longer captions weigh more.
    """
    share = {
        tokens: ALONE / KINDS if said.second < 0 else (1 - ALONE) / (len(RELATIONS) * KINDS * (KINDS - 1))
        for tokens, said in captions().items()
    }
    loss = -sum(p * math.log(p) for p in share.values()) / sum(p * len(tokens) for tokens, p in share.items())
    likely: dict[tuple[int, ...], dict[int, float]] = {}
    for tokens, p in share.items():
        for step, token in enumerate(tokens):
            after = likely.setdefault(tokens[:step], {})
            after[token] = after.get(token, 0.0) + p
    guess = {before: max(after, key=lambda token: (after[token], -token)) for before, after in likely.items()}
    success = 0.0
    for tokens, p in share.items():
        either = turned(np.array(tokens)[:, None])[:, 0]
        success += p * all(guess[tokens[:step]] in (tokens[step], either[step]) for step in range(len(tokens)))
    return loss, success
