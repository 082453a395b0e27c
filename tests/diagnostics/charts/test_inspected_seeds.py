"""The figures of inspections with runs that differ only in their seed drawn as one."""

import json
from dataclasses import replace

import numpy as np
import pytest

from diagnostics.charts import (
    itemised,
    lyapunov,
    memory,
    noise,
    singular_values,
    theory,
    truncation,
    weight_gradient,
)
from diagnostics.charts.inspected_seeds import Seeds, any_together, bundled, gathered
from diagnostics.charts.inspection_gallery import INSPECTION_FIGURES
from diagnostics.inspection import Inspection
from diagnostics.measures.seeds import common_of_logs
from tests.diagnostics.charts.inspections import inspection_of
from tests.diagnostics.charts.test_gradient_parts import inspection

SEVERAL = [key for key, info in INSPECTION_FIGURES.items() if info.several]
ONE_NETWORK = [key for key, info in INSPECTION_FIGURES.items() if info.over_seeds]
EACH = pytest.mark.parametrize("key", SEVERAL)
EVERY = pytest.mark.parametrize("key", [*SEVERAL, *ONE_NETWORK])


def shaken(one: Inspection, seed: int, run_id: str) -> Inspection:
    """The inspection of another seed: every real quantity scaled entry by entry, cosines kept to 1 at the last."""
    rng = np.random.default_rng(seed)
    arrays = {
        name: values * rng.uniform(0.2, 5.0, values.shape) if values.dtype == np.float64 else values
        for name, values in one.arrays.items()
    }
    return replace(one, run_id=run_id, arrays=arrays)


def seeds(kind: str = "rnn", count: int = 3, **shape: int) -> list[Inspection]:
    first = inspection(kind=kind, **shape)
    shape = {"T": first.timesteps, "B": first.samples, "L": first.layers}
    first = replace(first, arrays={**inspection_of(first.cell, **shape).arrays, **first.arrays})
    return [shaken(first, seed, f"r-{kind}-{seed}") for seed in range(count)]


def bundle(ones: list[Inspection], name: str = "tanh") -> Seeds:
    (found,) = gathered(
        [(f"{name} · seed {n}", one) for n, one in enumerate(ones)], [{"a": 1, "seed": n} for n in range(len(ones))]
    )
    return found


def altered(one: Inspection, **arrays: np.ndarray) -> Inspection:
    return replace(one, arrays={**one.arrays, **arrays})


def spans(curves: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Least, median and greatest, in NumPy's own words; nan of one is nan of all."""
    stacked = np.stack(curves)
    return stacked.min(axis=0), np.median(stacked, axis=0), stacked.max(axis=0)


def test_runs_are_together_that_differ_only_in_their_seed_and_looked_alike() -> None:
    a, b, c = seeds()
    names = ["tanh · seed 0", "tanh · seed 1", "tanh · clip 1 · seed 2"]
    specs = [{"clip": None, "seed": 0}, {"clip": None, "seed": 1}, {"clip": 1, "seed": 2}]
    found = gathered(list(zip(names, (a, b, c), strict=True)), specs)
    assert [(one.name, len(one.members), one.which) for one in found] == [
        ("tanh · 2 seeds", 2, "tanh · seed 0, the first of 2 seeds"),
        ("tanh · clip 1 · seed 2", 1, "tanh · clip 1 · seed 2"),
    ]
    assert any_together(found)
    for other in (replace(b, step=7), inspection(B=5), inspection(T=20), inspection(L=1), replace(b, truncate=3)):
        assert not any_together(gathered([("a", a), ("b", other)], specs[:2]))
    assert not any_together(gathered([("a", a), ("b", b)], [specs[0], specs[0]]))  # no further evidence
    assert not any_together(bundled([("a", a), ("b", b)]))


@EACH
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_figure_draws_them_once_and_says_so(key: str, theme: str) -> None:
    info = INSPECTION_FIGURES[key]
    groups = [bundle(seeds("rnn")), bundle(seeds("gru"), "gru")]
    prepared = info.prepared(groups)
    figure = info.draw(prepared, theme=theme)
    caption, said = figure.layout.meta["caption"], info.accessible_name(prepared)
    assert "3 seeds" in said
    assert "seed 1" not in figure.to_json()
    if key == "memory":
        assert "of the first seed" in caption
        return
    assert "median over the seeds" in caption
    assert "from the lowest to the highest" in caption
    assert "from the lowest to the highest" in figure.layout.meta["reduction"]
    assert figure.layout.meta["over_seeds"] is True
    assert len(figure.layout.meta["runs"]) == 6
    if key != "cancellation":
        assert sum(trace.fill == "toself" for trace in figure.data) >= 2
        hovers = [text for trace in figure.data for text in (trace.customdata, trace.text) if text is not None]
        assert any("median of 3 seeds, " in str(text[0]) for text in hovers)
    each = info.draw(info.prepared([named for group in groups for named in group.members]), theme=theme)
    assert each.layout.uirevision != figure.layout.uirevision
    assert not any(trace.type == "scatter" and trace.fill == "toself" for trace in each.data)
    assert "over the seeds" not in each.layout.meta["caption"]


def test_shares_noise_and_lags_are_medians_between_the_least_and_the_greatest() -> None:
    ones = seeds("gru", 4)
    back = slice(ones[0].loss_step, None, -1)
    last = int(ones[0]["answer_steps"][-1])
    two = [bundle(ones, "gru"), bundle(seeds("rnn", 4))]
    for line, curves in (
        (weight_gradient.prepare(two).lines[0], [one["weight_grad"][0, back, -1] for one in ones]),
        (weight_gradient.prepare(two[:1]).lines[1], [one["weight_grad"][0, back, 1] for one in ones]),
        (noise.prepare(two, layer=1).lines[0], [one["noise"][1, back] for one in ones]),
        (itemised.prepare_lags(two).lines[0], [one["lag_profile"][0, : last + 1] for one in ones]),
    ):
        low, median, high = spans(curves)
        np.testing.assert_allclose(line.values, median, rtol=1e-12)
        np.testing.assert_allclose(line.over.low, low, rtol=1e-12)
        np.testing.assert_allclose(line.over.high, high, rtol=1e-12)


def test_truncation_and_cancellation_are_medians_as_well() -> None:
    ones = seeds("lstm")
    (line,) = truncation.prepare([bundle(ones, "lstm")]).lines
    for over, name in ((line.cosine, "truncation_cosine"), (line.error, "truncation_error")):
        for found, wanted in zip(over, spans([one[name] for one in ones]), strict=False):
            np.testing.assert_allclose(found, wanted, rtol=1e-12)
    prepared = weight_gradient.prepare_cancellation([bundle(ones, "lstm")])
    low, median, high = spans([one["cancellation"][0] for one in ones])
    np.testing.assert_allclose([bar.value for bar in prepared.bars], median)
    whiskers = weight_gradient.draw_cancellation(prepared).data[0].error_x
    np.testing.assert_allclose(np.asarray(whiskers.array), high - median)
    np.testing.assert_allclose(np.asarray(whiskers.arrayminus), median - low)


def test_each_profile_is_divided_by_its_own_value_at_the_loss_and_each_line_of_theory_is_the_median() -> None:
    ones = seeds("rnn", 4)
    (panel,) = theory.prepare([bundle(ones)]).panels
    back = [np.median(one["state_grad"][0, one.loss_step :: -1], axis=1) for one in ones]
    low, median, high = spans([gradient / gradient[0] for gradient in back])
    np.testing.assert_allclose(panel.measured, median, rtol=1e-12)
    np.testing.assert_allclose(panel.over.low, low, rtol=1e-12)
    np.testing.assert_allclose(panel.over.high, high, rtol=1e-12)
    np.testing.assert_allclose(panel.gradient, np.median(back, axis=0), rtol=1e-12)
    radii = np.array([one["spectral_radius"][0] for one in ones])
    line = next(line for line in panel.lines if line.key == "radius")
    powers = radii[:, None] ** np.arange(len(median))
    np.testing.assert_allclose(10**line.log10, np.median(powers, axis=0), rtol=1e-9)
    assert line.over[:3] == pytest.approx((radii.min(), np.median(radii), radii.max()))
    bounds = [float(one["gamma"][0] * one["sigma_max"][0]) for one in ones]
    below = sum(bound < 1 for bound in bounds)
    assert (f"in {below} of 4 seeds" in panel.sentence) is (0 < below < 4)


def test_what_one_seed_has_not_none_has_and_zeros_and_infinities_are_ordered() -> None:
    ones = seeds("rnn")
    T = ones[0].loss_step
    noises = [one["noise"].copy() for one in ones]
    noises[0][0, T - 2] = np.nan
    noises[0][0, T - 3], noises[1][0, T - 3] = 0.0, 0.0
    noises[1][0, T - 4], noises[2][0, T - 4] = np.inf, np.inf
    noises[1][0, T - 5] = 0.0
    prepared = noise.prepare([bundle([altered(o, noise=n) for o, n in zip(ones, noises, strict=True)])])
    line = prepared.lines[0]
    assert np.isnan(line.values[2])
    assert np.isnan(line.over.low[2])
    assert np.isnan(line.over.high[2])
    assert (line.values[3], line.over.low[3]) == (0.0, 0.0)
    assert (line.values[4], line.over.high[4]) == (np.inf, np.inf)
    assert line.values[5] > 0
    assert line.over.low[5] == 0.0
    figure = noise.draw(prepared)
    rails = {trace.name.rpartition(": ")[2]: list(trace.x) for trace in figure.data if trace.name and trace.yaxis}
    assert {kind: places for kind, places in rails.items() if kind != "exactly 0"} == {
        "infinite": [4],
        "not a number": [2],
    }
    assert 3 in rails["exactly 0"]
    filled = np.concatenate([np.asarray(trace.x) for trace in figure.data if trace.fill == "toself"])
    assert not {2, 4} & set(filled.tolist())
    assert 5 in filled  # down to minus infinity, where 0 lies


def test_axes_hold_a_bands_lower_edge_unless_one_seed_would_flatten_all() -> None:
    ones = seeds("rnn", T=8)
    for factor, lowest in ((1e-2, -5), (1e-30, -6)):
        shares = [np.ones_like(one["weight_grad"]) * size for one, size in zip(ones, (1e-2, 1e-2, 1.0), strict=True)]
        shares[0] *= factor
        prepared = weight_gradient.prepare(
            [bundle([altered(one, weight_grad=share) for one, share in zip(ones, shares, strict=True)])]
        )
        low, high = weight_gradient.draw(prepared).layout.yaxis.range
        assert (low, high) == (lowest, 1)
    ones = [altered(one, state_grad=10.0 ** (-seed * np.arange(8)[::-1, None] * np.ones((2, 8, 4)))) for seed, one in
            zip((1, 1, 2), ones, strict=True)]  # fmt: skip
    prepared = theory.prepare([bundle(ones)])
    assert prepared.decades[0] == -12  # the middle one's seventh power, and four more


def test_a_seed_that_cannot_be_a_ratio_is_left_out_and_named() -> None:
    ones = seeds("rnn")
    broken = altered(ones[1], state_grad=np.full_like(ones[1]["state_grad"], np.nan))
    prepared = theory.prepare([bundle([ones[0], broken, ones[2]])])
    without = theory.prepare([bundle([ones[0], ones[2]])]).panels[0]
    np.testing.assert_array_equal(prepared.panels[0].measured, without.measured)
    assert "tanh · 3 seeds: 1 of 3 left out, with no finite gradient at the loss" in prepared.origin.caption
    lost = [altered(one, state_grad=np.zeros_like(one["state_grad"])) for one in ones]
    (panel,) = theory.prepare([bundle(lost)]).panels
    np.testing.assert_array_equal(panel.measured, 0.0)


@EVERY
@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
@pytest.mark.parametrize("how_many", [1, 3])
def test_seeds_with_everything_wrong_break_no_figure(key: str, value: float, how_many: int) -> None:
    ones = seeds("gru")
    for place in range(how_many):
        real = {name: np.full_like(a, value) for name, a in ones[place].arrays.items() if a.dtype == np.float64}
        ones[place] = altered(ones[place], **real)
    info = INSPECTION_FIGURES[key]
    prepared = info.prepared([bundle(ones, "gru")])
    text = info.draw(prepared).to_json()
    json.loads(text)
    assert "Infinity" not in text
    assert info.accessible_name(prepared)


@EVERY
def test_one_run_alone_is_drawn_as_ever(key: str) -> None:
    info = INSPECTION_FIGURES[key]
    named = ("tanh", seeds(count=1)[0])
    alone, wrapped = (info.draw(info.prepared([one])).to_json() for one in (named, *bundled([named])))
    assert alone == wrapped
    assert "over the seeds" not in alone


def test_memory_is_of_the_first_seed() -> None:
    ones = seeds("rnn")
    (line,) = memory.prepare([bundle(ones)]).lines
    np.testing.assert_allclose(line.full, 1e-6 * ones[0]["memory_full"])
    assert line.label == "tanh · 3 seeds"


def test_each_line_of_the_singular_values_is_the_median_between_the_least_and_the_greatest_seed() -> None:
    ones = seeds("rnn", 4)
    prepared = singular_values.prepare(bundle(ones))
    for panel, each in (
        (prepared.steps, [one["singular_values"][0] for one in ones]),
        (prepared.products, [10.0 ** one["product_singular_values"][0] for one in ones]),
    ):
        for index, of in ((0, np.min), (4, np.max)):
            low, median, high = spans([of(values, axis=1) for values in each])
            np.testing.assert_allclose(10.0 ** panel.log10[index], median, rtol=1e-9)
            np.testing.assert_allclose(10.0 ** panel.over[index].low, low, rtol=1e-9)
            np.testing.assert_allclose(10.0 ** panel.over[index].high, high, rtol=1e-9)
        assert panel.decades[0] < panel.over[0].low.min() < panel.over[4].high.max() < panel.decades[1]
    figure = singular_values.draw(prepared)
    assert sum(trace.fill == "toself" for trace in figure.data) == 6  # a band about each of three lines, twice
    assert any("median of 4 seeds, " in trace.text[0] for trace in figure.data if trace.text is not None)
    assert "median over the seeds, in a band from the lowest to the highest" in prepared.origin.caption
    assert "over the seeds)" in singular_values.describe(prepared)
    assert len(figure.layout.meta["runs"]) == 4


def test_the_spectrum_of_seeds_has_bars_from_the_lowest_to_the_highest() -> None:
    spectra = np.array([[0.3, 0.1, -1.0, -2.0], [0.1, -0.1, -1.5, -np.inf], [0.2, -0.2, -1.2, -3.0]])
    ones = [
        replace(inspection_of(lyapunov=values[None], lyapunov_error=np.full((1, 4), 0.01), H=4), run_id=f"r-{seed}")
        for seed, values in enumerate(spectra)
    ]
    prepared = lyapunov.prepare(bundle(ones))
    np.testing.assert_allclose(prepared.exponents, [0.2, -0.1, -1.2, -3])
    dots = lyapunov.draw(prepared).data[0]
    np.testing.assert_allclose(dots.error_y.array, [0.1, 0.2, 0.2, 1.0])
    np.testing.assert_allclose(dots.error_y.arrayminus[:3], [0.1, 0.1, 0.3])
    low, _ = lyapunov.draw(prepared).layout.yaxis.range
    assert dots.error_y.arrayminus[3] > 100 * (0 - low)  # one seed's is minus infinite: the bar leaves the axis
    assert low == pytest.approx(-3.2, abs=0.05)
    said = lyapunov.describe(prepared)
    assert "λ₁ = 0.2 (0.1 to 0.3 over the seeds)" in said
    assert "1 (1 to 2) of 4 exponents are above 0, and 0 (0 to 1) directions are lost altogether" in said
    assert "median over the seeds, bars from the lowest to the highest" in said
    assert "standard errors" not in said


def test_a_figure_of_one_network_is_of_all_its_seeds_or_says_which() -> None:
    of = bundle(seeds("lstm"), "lstm")
    for key, info in INSPECTION_FIGURES.items():
        if info.several:
            continue
        prepared = info.prepared([of])
        figure = info.draw(prepared)
        assert len(figure.layout.meta["runs"]) == (3 if info.over_seeds else 1), key
        assert info.whose(of) == ("lstm · 3 seeds" if info.over_seeds else "lstm · seed 0, the first of 3 seeds")
        assert len(info.subject(of).members) == len(figure.layout.meta["runs"])


def test_medians_of_what_only_its_logarithm_can_hold() -> None:
    nothing, nan = -np.inf, np.nan
    low, median, high, _ = common_of_logs([np.array([-4000.0, nothing, 1.0, nan]), np.array([-4000.0, 0.0, 2.0, 1.0])])
    np.testing.assert_allclose(median, [-4000.0, np.log10(0.5), np.log10(55.0), nan])
    np.testing.assert_allclose(low, [-4000.0, nothing, 1.0, nan])
    np.testing.assert_allclose(high, [-4000.0, 0.0, 2.0, nan])
    np.testing.assert_array_equal(common_of_logs([np.array([nothing, np.inf])] * 2).median, [nothing, np.inf])


def test_theory_has_more_room_for_names_that_say_what_seeds_span() -> None:
    ones = seeds("rnn")
    alone, together = (
        theory.draw(theory.prepare([shown])).layout.xaxis.range[0] for shown in (("tanh", ones[0]), bundle(ones))
    )
    assert together > alone
