"""The lecture's recurrence in numbers, against autograd in float64 and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diagnostics.measures.unrolled import PARTS, WIRINGS, Net, Wiring, asked, descend, fed, unroll

torch.set_num_threads(1)


def made(H: int = 3, I: int = 2, O: int = 2, T: int = 5, seed: int = 0) -> tuple[Net, np.ndarray, np.ndarray]:  # noqa: E741
    rng = np.random.default_rng(seed)
    net = Net(rng.normal(size=(H, H)), rng.normal(size=(H, I)), rng.normal(size=(O, H)), rng.normal(size=H))
    return net, rng.normal(size=(T, I)), rng.normal(size=(T, O))


@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize(("H", "T"), [(1, 1), (2, 4), (4, 8), (3, 60)])
def test_every_gradient_is_autograds(wiring: Wiring, H: int, T: int) -> None:
    net, x, wanted = made(H=H, T=T, seed=H + T)
    found = unroll(net, x, wanted, wiring)
    leaf = {part: torch.tensor(getattr(net, part), requires_grad=True) for part in PARTS}
    inputs = torch.tensor(x, requires_grad=True)
    states, sums, answers, loss = [leaf["h_0"]], [], [], torch.zeros((), dtype=torch.float64)
    for t in range(T):
        a = leaf["w_hh"] @ states[-1]
        if wiring != "one-to-many" or t == 0:
            a = a + leaf["w_xh"] @ inputs[t]
        a.retain_grad()
        h = torch.tanh(a)
        h.retain_grad()
        y = leaf["w_hy"] @ h
        y.retain_grad()
        sums.append(a)
        states.append(h)
        answers.append(y)
        if wiring != "many-to-one" or t == T - 1:
            loss = loss + 0.5 * (y - torch.tensor(wanted[t])).square().sum()
    loss.backward()

    def close(mine: np.ndarray, theirs: torch.Tensor | None) -> None:
        there = np.zeros_like(mine) if theirs is None else theirs.numpy()
        assert np.abs(mine - there).max() <= 1e-12 * max(1.0, np.abs(there).max())

    assert found.loss.sum() == pytest.approx(float(loss.detach()), rel=1e-12)
    for part in PARTS:
        close(found.of(part), leaf[part].grad)
    fed_rows = fed(wiring, T)
    for t in range(T):
        close(found.grad_h[t], states[t].grad)
        close(found.grad_a[t], sums[t].grad)
        close(found.grad_y[t], answers[t].grad)
        assert inputs.grad is not None
        if fed_rows[t]:
            close(found.grad_x[t], inputs.grad[t])
        # what flows along the edges adds up to what arrives at the state
        close(found.direct[t] + (found.back[t + 1] if t + 1 < T else 0), states[t + 1].grad)


def test_without_input_from_the_zero_state_nothing_ever_happens_whatever_the_weights() -> None:
    net, x, wanted = made(seed=3)
    still = Net(net.w_hh, net.w_xh, net.w_hy, np.zeros(3))
    found = unroll(still, np.zeros_like(x), wanted)
    assert not found.h.any()
    assert not found.y.any()
    assert not found.of("w_hh").any()  # so no descent on the weights can change it either
    trained, losses = descend(
        still, np.zeros_like(x), wanted, "many-to-many", learn=("w_hh", "w_xh", "w_hy"), rate=0.1, updates=50
    )
    assert (losses == losses[0]).all()
    assert np.array_equal(trained.w_hh, still.w_hh)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_with_a_learned_initial_state_the_same_net_says_its_answers(seed: int) -> None:
    net, x, wanted = made(H=4, O=1, T=4, seed=seed)
    start = Net(0.5 * net.w_hh, net.w_xh, 0.5 * net.w_hy, np.zeros(4))
    wanted = np.array([[0.8], [-0.5], [0.3], [-0.6]])
    _, losses = descend(start, 0 * x, wanted, "many-to-many", learn=PARTS, rate=0.1, updates=3000)
    # h_0 = 0 receives a gradient (W_hhᵀ … W_hyᵀ e), so descent leaves the zero state by itself
    assert losses[0] == pytest.approx(0.5 * float((wanted**2).sum()))
    assert losses[-1] < 0.01 * losses[0]


def test_the_descent_goes_down_in_small_steps_and_says_where_it_breaks() -> None:
    net, x, wanted = made(seed=5)
    _, losses = descend(net, x, wanted, "many-to-one", learn=("h_0",), rate=0.01, updates=40)
    assert (np.diff(losses) < 0).all()
    _, broken = descend(net, x, wanted, "many-to-many", learn=PARTS, rate=1e200, updates=20)
    assert not np.isfinite(broken[-1]) or broken[-1] > losses[0]


def test_the_wirings() -> None:
    assert fed("one-to-many", 3).tolist() == [True, False, False]
    assert asked("many-to-one", 3).tolist() == [False, False, True]
    assert fed("many-to-many", 2).all()
    assert asked("many-to-many", 2).all()
    net, x, wanted = made()
    found = unroll(net, x, wanted, "many-to-one")
    assert not found.direct[:-1].any()
    assert not found.loss[:-1].any()
    assert found.grad_h[1].any()  # nothing of its own, all of it from later


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"wiring": "all-to-all"},
            "wiring must be one of many-to-many, many-to-one, one-to-many, but got 'all-to-all'",
        ),
        ({"x": np.zeros((5, 3))}, r"x must have the shape \(5, 2\), but got \(5, 3\)"),
        ({"wanted": np.zeros((4, 2))}, r"wanted must have the shape \(5, 2\), but got \(4, 2\)"),
        ({"x": np.zeros((0, 2))}, r"x must have the shape \(1, 2\), but got \(0, 2\)"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, object], said: str) -> None:
    net, x, wanted = made()
    with pytest.raises(ValueError, match=said):
        unroll(**{"net": net, "x": x, "wanted": wanted, **change})  # type: ignore[arg-type]


def test_a_net_whose_parts_do_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match=r"w_hh must have the shape \(2, 2\), but got \(3, 3\)"):
        Net(np.eye(3), np.zeros((2, 1)), np.zeros((1, 2)), np.zeros(2))
    net, x, wanted = made()
    with pytest.raises(ValueError, match="learn must be among w_hh, w_xh, w_hy, h_0, but got b"):
        descend(net, x, wanted, "many-to-one", learn=("b",), rate=0.1, updates=1)
