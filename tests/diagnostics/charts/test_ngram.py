"""n-grams beside networks: what is prepared, said and drawn."""

from __future__ import annotations

import math

import pytest

from diagnostics.charts import ngram, ngram_cost, softmax_time
from diagnostics.charts.ngram import Net, Order
from diagnostics.charts.softmax_time import Point

ORDERS = [Order(1, 70.0, 1 / 12, 0.001, 250, 250), Order(2, 5.0, 0.1, 0.01, 700, 62_500), Order(3, 4.0, 1.0, 0.1, 9, 8)]
NETS = [Net("r-1", "GRU <b>", "gru", 2.5, 0.98, 43_066), Net("r-2", "tanh", "tanh", math.inf, 0.08, 30_522)]


def test_networks_are_level_lines_and_n_grams_points() -> None:
    prepared = ngram.prepare(ORDERS, NETS, 1 / 12, 2)
    figure = ngram.draw(prepared)
    points = [trace for trace in figure.data if trace.name == ngram.NGRAM]
    assert [list(trace.y) for trace in points] == [[70.0, 5.0, 4.0], [1 / 12, 0.1, 1.0]]
    assert [list(trace.y) for trace in figure.data if trace.name == "tanh"] == [[math.inf] * 2, [0.08] * 2]
    said = " ".join(note.text for note in figure.layout.annotations)
    assert "from n = 3 on" in said  # two words before the last one
    assert prepared.origin.meta()["runs"] == ["r-1", "r-2"]


def test_the_axis_of_perplexity_holds_every_finite_one() -> None:
    for theme in ("light", "dark"):
        figure = ngram.draw(ngram.prepare(ORDERS, NETS, 1 / 12, 2), theme=theme)  # type: ignore[arg-type]
        low, high = figure.layout.yaxis.range
        assert 10**low < 2.5 < 70 < 10**high


def test_out_of_sight_is_not_marked() -> None:
    figure = ngram.draw(ngram.prepare(ORDERS, NETS, 1 / 12, 10))
    assert not figure.layout.annotations


def test_it_is_said_in_words() -> None:
    said = ngram.describe(ngram.prepare(ORDERS, NETS, 1 / 12, 2))
    assert "3-gram: perplexity 4, last word 100 %" in said
    assert "guessing 8 %" in said
    said = ngram_cost.describe(ngram_cost.prepare(ORDERS, NETS, 250))
    assert "2-grams: 6.2·10⁴ possible, 700 seen, 1 % of those in held-out sentences never seen" in said


@pytest.mark.parametrize("count", [1, 2, 3])
def test_what_is_written_at_the_points_leaves_the_axis_free(count: int) -> None:
    figure = ngram_cost.draw(ngram_cost.prepare(ORDERS[:count], NETS, 250))
    [places] = [trace.textposition for trace in figure.data if trace.name == ngram_cost.KEPT]
    assert list(places) == ["bottom right", *["bottom center"] * (count - 2), "bottom left"][:count]


def test_names_are_no_markup() -> None:
    figure = ngram.draw(ngram.prepare(ORDERS, NETS, 1 / 12, 2))
    assert not any("<b>" in str(trace.name) for trace in figure.data)


def test_n_must_rise() -> None:
    with pytest.raises(ValueError, match="orders must rise in n"):
        ngram.prepare(ORDERS[::-1], [], 0.5, 2)
    with pytest.raises(ValueError, match="at least one n-gram"):
        ngram_cost.prepare([], [], 250)


def test_the_cost_spans_what_is_possible_and_what_is_kept() -> None:
    figure = ngram_cost.draw(ngram_cost.prepare(ORDERS[:2], NETS, 250))
    by_name = {trace.name: list(trace.y) for trace in figure.data}
    assert by_name[ngram_cost.POSSIBLE] == [250.0, 62_500.0]
    assert by_name[ngram_cost.KEPT] == [250.0, 700.0]
    assert by_name["tanh"] == [30_522, 30_522]
    low, high = figure.layout.yaxis.range
    assert 10**low <= 250 < 62_500 <= 10**high


def test_times_are_in_milliseconds_by_kind() -> None:
    points = [Point("full", 1000, 0.25), Point("full", 100, 0.125), Point("nce", 100, 0.0625)]
    prepared = softmax_time.prepare(points, 256, 64, "here")
    figure = softmax_time.draw(prepared)
    assert {trace.name: (list(trace.x), list(trace.y)) for trace in figure.data} == {
        "full": ([100, 1000], [125.0, 250.0]),
        "nce": ([100], [62.5]),
    }
    assert "full: 120 ms at 100 words, 250 ms at 1000 words" in softmax_time.describe(prepared)
    assert "256 answers of 64 features" in prepared.origin.caption


def test_nothing_measured_is_said() -> None:
    prepared = softmax_time.prepare([], 256, 64, "nowhere")
    assert softmax_time.WAITING in softmax_time.describe(prepared)
    assert softmax_time.draw(prepared).layout.annotations
