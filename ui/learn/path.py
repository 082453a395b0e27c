"""The path: its stops in order. A stop's own module is loaded when somebody comes to it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from ui.learn.stop import Stop

PATH: Mapping[str, str] = {
    "lengths": "Variable lengths",
    "order": "Order",
    "dependencies": "Short and long dependencies",
    "recurrence": "The recurrence",
    "characters": "Characters",
    "truncation": "Truncated backpropagation through time",
    "directions": "Both directions",
    "translation": "Translation",
    "captions": "Image captioning",
    "ngram": "RNN against n-gram",
    "softmax": "The softmax over V",
    "cures": "Vanishing, exploding, and the two cures",
}
"""The slug of each stop → its title, in the order of the lecture."""


def load(slug: str) -> Stop:
    """The stop of that name, one of ``PATH``."""
    stop = import_module(f"ui.learn.stops.{slug}").STOP
    assert isinstance(stop, Stop)
    return stop


def number(slug: str) -> int:
    """Which stop it is, counted from 1."""
    return list(PATH).index(slug) + 1


def beside(slug: str) -> tuple[str | None, str | None]:
    """The stops before and after it."""
    slugs = list(PATH)
    at = slugs.index(slug)
    return slugs[at - 1] if at else None, slugs[at + 1] if at + 1 < len(slugs) else None
