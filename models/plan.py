"""What a network is to be built for: sizes alone, free of torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """The sizes of a network.

    ``vocabulary`` is the number of words V, 0 where the inputs are numbers; ``embedding`` the size of a word's learned
    embedding, None for one-hot words; ``input_size`` I of one-hot words or numbers. ``every_step`` puts the head on
    every timestep instead of the last. ``timesteps`` is T; ``bridge`` the timestep at which a decoder takes over, 0
    for none; ``pictures`` the width P of each sample's picture in pixels, 0 for none, and ``looks`` at how many
    timesteps, from the first on, it is looked at, 0 for all. ``softmax`` is how the head turns states into
    probabilities; ``learned_initial``, whether the state before the first step is a parameter instead of zeros.
    """

    cell: str
    input_size: int
    hidden: int
    layers: int
    outputs: int
    vocabulary: int
    embedding: int | None
    every_step: bool
    timesteps: int
    bidirectional: bool = False
    bridge: int = 0
    pictures: int = 0
    looks: int = 0
    softmax: str = "full"
    learned_initial: bool = False

    @property
    def width(self) -> int:
        """Numbers per timestep that a word or an input enters as."""
        return self.embedding if self.vocabulary and self.embedding is not None else self.input_size
