from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from diagnostics.measures.seed_verdict import span, verdict_over_seeds
from diagnostics.measures.seeds import any_seeds, envelope, groups, on_one_grid, singles, spread
from diagnostics.records import Records, Run
from diagnostics.strict_json import dumps, loads
from tests.diagnostics.charts.samples import facts_of, powers, run_of

FACTS = facts_of(45, 40)


def seeded(seed: int, alpha: float = 0.9, *, cell: str = "tanh", name: str = "", **more: object) -> Run:
    return run_of(
        powers(alpha, 44),
        facts=FACTS,
        run_id=f"r-{cell}{seed}",
        name=name or f"{cell} · seed {seed}",
        spec={"seed": seed, "cell": cell},
        **more,
    )


def test_runs_that_differ_only_in_their_seed_form_a_group() -> None:
    runs = [seeded(seed, cell=cell) for seed in (0, 1, 2) for cell in ("tanh", "gru")]
    found = groups(runs)
    assert [[run.id for run in group.runs] for group in found] == [
        ["r-tanh0", "r-tanh1", "r-tanh2"],
        ["r-gru0", "r-gru1", "r-gru2"],
    ]
    assert [group.name for group in found] == ["tanh · 3 seeds", "gru · 3 seeds"]
    assert any_seeds(runs)
    assert not any_seeds(runs[:2])
    assert [group.runs for group in singles(runs)] == [(run,) for run in runs]


def test_a_seed_counts_once_in_a_group() -> None:
    runs = [seeded(0), replace(seeded(0), id="r-again"), seeded(1)]
    assert [[run.id for run in group.runs] for group in groups(runs)] == [["r-tanh0", "r-tanh1"], ["r-again"]]


def test_a_group_is_called_by_what_its_names_share() -> None:
    given_names = [seeded(0, name="my first"), seeded(1, name="tanh · seed 1")]
    assert groups(given_names)[0].name == "my first · 2 seeds"
    assert groups([seeded(3)])[0].name == "tanh · seed 3"
    face = groups([seeded(0), seeded(1)])[0].face
    assert (face.name, "seed" in face.spec, face.records.rows("step")) == ("tanh · 2 seeds", False, 0)


def test_a_group_is_under_way_as_long_as_any_of_its_runs_is() -> None:
    runs = [seeded(0), replace(seeded(1), state="queued", facts=None, records=Records.empty())]
    assert groups(runs)[0].face.state == "queued"
    assert groups(runs[::-1])[0].face.facts is FACTS


def test_a_spread_is_least_median_and_greatest() -> None:
    assert spread([3.0, 1.0, 2.0]) == (1.0, 2.0, 3.0, 3)
    assert spread([1.0, np.nan, np.inf]) == (1.0, np.inf, np.inf, 2)
    nothing = spread([])
    assert nothing.seeds == 0
    assert np.isnan(nothing[:3]).all()


@given(
    st.lists(
        st.integers(0, 12).flatmap(lambda n: arrays(np.float64, n, elements=st.floats(min_value=0) | st.just(np.nan))),
        max_size=6,
    )
)
def test_an_envelope_is_what_numpy_says_of_the_values_that_are_there(curves: list[np.ndarray]) -> None:
    found = envelope(curves)
    assert len(found.median) == max((len(curve) for curve in curves), default=0)
    for place in range(len(found.median)):
        there = [c[place] for c in curves if place < len(c) and not np.isnan(c[place])]
        assert found.seeds[place] == len(there)
        if not there:
            assert np.isnan([found.low[place], found.median[place], found.high[place]]).all()
            continue
        assert found.low[place] == min(there)
        assert found.high[place] == max(there)
        half = sorted(there)
        low, high = half[(len(half) - 1) // 2], half[len(half) // 2]
        assert found.median[place] == pytest.approx(low if low == high else low / 2 + high / 2)
        assert found.low[place] <= found.median[place] <= found.high[place]


@given(st.permutations(range(5)))
def test_the_order_of_the_seeds_does_not_matter(order: list[int]) -> None:
    runs = [seeded(seed, 0.5 + 0.1 * seed) for seed in range(5)]
    usual, shuffled = (verdict_over_seeds(groups(some)[0]) for some in (runs, [runs[i] for i in order]))
    for name in ("kinds", "reach", "decay", "success", "headline", "solved"):
        assert repr(getattr(usual, name)) == repr(getattr(shuffled, name))


def test_curves_meet_where_all_that_came_so_far_were_measured() -> None:
    steps = [np.array([0, 10, 20, 30]), np.array([0, 10, 17])]  # the second was stopped at 17, and measured then
    grid, laid = on_one_grid(steps, [np.arange(4.0), np.array([5.0, 6.0, 7.0])])
    np.testing.assert_array_equal(grid, [0, 10, 20, 30])
    np.testing.assert_array_equal(laid, [[0, 1, 2, 3], [5, 6, np.nan, np.nan]])
    assert len(on_one_grid([], [])[0]) == 0
    assert len(on_one_grid([np.empty(0)], [np.empty(0)])[1][0]) == 0


def test_all_seeds_agree() -> None:
    said = verdict_over_seeds(groups([seeded(seed, 0.8, success=(0.08, 0.1)) for seed in range(5)])[0])
    assert (said.kind, said.kinds, said.headline) == ("vanishing", (("vanishing", 5),), "Vanishing in 5 of 5")
    assert said.reach == (21, 21, 21, 5)  # 0.8^k < 0.01 from k = ln 0.01 / ln 0.8 = 20.6 on
    assert said.sentence.startswith("Vanishing in 5 of 5 seeds. Reach 21 of 44 steps, × 0.8 per step.")
    assert "solved in none" in said.sentence
    assert said.advice == said.verdicts[0].advice


def test_seeds_that_disagree_are_named() -> None:
    runs = [seeded(seed, 0.5, success=(0.1,)) for seed in range(4)] + [seeded(4, 0.99, success=(1.0,))]
    said = verdict_over_seeds(groups(runs)[0])
    assert said.headline == "Vanishing in 4 of 5, reaches in 1"
    assert said.sentence.startswith("Vanishing in 4 of 5 seeds, reaches in 1 (seed 4).")
    assert said.reach == (7, 7, 44, 5)
    assert "Reach 7 (7 to 44) of 44 steps" in said.sentence
    assert "solved in 1 of 5" in said.sentence
    assert said.kind == "vanishing"


def test_no_verdict_wins_by_half() -> None:
    runs = [seeded(0, 0.5), seeded(1, 0.5), seeded(2, 0.99), seeded(3, 0.99)]
    said = verdict_over_seeds(groups(runs)[0])
    assert said.kind is None
    assert said.headline == "Vanishing in 2 of 4, reaches in 2"


def test_runs_that_have_not_begun_are_counted_apart() -> None:
    waiting = replace(seeded(1), state="queued", facts=None, records=Records.empty())
    said = verdict_over_seeds(groups([seeded(0), waiting])[0])
    assert (said.unjudged, said.reach.seeds) == (1, 1)
    assert "1 of 2 has no verdict yet." in said.sentence
    none = verdict_over_seeds(groups([waiting])[0])
    assert none.headline == "No verdict yet"
    assert none.sentence == "1 of 1 has no verdict yet."


def test_the_json_is_strict() -> None:
    said = verdict_over_seeds(groups([seeded(0, 1.0), seeded(1, 0.5)])[0])
    read = loads(dumps(said.to_json()))
    assert read["seeds"] == [0, 1]
    assert read["kinds"] == {"vanishing": 1, "reaches": 1}
    assert read["half_life_steps"]["high"] == "inf"
    assert read["success"] is None


def test_a_span_says_one_number_where_the_seeds_agree() -> None:
    assert span(spread([2.0, 2.0]), str) == "2.0"
    assert span(spread([1.0, 2.0, 3.0]), str) == "2.0 (1.0 to 3.0)"
    assert span(spread([]), str) == "–"
