"""What every task is: fresh batches from a seeded generator, a measure of success, and what knowing nothing gives.

Numpy only. Letters: ``T`` timesteps, ``B`` batch, ``I`` input size, ``C`` classes, ``K`` informative steps, ``P``
pixels of a picture's side.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from diagnostics.records import TaskFacts

Wiring = Literal["many-to-one", "many-to-many"]
Loss = Literal["cross_entropy", "mse"]
Ints = NDArray[np.int64]
Array = np.ndarray[Any, np.dtype[Any]]

CROSS_ENTROPY = "cross-entropy (nats)"
ACCURACY = "accuracy"

# SeedSequence(seed).spawn() hands out the keys (0,), (1,), ...; a key this large is met by nobody who spawns.
HELD_OUT_KEY = 0x48454C44

PAD = "PAD"
"""The word of token 0 where samples differ in length: it fills the shorter ones up to T, on the right."""

UNASKED = -1
"""The target of a timestep at which no answer is asked: it counts neither in the loss nor in success."""


@dataclass(frozen=True)
class Batch:
    """Samples of a task.

    ``inputs``: int64 tokens ``[T, B]``, or float32 ``[T, B, I]`` where the task is real-valued.
    ``targets``: many-to-one int64 ``[B]`` (or float32 ``[B]``); many-to-many int64 ``[T, B]``, ``UNASKED`` where no
    answer is asked.
    ``informative_steps``: int64 ``[B, K]``, the timesteps that hold what each sample's answer depends on, in order.
    ``lengths``: int64 ``[B]``, each in 1…T, how many timesteps of each sample are not padding (with a bridge: of the
    part before it); None where all are T. ``pictures``: float32 ``[B, 3, P, P]``, what each sample is about, or None.
    """

    inputs: Array
    targets: Array
    informative_steps: Ints
    lengths: Ints | None = None
    pictures: Array | None = None

    @property
    def size(self) -> int:
        """B, the number of samples."""
        return len(self.informative_steps)

    def part(self, which: slice) -> Batch:
        """The samples of a slice, each array laid out afresh."""
        return Batch(
            np.ascontiguousarray(self.inputs[:, which]),
            np.ascontiguousarray(self.targets[..., which]),
            self.informative_steps[which],
            None if self.lengths is None else self.lengths[which],
            None if self.pictures is None else self.pictures[which],
        )


class Task(ABC):
    """A task with its dependency length set; made by ``tasks.build``, which checks what was asked for.

    - ``gap``, ``length`` (T), ``wiring``: what was asked for.
    - ``vocabulary``: the readable word of each token, empty where the inputs are real-valued; ``input_size``: I of a
      one-hot or real-valued input; ``outputs``: number of classes C, or 1 where the answer is a number.
    - ``loss``: ``cross_entropy`` or ``mse``, a mean over all answers of the batch that are asked.
    - ``answer_steps``: the timesteps at which an answer is given; ``informative``: the timesteps that hold what the
      answers depend on, as early as the task can put them; ``distance``: steps from an answer back to what it needs,
      at its farthest.
    - ``chance_loss`` and ``chance_success``: what the best network gets that knows the task but has seen nothing of
      the informative steps; nan where there is no closed form.
    - ``bridge``: the timestep at which a decoder takes over from an encoder, 0 where there is one network. The encoder
      reads what comes before it (``lengths`` of each sample), the decoder the rest, and only there are answers asked.
    - ``pictures``: the width P of the picture that each sample comes with, 0 where there is none; ``looks`` at how many
      timesteps, from the first on, it is looked at, 0 for all.
    """

    bridge: int = 0
    pictures: int = 0
    looks: int = 0

    def __init__(
        self,
        *,
        name: str,
        title: str,
        gap: int,
        length: int,
        wiring: Wiring,
        vocabulary: tuple[str, ...],
        input_size: int,
        outputs: int,
        answer_steps: tuple[int, ...],
        informative: tuple[int, ...],
        distance: int,
        chance_loss: float,
        chance_success: float,
        loss: Loss = "cross_entropy",
        loss_name: str = CROSS_ENTROPY,
        success_name: str = ACCURACY,
    ) -> None:
        self.name = name
        self.title = title
        self.gap = gap
        self.length = length
        self.wiring: Wiring = wiring
        self.vocabulary = vocabulary
        self.input_size = input_size
        self.outputs = outputs
        self.answer_steps = answer_steps
        self.informative = informative
        self.distance = distance
        self.chance_loss = chance_loss
        self.chance_success = chance_success
        self.loss: Loss = loss
        self.loss_name = loss_name
        self.success_name = success_name

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """``size`` fresh samples; the same state of ``rng`` gives the same samples.

        Raises ``ValueError`` where ``size`` is less than 1.
        """
        if size < 1:
            raise ValueError(f"size must be at least 1, but got {size}")
        return self._draw(rng, size)

    def held_out(self, seed: int, size: int) -> Batch:
        """The set that success is measured on: the same for the same ``seed`` and ``size``.

        Drawn from a stream of its own (a spawn key of the seed's ``SeedSequence`` that nobody else uses), so it is
        independent of the batches of any generator that was seeded with ``seed``.
        """
        return self.batch(np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(HELD_OUT_KEY,))), size)

    def success(self, outputs: Array, batch: Batch) -> float:
        """Share of answers that are right, 0 to 1, looked at in the answer steps only, and there where they are asked.

        ``outputs``: many-to-one ``[B, C]``, many-to-many ``[T, B, C]``, any increasing function of the probabilities.
        An answer with a nan among its outputs is wrong. Raises ``ValueError`` where the shape is another.
        """
        self._check_shape(outputs, batch)
        steps = list(self.answer_steps)
        many = self.wiring == "many-to-many"
        answers, targets = (outputs[steps], batch.targets[steps]) if many else (outputs, batch.targets)
        right = (answers.argmax(axis=-1) == targets) & ~np.isnan(answers).any(axis=-1)
        return float(right[targets != UNASKED].mean())

    def readable(self, batch: Batch, index: int) -> tuple[tuple[str, ...], str]:
        """Sample ``index`` of a batch as a person reads it: one word per timestep, and the answer."""
        tokens = tuple(self.vocabulary[token] for token in batch.inputs[:, index])
        return tokens, self._answer(batch, index)

    def facts(self, rng: np.random.Generator) -> TaskFacts:
        """What the pages show of the task, with one example whose informative steps are as far back as they can be."""
        batch = self._farthest(rng)
        tokens, answer = self.readable(batch, 0)
        return TaskFacts(
            title=self.title,
            tokens=tokens,
            informative_steps=self._needed_last(batch),
            loss_step=self.answer_steps[-1],
            distance=self.distance,
            answer=answer,
            loss_name=self.loss_name,
            chance_loss=self.chance_loss,
            success_name=self.success_name,
            chance_success=self.chance_success,
        )

    def alike(self, batch: Batch) -> Array | None:
        """Which samples, bool ``[B]``, answer at the last of ``answer_steps`` what the task is about; None for all.

        Gradient profiles are over these, so that a timestep's distance from the answer is the same for each.
        """
        last = self.answer_steps[-1]
        if self.wiring == "many-to-many":
            asked: Array = batch.targets[last] != UNASKED
        elif batch.lengths is not None:
            asked = batch.lengths == last + 1
        else:
            return None
        return None if asked.all() else asked

    def labelled(self, rng: np.random.Generator, size: int) -> tuple[Array, Ints]:
        """Pictures float32 ``[B, 3, P, P]`` and, 0 or 1 int64 ``[B, K]``, which of K kinds of things each shows: what
        a network learns to see with.

        Raises ``ValueError`` where the task has no pictures.
        """
        raise ValueError(f"labelled must be asked of a task with pictures, but got {self.name}")

    @abstractmethod
    def _draw(self, rng: np.random.Generator, size: int) -> Batch: ...

    @abstractmethod
    def _answer(self, batch: Batch, index: int) -> str: ...

    def _farthest(self, rng: np.random.Generator) -> Batch:
        """One sample whose distance is the task's; overridden where it differs from sample to sample."""
        return self._draw(rng, 1)

    def _needed_last(self, batch: Batch) -> tuple[int, ...]:
        """The informative steps that the last answer of sample 0 depends on."""
        return tuple(int(step) for step in batch.informative_steps[0])

    def _check_shape(self, outputs: Array, batch: Batch) -> None:
        lead = (self.length,) if self.wiring == "many-to-many" else ()
        wanted = (*lead, batch.size, self.outputs)
        if outputs.shape != wanted:
            raise ValueError(f"outputs must have the shape {wanted}, but got {outputs.shape}")
