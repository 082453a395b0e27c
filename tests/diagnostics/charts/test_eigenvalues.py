import numpy as np
import pytest

from diagnostics.charts import eigenvalues
from tests.diagnostics.charts.inspections import inspection_of

VALUES = np.array([[[[0.0, 1.5], [0.0, -1.5], [1.0, 0.0], [-0.5, 0.0], [0.0, 0.0]]]])


def test_every_eigenvalue_is_drawn_once_inside_or_outside() -> None:
    prepared = eigenvalues.prepare(inspection_of(eigenvalues=VALUES))
    (plane,) = prepared.planes
    assert (plane.radius, plane.outside, plane.missing) == (1.5, 2, 0)
    inside, outside = eigenvalues.draw(prepared).data
    assert (inside.marker.symbol, outside.marker.symbol) == ("circle", "diamond")
    assert len(inside.x) == 3
    np.testing.assert_allclose(sorted(outside.y), [-1.5, 1.5])
    assert "spectral radius 1.5, 2 of 5 outside the circle" in eigenvalues.describe(prepared)


@pytest.mark.parametrize(("cell", "gates"), [("tanh", 1), ("gru", 3), ("lstm", 4)])
def test_each_gate_has_a_plane_with_a_circle_and_one_scale(cell: str, gates: int) -> None:
    prepared = eigenvalues.prepare(inspection_of(cell))
    figure = eigenvalues.draw(prepared)
    circles = [shape for shape in figure.layout.shapes if shape.type == "circle"]
    assert [(c.x0, c.x1, c.y0, c.y1) for c in circles] == [(-1, 1, -1, 1)] * gates
    axes = [figure.layout[f"yaxis{i or ''}"] for i in (0, 2, 3, 4)[:gates]]
    assert {tuple(axis.range) for axis in axes} == {(-prepared.reach, prepared.reach)}
    assert [axis.scaleanchor for axis in axes] == ["x", "x2", "x3", "x4"][:gates]
    assert ("none of them alone is the step's Jacobian" in prepared.origin.caption) == (gates > 1)


def test_the_circle_is_always_whole() -> None:
    assert eigenvalues.prepare(inspection_of(eigenvalues=0.01 * VALUES)).reach > 1


def test_weights_that_are_not_finite_are_said() -> None:
    prepared = eigenvalues.prepare(inspection_of(eigenvalues=np.full_like(VALUES, np.nan)))
    assert "not finite" in eigenvalues.describe(prepared)
    assert all("not finite" in note.text for note in eigenvalues.draw(prepared).layout.annotations)
