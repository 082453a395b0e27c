"""The Lab's presets: comparisons that each show one thing, one click each. Free of torch.

What each shows was measured when it was chosen and is trained again by ``make gates``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from experiments.spec import RunSpec, expand


@dataclass(frozen=True)
class Preset:
    """A comparison to start with. ``question`` says in one sentence what to look for."""

    title: str
    question: str
    specs: Callable[[], list[RunSpec]]


def _gates_remember() -> list[RunSpec]:
    return expand(cells=("tanh", "relu", "gru", "lstm"), gap=40, steps=250)


def _closed_gate() -> list[RunSpec]:
    return [RunSpec.make(cell="lstm", gap=40, steps=200, gate_bias=bias) for bias in (0.0, 1.0, 3.0)]


def _vanishing() -> list[RunSpec]:
    return expand(cells=("sigmoid", "tanh"), gap=20, steps=200)


def _exploding() -> list[RunSpec]:
    # Without a nonlinearity nothing shrinks and nothing dies, so the gradient can only grow with the weights. Plain
    # momentum takes it as long as it is; Adam would shorten it by itself and hide what clipping does.
    start: dict[str, Any] = {"init": "identity", "optimizer": "momentum", "learning_rate": 0.005}
    return expand(cells=("identity",), clips=("none", "norm:1.0", "norm:0.1"), gap=20, steps=300, **start)


def _relu_is_no_cure() -> list[RunSpec]:
    return _gaps(("tanh", "relu"), task="france", steps=300)


def _short_against_long() -> list[RunSpec]:
    return _gaps(("tanh", "lstm"), task="clouds", steps=200)


def _gaps(cells: tuple[str, ...], *, task: str, steps: int) -> list[RunSpec]:
    return [spec for gap in (4, 40) for spec in expand(cells=cells, task=task, gap=gap, steps=steps)]


PRESETS: Mapping[str, Preset] = {
    "gates-remember": Preset(
        "Gates remember",
        "Forty words after the country only the GRU and the LSTM still get a gradient from it, and learn its language.",
        _gates_remember,
    ),
    "closed-gate": Preset(
        "A closed gate forgets too",
        "An LSTM whose forget gate starts at bias 0 or 1 is all but blind to the country; at bias 3 it sees it.",
        _closed_gate,
    ),
    "vanishing": Preset(
        "Vanishing",
        "Each step back multiplies the gradient by a factor below 1, and sigmoid (slope at most ¼) is the worse.",
        _vanishing,
    ),
    "exploding": Preset(
        "Exploding, and clipping it",
        "Without a nonlinearity the gradient grows on its way back until training breaks; clipped at 1 the same "
        "network learns, and at 0.1 more slowly.",
        _exploding,
    ),
    "relu": Preset(
        "ReLU is no cure",
        "Over four steps back ReLU's gradient grows where tanh's shrinks; over forty it fades even faster than tanh's.",
        _relu_is_no_cure,
    ),
    "short-long": Preset(
        "Short against long",
        "Both cells learn what is four words back; forty words back the LSTM still does and tanh does not.",
        _short_against_long,
    ),
}
"""Name → preset, in the order in which a newcomer meets them; the first is the story."""
