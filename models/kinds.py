"""The kinds of networks that can be chosen: one literal table, free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of network as a person chooses it.

    ``recurrent`` says whether it has a state that is handed from step to step, and with it a cell, an initialisation of
    recurrent weights, and a gradient through time that can be truncated. ``most_layers`` is how deep it can be. Kinds
    without recurrence live in ``models/<name>.py``, whose ``MODEL`` is their class (see ``models.build``).
    """

    name: str
    title: str
    meaning: str
    recurrent: bool = False
    most_layers: int = 8


MODELS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("recurrent", "recurrent", "a state is handed from step to step, the same weights at each", recurrent=True),
        Kind("feedforward", "feed-forward", "all positions side by side into one network, with weights for each"),
        Kind("convolution", "convolution", "the same weights slide over every few neighbouring positions"),
        Kind(
            "bag", "bag of words", "the sum of the words' embeddings: which words there are, in no order", most_layers=1
        ),
    )
}
