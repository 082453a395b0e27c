import numpy as np
import pytest

from diagnostics.charts import clipping
from tests.diagnostics.charts.samples import facts_of, powers, run_of, story

FACTS = facts_of(9, 6)


def panel(pre: np.ndarray, post: np.ndarray | None = None, clip: str = "norm:1.0", **more: object) -> clipping.Panel:
    run = run_of(
        powers(0.9, 8, 2), facts=FACTS, loss=np.full(len(pre), 2.0), pre=pre, post=post, spec={"clip": clip}, **more
    )
    return clipping.prepare([run]).panels[0]


def test_the_norms_are_those_recorded() -> None:
    pre = np.array([0.5, 2.0, 4.0, 1.0])
    found = panel(pre)
    np.testing.assert_array_equal(found.pre, pre)
    np.testing.assert_array_equal(found.post, [0.5, 1.0, 1.0, 1.0])
    assert found.threshold == 1.0
    assert found.remark == "clipped on 50 % of the steps, by norm at 1"


@pytest.mark.parametrize(
    ("clip", "remark"),
    [
        ("none", "not clipped"),
        ("value:0.1", "clipped on 50 % of the steps, each entry at ±0.1"),
        ("norm:1e-5", "clipped on 50 % of the steps, by norm at 10⁻⁵"),
    ],
)
def test_the_rule_is_said(clip: str, remark: str) -> None:
    found = panel(np.array([0.5, 2.0]), np.array([0.5, 1.0]), clip)
    assert found.remark == remark
    assert np.isfinite(found.threshold) == clip.startswith("norm")


def test_a_rule_that_never_engaged_says_so() -> None:
    assert panel(np.array([0.5, 0.2])).remark == "never clipped, by norm at 1"


def test_many_steps_keep_their_peaks() -> None:
    pre = np.random.default_rng(0).exponential(size=1799)
    pre[1000] = 1e6
    found = panel(pre, pre)
    assert len(found.pre) == 600
    assert np.nanmax(found.pre) == 1e6
    assert found.pre[0] == pre[:3].max()


def test_what_a_log_axis_cannot_show_stands_on_the_rail() -> None:
    pre = np.array([1.0, 0.0, np.inf, np.nan, 2.0])
    found = panel(pre, pre)
    assert [list(part) for part in found.rails] == [[1], [2], [3]]
    np.testing.assert_array_equal(np.isnan(found.pre), [False, True, True, True, False])


def test_divergence_is_marked_and_said() -> None:
    loss = np.array([2.0, 3.0, np.inf])
    run = run_of(powers(0.9, 8, 2), facts=FACTS, loss=loss, pre=np.ones(3), state="diverged", spec={"clip": "none"})
    found = clipping.prepare([run]).panels[0]
    assert found.diverged_steps == (2,)
    assert found.remark == "not clipped; diverged at step 2"


def test_panels_share_their_axis_unless_one_explodes() -> None:
    runs = story()
    assert len(set(clipping.prepare(runs).decades)) == 1
    pre = np.logspace(0, 30, 50)
    wild = run_of(powers(0.9, 8, 2), facts=FACTS, run_id="r-w", loss=np.full(50, 2.0), pre=pre, post=pre)
    decades = clipping.prepare([*runs, wild]).decades
    assert decades[-1][1] >= 30
    assert decades[0][1] <= 2


def test_norms_beyond_float32_are_drawn() -> None:
    pre = np.array([1.0, 1e200])
    run = run_of(powers(0.9, 8, 2), facts=FACTS, loss=np.full(2, 2.0), pre=pre, post=pre)
    figure = clipping.draw(clipping.prepare([run]))
    assert max(np.nanmax(trace.y) for trace in figure.data if trace.y is not None and len(trace.y) == 2) == 1e200


@pytest.mark.parametrize("count", [1, 2, 5, 7, 12])
def test_any_number_of_runs_has_room(count: int) -> None:
    runs = [story()[i % 4] for i in range(count)]
    figure = clipping.draw(clipping.prepare(runs))
    domains = [figure.layout[f"yaxis{2 * i + 1 if i else ''}"].domain for i in range(count)]
    assert all(0 <= low < high <= 1 for low, high in domains)


def test_before_the_first_step_it_waits() -> None:
    prepared = clipping.prepare([run_of(np.empty((0, 9)), facts=FACTS, loss=np.empty(0), state="running")])
    assert "Waiting" in clipping.draw(prepared).layout.annotations[0].text


def test_the_caption_claims_no_more_than_holds_for_every_run() -> None:
    runs = [run_of(powers(0.9, 8), facts=facts_of(9, 6), pre=np.ones(n), loss=np.ones(n)) for n in (100, 1500)]
    assert "every step" in clipping.prepare(runs[:1]).origin.caption
    both = clipping.prepare(runs).origin.caption
    assert "largest of up to 3 steps" in both
    assert "every step" not in both
