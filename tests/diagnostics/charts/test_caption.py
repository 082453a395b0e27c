from __future__ import annotations

import numpy as np
import pytest

from diagnostics.charts import caption

PICTURE = np.full((3, 8, 8), 0.9)
PICTURE[:, 2:4, 5:7] = 0.1
WORDS = ("a", "<b>red</b>", "<END>")


def gradients() -> np.ndarray:
    found = np.zeros((3, 3, 8, 8))
    found[0, :, 6, 1] = (0.3, 0.0, 0.4)
    found[1, 0, 2, 6] = 5.0
    return found


def test_pixels_are_compared_with_the_largest_of_all_words() -> None:
    prepared = caption.prepare(PICTURE, WORDS, (0.9, 0.5, 1.0), gradients(), ["r1"], "a network")
    first, second, last = prepared.panels
    assert first.gradient[6, 1] == pytest.approx(0.5)
    assert first.ratio[6, 1] == pytest.approx(0.1)
    assert second.ratio.max() == 1
    assert (first.total, second.total, last.total) == pytest.approx((0.5, 5.0, 0.0))
    assert prepared.origin.run_ids == ("r1",)
    assert prepared.origin.facts["largest"] == 5.0
    assert prepared.picture.shape == (8, 8, 3)


def test_what_is_said_has_words_probabilities_and_places_and_no_markup() -> None:
    said = caption.describe(caption.prepare(PICTURE, WORDS, (0.9, 0.5, 1.0), gradients()))
    assert "a, probability 90 %: gradient 0.5, about the bottom left" in said
    assert "<b>red</b>, probability 50 %: gradient 5, about the top right" in said
    assert said.rstrip(".").endswith("gradient 0")
    html = caption.draw(caption.prepare(PICTURE, WORDS, (0.9, 0.5, 1.0), gradients())).to_json()
    assert "<b>red</b><br>" not in html.replace("<b>&lt;", "")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", ["page", "projector"])
def test_a_panel_for_each_word_and_none_over_another(theme: str, size: str) -> None:
    figure = caption.draw(
        caption.prepare(PICTURE, WORDS * 3, (0.9,) * 9, np.concatenate([gradients()] * 3)), theme=theme, size=size
    )
    domains = [
        (figure.layout[f"xaxis{n}"].domain, figure.layout[f"yaxis{n}"].domain) for n in ("", *map(str, range(2, 11)))
    ]
    for one, (x, y) in enumerate(domains):
        assert 0 <= x[0] < x[1] <= 1
        assert 0 <= y[0] < y[1] <= 1
        for u, v in domains[:one]:
            assert x[0] >= u[1] or u[0] >= x[1] or y[0] >= v[1] or v[0] >= y[1]
    assert sum(trace.type == "image" for trace in figure.data) == 1
    assert [trace.type for trace in figure.data].count("contour") == 9


def test_exact_zeros_have_a_ground_of_their_own_and_what_is_no_number_is_marked() -> None:
    strange = gradients()
    strange[0, 0, 0, 0], strange[1, 0, 7, 7] = np.nan, np.inf
    prepared = caption.prepare(PICTURE, WORDS, (0.9, 0.5, 1.0), strange)
    figure = caption.draw(prepared)
    heatmaps = [trace for trace in figure.data if trace.type == "heatmap"]
    for ground, values in zip(heatmaps[::2], heatmaps[1::2], strict=True):
        assert (np.isfinite(np.asarray(ground.z)) ^ np.isfinite(np.asarray(values.z))).all()
    marks = [trace for trace in figure.data if trace.type == "scatter"]
    assert [mark.hovertext for mark in marks] == ["not a number", "infinite"]
    assert prepared.panels[1].ratio[2, 6] == 1, "the largest finite pixel is the measure"


def test_a_caption_of_no_words_says_so() -> None:
    prepared = caption.prepare(PICTURE, (), (), np.zeros((0, 3, 8, 8)))
    assert caption.WAITING in caption.describe(prepared)
    assert caption.WAITING.split()[0] in caption.draw(prepared).to_json()
    with pytest.raises(ValueError, match="must be equally many, but got 3, 1 and 3"):
        caption.prepare(PICTURE, WORDS, (0.5,), gradients())


def test_all_zero_is_no_division_by_it() -> None:
    prepared = caption.prepare(PICTURE, WORDS, (1.0, 1.0, 1.0), np.zeros((3, 3, 8, 8)))
    assert all((panel.ratio == 0).all() for panel in prepared.panels)
    caption.draw(prepared)
