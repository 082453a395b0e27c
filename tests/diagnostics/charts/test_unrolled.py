from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from diagnostics.charts import unrolled
from diagnostics.charts.series import INFINITE, NAN, VALUE, ZERO
from diagnostics.measures.unrolled import WIRINGS, Net, Wiring, unroll


def sample(T: int = 4, H: int = 2, scale: float = 1.0) -> tuple[Net, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    net = Net(scale * rng.normal(size=(H, H)), rng.normal(size=(H, 2)), rng.normal(size=(1, H)), np.zeros(H))
    return net, rng.normal(size=(T, 2)), rng.normal(size=(T, 1))


def edges(prepared: unrolled.Prepared, what: str) -> dict[int, unrolled.Edge]:
    return {edge.step: edge for edge in prepared.edges if edge.what == what}


@pytest.mark.parametrize("wiring", WIRINGS)
def test_an_edge_carries_what_flows_along_it(wiring: Wiring) -> None:
    net, x, wanted = sample()
    found, prepared = unroll(net, x, wanted, wiring), unrolled.prepare(net, x, wanted, wiring)
    at_loss = np.linalg.norm(found.grad_h[4])
    for step, edge in edges(prepared, "back").items():
        assert edge.gradient == pytest.approx(np.linalg.norm(net.w_hh.T @ found.grad_a[step - 1]), rel=1e-12)
        assert edge.ratio == pytest.approx(edge.gradient / at_loss, rel=1e-12)
    for step, edge in edges(prepared, "state").items():
        assert edge.gradient == pytest.approx(np.linalg.norm(found.grad_h[step]), rel=1e-12)
    for step, edge in edges(prepared, "weights").items():
        before = np.concatenate([found.h[step - 1], x[step - 1] if wiring != "one-to-many" or step == 1 else [0, 0]])
        outer = np.outer(found.grad_a[step - 1], before)
        assert edge.gradient == pytest.approx(np.linalg.norm(outer), rel=1e-12)
    assert edges(prepared, "state")[4].ratio == 1
    whole = np.concatenate([found.of("w_hh").ravel(), found.of("w_xh").ravel()])
    assert prepared.whole == pytest.approx(np.linalg.norm(whole) / at_loss, rel=1e-12)


def test_each_wiring_draws_the_edges_that_it_has() -> None:
    there = {
        wiring: {what: sorted(edges(unrolled.prepare(*sample(), wiring), what)) for what in ("input", "answer", "loss")}
        for wiring in WIRINGS
    }
    every = [1, 2, 3, 4]
    assert there["many-to-many"] == {"input": every, "answer": every, "loss": every}
    assert there["many-to-one"] == {"input": every, "answer": [4], "loss": [4]}
    assert there["one-to-many"] == {"input": [1], "answer": every, "loss": every}


def test_zeros_infinities_and_nan_are_marks_and_no_colours() -> None:
    net, x, wanted = sample()
    cut = Net(0 * net.w_hh, net.w_xh, net.w_hy, net.h_0)  # nothing flows back through a W_hh of zeros
    prepared = unrolled.prepare(cut, x, wanted, "many-to-one")
    assert {edge.kind for edge in edges(prepared, "back").values()} == {ZERO}
    assert edges(prepared, "state")[1].kind == ZERO
    assert edges(prepared, "state")[4].kind == VALUE
    figure = unrolled.draw(prepared)
    assert sum("▽ 0" in (note.text or "") for note in figure.layout.annotations) == 13  # 4 back, 3 state, 3 x, 3 W
    assert "at h 1 arrives exactly 0" in unrolled.describe(prepared)
    wild = unrolled.prepare(net, x, np.full_like(wanted, np.inf), "many-to-many")
    assert {edge.kind for edge in wild.edges} <= {INFINITE, NAN, ZERO}
    unrolled.draw(wild)


def test_where_every_answer_is_right_nothing_flows() -> None:
    net, x, wanted = sample()
    right = unroll(net, x, wanted).y
    prepared = unrolled.prepare(net, x, right, "many-to-many")
    assert {edge.kind for edge in prepared.edges} == {ZERO}
    assert prepared.at_loss == 0
    unrolled.draw(prepared)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("T", "H"), [(1, 1), (4, 2), (8, 4)])
def test_it_draws_small_and_says_what_it_shows(theme: Any, T: int, H: int) -> None:
    net, x, wanted = sample(T, H)
    prepared = unrolled.prepare(net, x, wanted, "many-to-many", learned=True, highlight=1)
    figure = unrolled.draw(prepared, theme=theme, size="projector")
    assert len(figure.to_json()) < 120_000
    assert figure.layout.meta["initial_state"] == "learned"
    assert figure.layout.meta["T"] == T
    drawn = {text for trace in figure.data if trace.text is not None for text in trace.text}
    assert {f"<b>h{'₀₁₂₃₄₅₆₇₈'[T]}</b>", "<b>x₁</b>", "<b>y₁</b>"} <= drawn
    said = unrolled.describe(prepared)
    assert f"at h {T} arrives 1" in said
    assert "learned initial state" in said
    assert "from every step" in said
