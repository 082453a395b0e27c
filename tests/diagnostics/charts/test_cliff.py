from typing import Any

import numpy as np
import pytest

from diagnostics.charts import cliff
from diagnostics.measures.cliff import growth_at_half, loss

WALL = "where the wall stands: b = ½ − w σ(½)"
USUAL: dict[str, Any] = {"step_size": 0.5, "threshold": 0.1, "T": 50, "updates": 60}


def test_the_ground_is_the_loss_and_the_wall_stands_where_the_state_grows() -> None:
    found = cliff.prepare(5.0, -2.2, **USUAL)
    assert found.loss.shape == (len(found.b), len(found.w))
    assert found.loss[3, 7] == loss(found.w[7], found.b[3], 50)
    line = found.wall[np.isfinite(found.wall).all(axis=1)]
    assert growth_at_half(float(line[0, 0])) > 1
    assert len(line) == (np.array([growth_at_half(float(w)) for w in found.w]) > 1).sum()
    for w, b in line[40::20]:  # three hundredths of b to either side: the foot and the top
        assert loss(w, b + 0.03, 50) < 0.1
        assert loss(w, b - 0.03, 50) > 0.25


def test_a_wall_of_negative_weights_is_drawn_apart_from_that_of_positive_ones() -> None:
    found = cliff.prepare(-8.0, 5.0, **USUAL)
    stands = np.isfinite(found.wall).all(axis=1)
    assert (stands == (np.abs([growth_at_half(float(w)) for w in found.w]) > 1)).all()
    assert stands[0]
    assert stands[-1]
    assert not stands.all()
    assert any(trace.name == WALL and np.isnan(trace.y).any() for trace in cliff.draw(found).data)


def test_without_a_wall_no_line_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cliff, "W", (-3.0, 3.0))
    found = cliff.prepare(0.0, 0.0, **USUAL)
    assert np.isnan(found.wall).all()
    assert not any(trace.name == WALL for trace in cliff.draw(found).data)


def test_a_start_outside_the_usual_picture_is_in_it() -> None:
    found = cliff.prepare(9.0, 3.0, **USUAL)
    assert found.w[0] < 4 < 9.0 < found.w[-1]
    assert found.b[0] < -3 < 3.0 < found.b[-1]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_pictures_carry_both_descents(theme: Any) -> None:
    found = cliff.prepare(5.0, -2.2, **USUAL)
    for draw in (cliff.draw, cliff.draw_surface):
        figure = draw(found, theme=theme)
        names = [trace.name for trace in figure.data if trace.name]
        assert {"without clipping", "clipped by norm"} <= set(names)
        assert figure.layout.meta["start"] == [5.0, -2.2]
        assert len(figure.to_json()) < 200_000
    (ring,) = cliff.draw(found, theme=theme).layout.shapes
    assert (ring.name, ring.xanchor, ring.yanchor) == ("start", 5.0, -2.2)


def test_in_three_dimensions_a_path_ends_where_the_ground_does() -> None:
    found = cliff.prepare(4.8, -2.3, **USUAL)  # thrown to w ≈ 10, b ≈ 7
    figure = cliff.draw_surface(found)
    raw = next(trace for trace in figure.data if trace.name == "without clipping")
    assert np.isnan(raw.x).any()
    assert np.nanmax(raw.x) <= found.w[-1]
    assert np.nanmax(raw.y) <= found.b[-1]


def test_what_became_of_each_descent_is_said() -> None:
    said = cliff.describe(cliff.prepare(5.0, -2.2, **USUAL))
    assert "without clipping: longest update 2.6 (update 17)" in said
    assert "55 of 60 updates clipped" in said


def test_what_cannot_be_asked_is_refused() -> None:
    with pytest.raises(ValueError, match="T must be from 1 to 100, but got 1000"):
        cliff.prepare(5.0, -2.2, **{**USUAL, "T": 1000})
