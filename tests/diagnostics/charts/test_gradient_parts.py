"""The figures on where a gradient comes from: what they prepare, and that nothing can break them."""

import json
from dataclasses import replace

import numpy as np
import pytest

from diagnostics.charts import itemised, memory, noise, parameters, truncation, weight_gradient
from diagnostics.charts.inspection_gallery import INSPECTION_FIGURES, InspectionFigure
from diagnostics.inspection import GATES, Inspection

KEYS = ("weight_gradient", "cancellation", "noise", "itemised", "lag_profile", "truncation", "memory", "parameters")
ALL = pytest.mark.parametrize("figure", [INSPECTION_FIGURES[key] for key in KEYS], ids=KEYS)
ODD = np.array([0.0, np.inf, np.nan, 1e-300, 1e300])


def inspection(
    kind: str = "gru",
    T: int = 30,
    L: int = 2,
    B: int = 4,
    answers: int | None = None,
    cell: str = "",
    odd: bool = False,
) -> Inspection:
    rng = np.random.default_rng(T)
    G = len(GATES[kind])
    A = T if answers is None else answers
    lags = np.arange(T)[::-1]
    at = np.unique(np.linspace(T - A, T - 1, A).round().astype(np.int64)) if A > 1 else np.array([T - 1])
    matrix = np.where(np.arange(T) <= at[:, None], 0.8 ** (at[:, None] - np.arange(T, dtype=float)), 0.0)
    arrays = {
        "weight_grad": np.broadcast_to((0.9**lags)[None, :, None], (L, T, G + 1)) * np.arange(1, G + 2),
        "cancellation": np.full((L, G + 1), 0.25),
        "noise": np.exp(rng.normal(0, 0.3, (L, T))),
        "bptt_sum_error": np.full(L, 1e-15),
        "answer_steps": at,
        "itemised": np.broadcast_to(matrix, (L, *matrix.shape)).copy(),
        "lag_profile": np.broadcast_to(0.8 ** np.arange(T, dtype=float), (L, T)).copy(),
        "chunk": np.unique(np.append(2 ** np.arange(5), T)),
        "memory_steps": np.array([T, 2 * T]),
        "memory_full": np.array([10**6, 2 * 10**6]),
        "memory_truncated": np.array([500_000, 510_000]),
        "memory_batch": np.array([16, 16]),
        "memory_chunk": np.array([T, T]),
        "parameter_names": np.array(["recurrent.layers.0.weight_hh", "head.bias"]),
        "parameter_norm": np.array([3.0, 0.5]),
        "parameter_grad_norm": np.array([0.1, np.inf]),
        "update_ratio": np.array([0.002, np.nan]),
        "grad_histogram": np.array([[0, 5, 90, 0], [1, 0, 0, 0]]),
        "bin_edges_log10": np.arange(-4, 1) / 2,
        "grad_nan": np.array([0, 1]),
        "grad_inf": np.array([0, 2]),
        "grad_zero": np.array([5, 0]),
    }
    M = len(arrays["chunk"])
    arrays["truncation_cosine"], arrays["truncation_error"] = np.linspace(0.3, 1, M), np.linspace(1.4, 0, M)
    if odd:
        for name, values in arrays.items():
            if values.dtype.kind == "f" and name != "bin_edges_log10":
                arrays[name] = np.where(rng.random(values.shape) < 0.5, rng.choice(ODD, values.shape), values)
    tokens = tuple(tuple(f"<b>{t}" for t in range(T)) for _ in range(B))
    name = cell or ("tanh" if kind == "rnn" else kind)
    informative = ((T // 3,),) * B
    return Inspection(
        "r-1", 40, name, kind, name if kind == "rnn" else "", L, tokens, informative, T - 1,
        {key: np.ascontiguousarray(values) for key, values in arrays.items()},
    )  # fmt: skip


def four() -> list[tuple[str, Inspection]]:
    shapes = (("rnn", "tanh"), ("rnn", "relu"), ("gru", "gru"), ("lstm", "lstm"))
    return [(f"<i>{cell}</i>", inspection(kind, T=20 + 3 * i, cell=cell)) for i, (kind, cell) in enumerate(shapes)]


@ALL
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", ["page", "projector"])
def test_each_draws_in_every_look_and_says_where_its_numbers_come_from(
    figure: InspectionFigure, theme: str, size: str
) -> None:
    prepared = figure.prepared(four(), layer=1)
    found = figure.draw(prepared, theme=theme, size=size)
    assert found.layout.meta["figure"] == figure.key
    assert {"training_steps", "unit", "reduction", "clip", "caption", "samples"} <= set(found.layout.meta)
    assert found.data
    text = found.to_json()
    assert "<i>" not in text
    assert "<b>1" not in text
    assert "Infinity" not in text
    assert len(text) < 200_000
    said = figure.accessible_name(prepared)
    assert "<sub>" not in said
    assert len(said) > len(figure.title)


@ALL
@pytest.mark.parametrize("T", [1, 2, 30, 1000])
@pytest.mark.parametrize("kind", ["rnn", "lstm"])
def test_no_numbers_break_one(figure: InspectionFigure, T: int, kind: str) -> None:
    for answers in (1, min(T, 64)):
        one = inspection(kind, T=T, answers=answers, odd=True)
        prepared = figure.prepared([("wild", one)], layer=0)
        text = figure.draw(prepared).to_json()
        json.loads(text)
        assert "NaN" not in text
        assert "Infinity" not in text
        assert figure.accessible_name(prepared)
        assert len(text) < 600_000


@ALL
def test_a_section_that_was_not_asked_for_is_a_sentence(figure: InspectionFigure) -> None:
    bare = replace(inspection(), arrays={})
    prepared = figure.prepared([("bare", bare)], layer=0)
    words = figure.draw(prepared).layout.annotations[0].text.replace("<br>", " ")
    assert words.startswith("This inspection holds no “")
    assert figure.accessible_name(prepared)


@ALL
def test_the_words_on_how_to_read_it_are_two_or_three_sentences(figure: InspectionFigure) -> None:
    assert 2 <= figure.how_to_read.count(". ") + 1 <= 3
    assert set(figure.needs) <= set(inspection().arrays)


@pytest.mark.parametrize("key", ["weight_gradient", "cancellation", "noise", "lag_profile", "truncation", "memory"])
def test_line_charts_refuse_what_nobody_could_tell_apart(key: str) -> None:
    figure = INSPECTION_FIGURES[key]
    with pytest.raises(ValueError, match="inspections must be at most 8 to be told apart, but got 9"):
        figure.prepare([("x", inspection())] * 9)
    assert "No run is inspected" in figure.draw(figure.prepare([])).layout.annotations[0].text
    if "layer" in figure.options:
        with pytest.raises(ValueError, match="layer must be from 0 to 1, but got 2"):
            figure.prepare([("x", inspection())], layer=2)


def test_one_gated_cell_alone_has_a_line_for_each_gate() -> None:
    one = inspection("lstm")
    lines = weight_gradient.prepare([("a", one)]).lines
    assert [line.label for line in lines] == [
        "input gate i", "forget gate f", "candidate g", "output gate o", "all gates",
    ]  # fmt: skip
    np.testing.assert_array_equal(lines[2].values, one["weight_grad"][0, ::-1, 2])
    several = weight_gradient.prepare(four()).lines
    assert len(several) == 4
    assert len({(line.style.colour, line.style.dash) for line in several}) == 4
    np.testing.assert_array_equal(several[0].values, four()[0][1]["weight_grad"][0, ::-1, -1])


def test_exact_zeros_of_the_shares_stand_on_a_rail() -> None:
    one = inspection("rnn")
    one["weight_grad"][:, 0] = 0
    found = weight_gradient.draw(weight_gradient.prepare([("a", one)]))
    rail = [trace for trace in found.data if trace.name == "a: exactly 0"]
    assert [int(x) for x in rail[0].x] == [29]


def test_cancellation_has_a_bar_per_gate_and_cell() -> None:
    bars = weight_gradient.prepare_cancellation(four()).bars
    assert len(bars) == 1 + 1 + 4 + 5
    assert bars[2].name.endswith("reset gate r")
    assert {bar.value for bar in bars} == {0.25}


def test_noise_of_one_sample_is_a_sentence() -> None:
    said = noise.draw(noise.prepare([("a", inspection(B=1))])).layout.annotations[0].text
    assert "ask for two or more" in said.replace("<br>", " ")


def test_rows_of_the_itemised_gradient_are_divided_by_their_own_answer() -> None:
    one = inspection()
    one["itemised"][:, 3] *= 7
    prepared = itemised.prepare(one)
    assert prepared.ratio[3, 3] == 1
    assert prepared.ratio[3, 1] == pytest.approx(0.64)
    assert not prepared.heard[3, 4]
    assert prepared.heard[3, 3]


def test_one_answer_is_one_row_and_says_so() -> None:
    prepared = itemised.prepare(inspection(answers=1))
    assert prepared.ratio.shape == (1, 30)
    assert itemised.ONE in [note.text for note in itemised.draw(prepared).layout.annotations]


def test_a_long_sequence_keeps_the_columns_of_its_answers() -> None:
    prepared = itemised.prepare(inspection(T=1000, answers=10))
    assert set(prepared.answers.tolist()) <= set(prepared.timesteps.tolist())
    assert len(prepared.timesteps) <= itemised.MOST_COLUMNS + 10
    assert prepared.ratio.shape == (10, len(prepared.timesteps))


def test_truncation_marks_the_chunk_that_reaches_the_word() -> None:
    found = truncation.draw(truncation.prepare([("a", inspection())]))
    assert any("from 20 on" in note.text for note in found.layout.annotations)
    assert truncation.describe(truncation.prepare([("a", inspection())])).endswith("from a chunk of 30 steps on.")


def test_what_is_not_finite_is_counted_beside_the_histogram() -> None:
    prepared = parameters.prepare(inspection())
    assert [row.name for row in prepared.rows] == ["layer 1 · weight_hh", "head · bias"]
    assert prepared.rows[0].shares.tolist() == [0, 0.05, 0.9, 0]
    texts = [trace.text for trace in parameters.draw(prepared).data if trace.type == "scatter" and trace.mode == "text"]
    assert [texts[column][1] for column in range(6)] == ["infinite", "0.5", "–", "–", "2", "1"]
    assert [texts[column][0] for column in (2, 3)] == ["0.002", "5"]
    assert "1 (25 %) nan" in parameters.describe(prepared)


def test_memory_is_in_megabytes_with_its_batch_and_chunk() -> None:
    prepared = memory.prepare([("a", inspection())])
    assert prepared.lines[0].full.tolist() == [1.0, 2.0]
    assert "16 sequences a step" in prepared.origin.caption
    assert memory.describe(prepared).endswith("a: at 60 steps 2 MB for the whole gradient, 0.51 MB truncated at 30.")
