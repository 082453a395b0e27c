"""The character language model: given the characters so far, which is next?

Any text; the lecture's is "hello" over [h, e, l, o]. A sample is a window of T = gap + 1 characters from a place
drawn at random; its targets are the same characters one place on. So the last prediction can use the newest
character and the ``gap`` before it. Where the text is long enough, its last tenth is kept out of training and is what
success is measured on; otherwise that is the text itself.

Knowing nothing is to say the commonest character always. What can be known without a memory is a table of which
character follows which: ``pairs``. A network that beats the table uses what came before the newest character.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tasks.base import CROSS_ENTROPY, HELD_OUT_KEY, Array, Batch, Ints, Task, Wiring
from tasks.characters import alphabet, checked, named

HELLO = "hello"
HELD_OUT_LEAST = 200
"""A kept part of fewer characters than this says little; such texts (below 2,000 characters) are measured whole."""


def overhead(gap: int) -> int:
    """The newest character and the ``gap`` before it."""
    return gap + 1


class Text(Task):
    """The next character of a text. ``outputs``: one class per character of ``characters``.

    ``text`` is the checked text, ``training`` and ``measured`` the words [·] of its two parts, the same where nothing
    is ``kept_out``. ``pairs`` is the loss and the success of the table of what follows which character. Raises
    ``ValueError`` as ``tasks.characters.checked`` does, and where a window and its target do not fit into the text.
    """

    def __init__(self, gap: int, length: int, wiring: Wiring, text: str = HELLO) -> None:
        self.text = checked(text)
        if length + 1 > len(self.text):
            raise ValueError(
                f"gap must be at most {len(self.text) - 2} for a text of {len(self.text)} characters, but got {gap}"
            )
        self.characters = alphabet(self.text)
        whole = self.encode(self.text)
        held = len(whole) // 10
        self.kept_out = held >= max(HELD_OUT_LEAST, 2 * (length + 1))
        self.training, self.measured = (whole[:-held], whole[-held:]) if self.kept_out else (whole, whole)
        many = wiring == "many-to-many"
        super().__init__(
            name="text",
            title="Characters",
            gap=gap,
            length=length,
            wiring=wiring,
            vocabulary=tuple(named(character) for character in self.characters),
            input_size=len(self.characters),
            outputs=len(self.characters),
            answer_steps=tuple(range(length)) if many else (length - 1,),
            informative=(0,),
            distance=gap,
            chance_loss=0.0,
            chance_success=0.0,
            loss_name=f"{CROSS_ENTROPY} per character",
            success_name=f"accuracy on {'the kept-out tenth' if self.kept_out else 'the text itself'}",
        )
        self.chance_loss, self.chance_success = self._counted(np.zeros_like)
        self.pairs = self._counted(np.positive)

    def encode(self, text: str) -> Ints:
        """The words [·] of a text over this one's characters. Raises ``ValueError`` naming a character it lacks."""
        places = {character: place for place, character in enumerate(self.characters)}
        if lacking := next((character for character in text if character not in places), None):
            raise ValueError(f"text must be written with the characters of the trained text, but got {named(lacking)}")
        return np.array([places[character] for character in text], dtype=np.int64)

    def held_out(self, seed: int, size: int) -> Batch:
        """As ``Task.held_out``: windows of ``measured``."""
        if size < 1:
            raise ValueError(f"size must be at least 1, but got {size}")
        return self._windows(
            np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(HELD_OUT_KEY,))), size, self.measured
        )

    def _draw(self, rng: np.random.Generator, size: int) -> Batch:
        return self._windows(rng, size, self.training)

    def _windows(self, rng: np.random.Generator, size: int, part: Ints) -> Batch:
        begins = rng.integers(len(part) - self.length, size=size)
        windows = part[begins + np.arange(self.length + 1)[:, None]]
        targets = windows[1:] if self.wiring == "many-to-many" else windows[-1]
        return Batch(windows[:-1], targets, np.zeros((size, 1), dtype=np.int64))

    def _answer(self, batch: Batch, index: int) -> str:
        last = batch.targets[-1, index] if self.wiring == "many-to-many" else batch.targets[index]
        return self.vocabulary[int(last)]

    def _counted(self, seen: Callable[[Ints], Ints]) -> tuple[float, float]:
        """Loss and success, over all windows of ``measured``, of counting what follows on ``seen`` of the newest
        character.

        Counted in the very windows where nothing is kept out, so that nobody who sees no more can do better;
        otherwise in the training part, each pair counted once more than it is there so that none is impossible.
        """
        asked = self._table(self.measured, self._coverage(len(self.measured)), seen)
        table = asked
        if self.kept_out:
            table = self._table(self.training, np.ones(len(self.training) - 1), seen) + 1
        p = table / np.maximum(table.sum(axis=1, keepdims=True), 1e-300)
        there = asked > 0
        loss = abs(float((asked[there] * np.log(p[there])).sum() / asked.sum()))
        right = asked[np.arange(len(asked)), table.argmax(axis=1)].sum() / asked.sum()
        return loss, float(right)

    def _coverage(self, n: int) -> Array:
        """How many windows of a part of n characters ask for what follows each of its first n − 1 characters."""
        windows = n - self.length
        places = np.arange(n - 1)
        if self.wiring == "many-to-one":
            return np.asarray(places >= self.length - 1, dtype=np.float64)
        first, last = np.maximum(0, places - self.length + 1), np.minimum(places, windows - 1)
        return np.asarray(last - first + 1, dtype=np.float64)

    def _table(self, part: Ints, weight: Array, seen: Callable[[Ints], Ints]) -> Array:
        table = np.zeros((self.outputs, self.outputs))
        np.add.at(table, (seen(part[:-1]), part[1:]), weight)
        return table
