"""The pictures: what is drawn where, and which relations are true of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import scenes
from tasks.scenes import COLOURS, KINDS, SHAPES, P, Thing


def test_kinds_and_their_names() -> None:
    assert [scenes.named(kind) for kind in (0, 5, 11)] == ["red circle", "green triangle", "yellow triangle"]
    for kind in range(KINDS):
        made = scenes.thing(kind, 10, 12, 5, 0.9)
        assert (made.kind, f"{made.colour} {made.shape}") == (kind, scenes.named(kind))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("colour", COLOURS)
def test_a_thing_is_drawn_in_its_colour_around_its_place(shape: str, colour: str) -> None:
    seen = scenes.picture([Thing(shape, colour, 10.0, 20.0, 5.0, 1.0)], ground=1.0)
    assert seen.shape == (3, P, P)
    assert seen.dtype == np.float32
    covered = 1 - seen.min(axis=0) / 1.0
    rows, columns = np.nonzero(covered > 0.5)
    assert rows.mean() == pytest.approx(20, abs=1.0)
    assert columns.mean() == pytest.approx(10, abs=0.1)
    assert (np.hypot(columns - 10, rows - 20) < 7).all()
    ink = {"red": 0, "green": 1, "blue": 2}.get(colour)
    middle = seen[:, 20, 10]
    if ink is None:
        assert middle[0] > 0.9
        assert middle[1] > 0.7
        assert middle[2] < 0.2
    else:
        assert int(middle.argmax()) == ink
        assert middle[ink] > 2 * np.delete(middle, ink).max()


@pytest.mark.parametrize(
    ("shape", "area"), [("circle", np.pi * 25), ("square", (2 * 0.89 * 5) ** 2), ("triangle", 46.0)]
)
def test_the_edges_are_soft_so_that_areas_are_right(shape: str, area: float) -> None:
    """The covered share of all pixels is the area, wherever between two pixels the thing lies."""
    for x in (12.0, 12.25, 12.5, 12.8):
        seen = scenes.picture([Thing(shape, "red", x, 14.3, 5.0, 1.0)], ground=1.0)
        ink = scenes.picture([Thing("square", "red", 16, 16, 5.0, 1.0)], ground=1.0)[1, 16, 16]
        covered = float(((1 - seen[1]) / (1 - ink)).sum())
        assert covered == pytest.approx(area, rel=0.06 if shape != "triangle" else 0.2)


def test_a_thing_at_the_edge_is_cut_off_there_and_does_not_come_back_on_the_other_side() -> None:
    seen = scenes.picture([Thing("circle", "blue", 0.0, 31.0, 5.0)], ground=1.0)
    assert seen[0, 31, 0] < 0.5
    assert (seen[:, :20] == 1).all()
    assert (seen[:, :, 10:] == 1).all()
    nowhere = scenes.picture([Thing("circle", "blue", -40.0, 90.0, 5.0)], ground=1.0)
    assert (nowhere == 1).all()


def test_the_later_of_two_things_lies_on_top() -> None:
    seen = scenes.picture([Thing("square", "red", 15, 15), Thing("circle", "blue", 15, 15)])
    assert int(seen[:, 15, 15].argmax()) == 2


@settings(deadline=None, max_examples=40)
@given(relation=st.integers(0, 3), seed=st.integers(0, 2**32))
def test_pairs_are_whole_clear_of_each_other_and_in_no_other_relation(relation: int, seed: int) -> None:
    places, radii = scenes.pairs(np.random.default_rng(seed), 20, np.full(20, relation))
    for one in range(20):
        things = [Thing("circle", "red", places[k][0][one], places[k][1][one], radii[k][one]) for k in (0, 1)]
        for thing in things:
            assert thing.radius <= thing.x <= P - 1 - thing.radius
            assert thing.radius <= thing.y <= P - 1 - thing.radius
        assert np.hypot(things[1].x - things[0].x, things[1].y - things[0].y) >= sum(t.radius for t in things) + 1.9
        assert scenes.relations(*things) == (relation,)
        assert scenes.relations(*things[::-1]) == (scenes.INVERSE[relation],)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [(25, 5, (0,)), (-15, 5, (1,)), (5, 25, (2,)), (5, -15, (3,)), (15, 15, (0, 2)), (-5, 15, (1, 2)), (12, 8, ())],
)
def test_relations_of_the_farther_axis_of_both_where_undecided_of_none_where_they_touch(
    x: float, y: float, expected: tuple[int, ...]
) -> None:
    assert scenes.relations(Thing("circle", "red", 5, 5), Thing("square", "red", x, y)) == expected


def test_what_is_not_there_is_not_drawn_and_all_values_are_shares() -> None:
    kinds = [np.array([0, 3, -1]), np.array([-1, 4, -1])]
    at = (np.full(3, 15.0), np.full(3, 15.0))
    drawn = scenes.draw(np.random.default_rng(0), kinds, [at, (at[0] - 9, at[1])], [np.full(3, 5.0)] * 2)
    assert drawn.dtype == np.float32
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    assert np.ptp(drawn[2]) < 0.06, "only ground and grain"
    assert np.ptp(drawn[0, :, :, :4]) < 0.06
    assert np.ptp(drawn[1, :, :, :8]) > 0.3
