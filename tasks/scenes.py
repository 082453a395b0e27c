"""Small drawn scenes: one or two coloured shapes on a light ground, as pictures of 32 × 32 pixels. Numpy only.

A **thing** is a shape in a colour, 12 kinds in all. Letters: ``N`` pictures, ``P`` pixels of a side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Array = np.ndarray[Any, np.dtype[Any]]

P = 32
"""Pixels of a side."""
SHAPES = ("circle", "square", "triangle")
COLOURS = ("red", "green", "blue", "yellow")
KINDS = len(SHAPES) * len(COLOURS)
RELATIONS = ("left of", "right of", "above", "below")
INVERSE = (1, 0, 3, 2)
"""The relation that the second thing has to the first."""
RADII = (4.2, 5.6)
"""The sizes that are drawn, in pixels from the middle of a thing to its edge (a square's: 0.89 of that)."""
APART = 2.0
"""Pixels that at least lie between two things along the axis of their relation."""

_INKS = np.array([(0.86, 0.16, 0.12), (0.12, 0.62, 0.25), (0.13, 0.36, 0.86), (0.96, 0.78, 0.08)])
_GROUND = (0.88, 1.0)
_SHADE = (0.78, 1.0)
_GRAIN = np.float32(0.05)


@dataclass(frozen=True)
class Thing:
    """A thing in a picture: its kind, the place of its middle and its radius in pixels, and its shade.

    ``x`` counts from the left, ``y`` from the top; ``shade`` multiplies the colour, 1 being the brightest.
    """

    shape: str
    colour: str
    x: float
    y: float
    radius: float = 5.0
    shade: float = 0.95

    @property
    def kind(self) -> int:
        """The number of its colour and shape, 0 … 11."""
        return kind_of(self.colour, self.shape)


def thing(kind: int, x: float, y: float, radius: float, shade: float) -> Thing:
    """The thing of a kind, 0 … 11."""
    return Thing(
        SHAPES[kind % len(SHAPES)], COLOURS[kind // len(SHAPES)], float(x), float(y), float(radius), float(shade)
    )


def kind_of(colour: str, shape: str) -> int:
    """The number of a kind, 0 … 11."""
    return COLOURS.index(colour) * len(SHAPES) + SHAPES.index(shape)


def named(kind: int) -> str:
    """A kind in words: ``red circle``."""
    return f"{COLOURS[kind // len(SHAPES)]} {SHAPES[kind % len(SHAPES)]}"


def relations(first: Thing, second: Thing) -> tuple[int, ...]:
    """The relations of ``first`` to ``second`` that are true: of the axis along which they are farther apart.

    Both where that is undecided to a pixel; none where they touch along it.
    """
    dx, dy = second.x - first.x, second.y - first.y
    far = max(abs(dx), abs(dy))
    if far < first.radius + second.radius:
        return ()
    found = [] if abs(dx) < far - 1 else [0 if dx > 0 else 1]
    return tuple(found + ([] if abs(dy) < far - 1 else [2 if dy > 0 else 3]))


def picture(things: Sequence[Thing], ground: float = 0.95) -> NDArray[np.float32]:
    """The picture [3,P,P] of one scene, without grain; later things lie above earlier ones."""
    drawn = np.full((1, 3, P, P), ground, np.float32)
    for thing in things:
        ink = _INKS[COLOURS.index(thing.colour)] * thing.shade
        at = (np.array([value]) for value in (thing.x, thing.y, thing.radius))
        _paint(drawn, np.array([0]), np.array([SHAPES.index(thing.shape)]), ink[None], *at)
    return np.asarray(drawn[0])


def draw(
    rng: np.random.Generator, kinds: Sequence[Array], places: Sequence[tuple[Floats, Floats]], radii: Sequence[Floats]
) -> NDArray[np.float32]:
    """Pictures [N,3,P,P] of N scenes in random shades, with a little grain.

    One entry of ``kinds`` [N], ``places`` (x [N], y [N]) and ``radii`` [N] for each thing; where a kind is −1 there is
    no such thing in that picture.
    """
    count = len(kinds[0])
    ground = rng.uniform(*_GROUND, (count, 1, 1, 1)).astype(np.float32)
    # The grain is even and not normal: drawing it would take longer than drawing the scenes.
    drawn = ground + _GRAIN * (rng.random((count, 3, P, P), np.float32) - np.float32(0.5))
    for kind, (x, y), radius in zip(kinds, places, radii, strict=True):
        shade = rng.uniform(*_SHADE, (count, 1))
        ink = np.clip(_INKS[kind // len(SHAPES)] * shade + rng.normal(0, 0.03, (count, 3)), 0, 1)
        here = np.flatnonzero(kind >= 0)
        _paint(drawn, here, kind[here] % len(SHAPES), ink[here], x[here], y[here], radius[here])
    return np.clip(drawn, 0, 1, out=drawn)


def anywhere(rng: np.random.Generator, radius: Floats) -> Floats:
    """A place [N] along one axis at which a thing of ``radius`` [N] is whole."""
    return rng.uniform(radius + 0.5, P - 1.5 - radius)


def pairs(rng: np.random.Generator, count: int, relation: Array) -> tuple[list[tuple[Floats, Floats]], list[Floats]]:
    """Places and radii of two things each, the first in ``relation`` [N] to the second and clear of it."""
    radii = [rng.uniform(*RADII, count), rng.uniform(*RADII, count)]
    least = radii[0] + radii[1] + APART
    low, high = radii[0] + 0.5, P - 1.5 - radii[1]
    # Along the axis: how far apart, then where; across it: at most four tenths as far apart, so that it is plain.
    along = rng.uniform(least, np.maximum(high - low, least))
    start = rng.uniform(low, np.maximum(high - along, low))
    across = anywhere(rng, radii[0])
    other = np.clip(across + rng.uniform(-0.4, 0.4, count) * along, radii[1] + 0.5, P - 1.5 - radii[1])
    backward, upright = relation % 2 == 1, relation >= 2
    first = np.where(backward, P - 1 - start, start)
    second = np.where(backward, P - 1 - start - along, start + along)
    return [
        (np.where(upright, across, first), np.where(upright, first, across)),
        (np.where(upright, other, second), np.where(upright, second, other)),
    ], radii


def _paint(drawn: Array, which: Array, shape: Array, ink: Floats, x: Floats, y: Floats, radius: Floats) -> None:
    """Paint a thing into each of the pictures ``which`` [M] of [N,3,P,P]: a pixel takes as much ink as it is covered.

    Only the window around the thing is touched, clipped at the picture's edges.
    """
    left, top = np.rint(x).astype(int), np.rint(y).astype(int)
    columns, rows = left[:, None] + _WINDOW, top[:, None] + _WINDOW
    right = np.broadcast_to((columns - x[:, None])[:, None, :], (len(which), len(_WINDOW), len(_WINDOW)))
    down = np.broadcast_to((rows - y[:, None])[:, :, None], right.shape)
    radius = radius[:, None, None]
    inside = np.empty(right.shape)  # pixels from the outline, positive inside
    for number, name in enumerate(SHAPES):
        of = shape == number
        inside[of] = _OUTLINES[name](right[of], down[of], radius[of])
    seen = ((columns >= 0) & (columns < P))[:, None, :] & ((rows >= 0) & (rows < P))[:, :, None]
    covered = np.where(seen, np.clip(inside + 0.5, 0, 1), 0)[..., None].astype(np.float32)
    at = (which[:, None, None], slice(None), rows.clip(0, P - 1)[:, :, None], columns.clip(0, P - 1)[:, None, :])
    # Rows and columns beyond the edge are clipped to it, several to one: only what is seen is written.
    mixed = drawn[at] * (1 - covered) + covered * ink[:, None, None, :].astype(np.float32)
    sample, row, column = np.nonzero(seen)
    drawn[which[sample], :, rows[sample, row], columns[sample, column]] = mixed[sample, row, column]


_WINDOW = np.arange(-8, 9)


def _circle(right: Floats, down: Floats, radius: Floats) -> Floats:
    return np.asarray(radius - np.hypot(right, down))


def _square(right: Floats, down: Floats, radius: Floats) -> Floats:
    return np.asarray(0.89 * radius - np.maximum(np.abs(right), np.abs(down)))


def _triangle(right: Floats, down: Floats, radius: Floats) -> Floats:
    # Equilateral, tip up; its middle lies a little above a third of its height, so that it fills its circle.
    slope = np.sqrt(0.75)
    sides = 0.5 * radius - (np.abs(right) * slope - down * 0.5 - 0.15 * radius * 0.5)
    floor = 0.62 * radius + 0.15 * radius - down
    return np.asarray(np.minimum(sides - 0.05 * radius, floor))


_OUTLINES = {"circle": _circle, "square": _square, "triangle": _triangle}
