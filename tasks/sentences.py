"""Sentences of an exact length, many at a time.

A **part** of speech ("subject", "time", ...) is a list of phrases. A **pattern** is a sequence of parts, some of them
optional. A **frame** is a pattern with every length chosen, so it says which part of which length begins where. Frames
of a wanted total length are listed beforehand; drawing a batch is then a choice of frames and of phrases, done
for all samples at once.

Letters: ``M`` regions to fill, ``S`` slots (a part and a length, at a place), ``F`` frames.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.base import Ints

Floats = NDArray[np.float64]
Phrase = tuple[str, ...]

FILL = "fill"
"""The pseudo-part of a pattern that takes all the room that is left, and is filled with clauses."""

RICHNESS = 0.75
"""Power of a frame's count of texts that makes its weight."""

ROOMS = 64
"""Rooms for which the choice of the next clause's length is tabled."""

MANY = 1e12
"""Counts of possible fillers stop here: beyond, one is as rich as another."""


def phrases(*lines: str) -> tuple[Phrase, ...]:
    """Spell out phrases: in ``"walked|ran / to the|past the / old|"`` every choice combines with every other.

    ``|`` separates alternatives (an empty one is allowed), a line's `` / `` separates what follows each other.
    """
    spelled = [
        tuple(" ".join(choice).split())
        for line in lines
        for choice in product(*(slot.split("|") for slot in line.split("/")))
    ]
    return tuple(dict.fromkeys(spelled))


class Slots(NamedTuple):
    """Where phrases stand: their rows of the page, where they start there, their lengths, and where they are in a
    phrasebook's words; all ``[S]``."""

    rows: Ints
    starts: Ints
    size: Ints
    source: Ints


class Phrasebook:
    """The phrases of each part, by length, as tokens. A *sheaf* is all phrases of one part that have one length."""

    def __init__(self, parts: Mapping[str, Sequence[Phrase]], tokens: Mapping[str, int]) -> None:
        sheaves: dict[tuple[str, int], list[Phrase]] = defaultdict(list)
        for part, listed in parts.items():
            for phrase in listed:
                sheaves[part, len(phrase)].append(phrase)
        self.sheaf = {key: index for index, key in enumerate(sheaves)}
        self.lengths: Mapping[str, tuple[int, ...]] = {
            part: tuple(sorted(length for name, length in sheaves if name == part)) for part in parts
        }
        self.count = np.array([len(listed) for listed in sheaves.values()], dtype=np.int64)  # [sheaves]
        self._size = np.array([length for _, length in sheaves], dtype=np.int64)  # [sheaves]
        self._begin = np.concatenate([[0], np.cumsum(self.count * self._size)])[:-1]  # [sheaves], into _flat
        self._flat = np.array(
            [tokens[word] for listed in sheaves.values() for phrase in listed for word in phrase], dtype=np.int64
        )

    def draw(self, rng: np.random.Generator, rows: Ints, starts: Ints, sheaves: Ints) -> Slots:
        """A phrase for each slot, to be written onto ``page[rows[s], starts[s]:]``: one of ``sheaves[s]``, each equally
        likely; all ``[S]``."""
        choice = (rng.random(len(sheaves)) * self.count.take(sheaves)).astype(np.int64)
        size = self._size.take(sheaves)
        return Slots(rows, starts, size, self._begin.take(sheaves) + choice * size)

    def write(self, page: Ints, drawn: Sequence[Slots]) -> None:
        """Put what was drawn onto the page, all of it at once: many small steps would take most of a batch's time."""
        rows, starts, size, source = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
        ends = size.cumsum()
        within = np.arange(ends[-1] if len(ends) else 0)
        first = ends - size
        target = (rows * page.shape[1] + starts - first).repeat(size)
        target += within
        token = (source - first).repeat(size)
        token += within
        page.reshape(-1)[target] = self._flat.take(token)


@dataclass(frozen=True)
class Frames:
    """All frames of some patterns, for one or more total lengths. Absent slots have sheaf -1."""

    sheaves: Ints  # [F, slots]
    starts: Ints  # [F, slots], from the frame's beginning
    fill_start: Ints  # [F]
    fill_room: Ints  # [F], 0 where nothing is to be filled
    count: Floats  # [F], how many different texts the frame can give, at most MANY

    @property
    def chance(self) -> Floats:
        """``[F]``: a weight between one per frame (stilted phrases too often) and one per text (long parts only)."""
        weight = self.count**RICHNESS
        return np.asarray(weight / weight.sum(), dtype=np.float64)


def frames(book: Phrasebook, patterns: Sequence[str], length: int, room: Floats | None = None) -> Frames:
    """Every frame of ``patterns`` that is exactly ``length`` tokens long.

    A pattern names parts, separated by spaces; ``?`` marks an optional one. ``room[m]`` is the number of fillers
    that are m tokens long (0 where there is none), for patterns that contain ``fill``.
    """
    found = [
        frame
        for pattern in patterns
        for parts in _spelled(pattern)
        for frame in _sized(book, parts, length, room if room is not None else np.zeros(1))
    ]
    slots = max((len(sheaves) for sheaves, *_ in found), default=0)
    pad = [-1] * slots
    return Frames(
        np.array([(sheaves + pad)[:slots] for sheaves, *_ in found], dtype=np.int64).reshape(len(found), slots),
        np.array([(starts + pad)[:slots] for _, starts, *_ in found], dtype=np.int64).reshape(len(found), slots),
        np.array([start for *_, start, _, _ in found], dtype=np.int64),
        np.array([size for *_, size, _ in found], dtype=np.int64),
        np.array([count for *_, count in found], dtype=np.float64),
    )


def _spelled(pattern: str) -> Iterator[tuple[str, ...]]:
    """The pattern with each optional part left out or kept."""
    choices = [("", word[:-1]) if word.endswith("?") else (word,) for word in pattern.split()]
    for parts in product(*choices):
        yield tuple(part for part in parts if part)


def _sized(
    book: Phrasebook, parts: Sequence[str], length: int, room: Floats
) -> Iterator[tuple[list[int], list[int], int, int, float]]:
    """The frames of one spelled pattern: sheaves, starts, where the filler begins, its room, number of texts."""
    fixed = [part for part in parts if part != FILL]
    for sizes in product(*(book.lengths[part] for part in fixed)):
        rest = length - sum(sizes)
        if rest < 0 or (FILL not in parts and rest) or (FILL in parts and (rest >= len(room) or not room[rest])):
            continue
        sheaves = [book.sheaf[key] for key in zip(fixed, sizes, strict=True)]
        remaining, at, fill_at, starts = iter(sizes), 0, 0, []
        for part in parts:
            if part == FILL:
                fill_at, at = at, at + rest
            else:
                starts.append(at)
                at += next(remaining)
        texts = float(np.prod(book.count[sheaves], dtype=np.float64)) * (room[rest] if rest else 1.0)
        yield sheaves, starts, fill_at, rest, min(texts, MANY)


class Filler:
    """Runs of clauses that fill a region to its last token.

    A piece is a clause and the one token that joins it to its neighbour: a full stop or a conjunction. Pieces of every
    length from 3 to ``longest + 1`` exist, so every region of 3 tokens or more can be filled.
    """

    SHORTEST = 3

    def __init__(self, book: Phrasebook, patterns: Sequence[str], longest: int) -> None:
        self._book = book
        tables = [frames(book, patterns, size) for size in range(self.SHORTEST - 1, longest + 1)]
        slots = max(table.sheaves.shape[1] for table in tables)
        self._sheaves = np.concatenate([_widened(table.sheaves, slots) for table in tables])
        self._starts = np.concatenate([_widened(table.starts, slots) for table in tables])
        # Frames of clause length n occupy [n, n + 1) of one sorted scale, so one search draws clauses of all lengths.
        scale = [n + np.cumsum(table.chance) for n, table in enumerate(tables, self.SHORTEST - 1)]
        for n, ends in enumerate(scale, self.SHORTEST):
            ends[-1] = n
        self._scale = np.concatenate(scale)
        texts = np.array([table.count.sum() for table in tables])
        weight = np.minimum(texts, np.median(texts)) ** 0.5
        self._piece_chance = np.ascontiguousarray(self._choices(weight / weight.sum()).T)  # [lengths, room]
        self._texts = texts

    def counts(self, room: int) -> Floats:
        """``[room + 1]``: how many runs of clauses are exactly m tokens long (joining words not counted), to MANY."""
        counts = np.zeros(room + 1)
        counts[0] = 1.0
        for m in range(self.SHORTEST, room + 1):
            reached = counts[max(0, m - self.SHORTEST - len(self._texts) + 1) : m - self.SHORTEST + 1][::-1]
            counts[m] = min(MANY, float(self._texts[: len(reached)] @ reached))
        counts[0] = 0.0
        return counts

    def split(self, rng: np.random.Generator, room: Ints) -> Ints:
        """Lengths of the pieces that fill regions of ``room[m]`` tokens: ``[M, pieces]``, 0 after the last piece."""
        left, pieces = room.copy(), []
        last = self._piece_chance.shape[1] - 1
        while left.any():
            reached = rng.random(len(left)) >= self._piece_chance.take(np.minimum(left, last), axis=1)  # [lengths, M]
            piece = self.SHORTEST + np.add.reduce(reached, axis=0, dtype=np.int64)
            piece[left == 0] = 0
            pieces.append(piece)
            left -= piece
        return np.stack(pieces, axis=1) if pieces else np.zeros((len(room), 0), dtype=np.int64)

    def draw(self, rng: np.random.Generator, rows: Ints, starts: Ints, sizes: Ints) -> Slots:
        """A clause of exactly ``sizes[s]`` tokens for ``page[rows[s], starts[s]:]``; all ``[S]``."""
        # float32 stays 2**-24 below 1, so the sum, in float64, never reaches the next length's share of the scale.
        frame = self._scale.searchsorted(sizes + rng.random(len(sizes), dtype=np.float32), side="right")
        kept, within, sheaves = taken(self._sheaves, self._starts, frame)
        return self._book.draw(rng, rows.take(kept), starts.take(kept) + within, sheaves)

    def _choices(self, weight: Floats) -> Floats:
        """``[room, lengths]`` cumulative chances of the next piece's length.

        A way of splitting a region has the product of its lengths' weights as its own. So what cannot be filled is
        never left over, and the last piece is no shorter than others. Beyond ROOMS the chances no longer change.
        """
        lengths = np.arange(self.SHORTEST, self.SHORTEST + len(weight))
        chance = np.zeros((ROOMS, len(weight)))
        total = np.zeros(ROOMS)
        total[0] = 1.0
        for room in range(1, ROOMS):
            fits = lengths <= room
            chance[room, fits] = weight[fits] * total[room - lengths[fits]]
            total[room] = chance[room].sum()
        cumulative: Floats = np.cumsum(chance / np.where(total > 0, total, 1.0)[:, None], axis=1)
        # A length that is not allowed must not be reached by rounding: from the last allowed one on, all is 1.
        cumulative[chance[:, ::-1].cumsum(axis=1)[:, ::-1] <= chance] = 1.0
        return cumulative


def taken(sheaves: Ints, starts: Ints, frame: Ints) -> tuple[Ints, Ints, Ints]:
    """The slots that are there of the frames ``frame`` [M] of a table [F, slots]: each one's place in ``frame``, start
    and sheaf."""
    found = sheaves.take(frame, axis=0)
    there = (found >= 0).ravel().nonzero()[0]
    return there // found.shape[1], starts.take(frame, axis=0).take(there), found.take(there)


def _widened(table: Ints, slots: int) -> Ints:
    return np.pad(table, ((0, 0), (0, slots - table.shape[1])), constant_values=-1)
