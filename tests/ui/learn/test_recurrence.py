"""The stop on the recurrence in numbers."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from diagnostics.measures.unrolled import WIRINGS, Net, Wiring, asked, descend, fed, unroll
from tests.ui.conftest import words
from tests.ui.learn.conftest import Learn, predict
from ui.learn import arithmetic, typed
from ui.learn.stops import recurrence as stop

SLUG = "recurrence"
EVERY = [
    {"wiring": wiring, "initial": initial, "strength": strength}
    for wiring in WIRINGS
    for initial in stop.INITIAL
    for strength in stop.STRENGTHS
]


def autograd_left(values: dict[str, object]) -> float:
    """What is left of the gradient at h_0, by torch."""
    net, wiring = stop.net_of(values), values["wiring"]
    h = torch.tensor(net.h_0, requires_grad=True)
    states, loss = [h], torch.zeros((), dtype=torch.float64)
    for t in range(4):
        x = torch.tensor(stop._X[t]) * (wiring != "one-to-many" or t == 0)
        h = torch.tanh(torch.tensor(net.w_hh) @ h + torch.tensor(net.w_xh) @ x)
        h.retain_grad()
        states.append(h)
        if wiring != "many-to-one" or t == 3:
            loss = loss + 0.5 * (torch.tensor(net.w_hy) @ h - torch.tensor(stop._WANTED[t])).square().sum()
    loss.backward()
    assert states[0].grad is not None
    assert states[-1].grad is not None
    return float(states[0].grad.norm() / states[-1].grad.norm())


@pytest.mark.parametrize("values", EVERY)
def test_the_answer_is_autograds(values: dict[str, object]) -> None:
    ratio = autograd_left(values)
    assert stop.left(values) == pytest.approx(ratio, rel=1e-10)
    low, high = ((1.0, np.inf), (0.1, 1.0), (0.01, 0.1), (0.0, 0.01))[stop.answer(values, ())]
    assert low <= ratio < high


def test_every_option_comes_out_somewhere() -> None:
    assert {stop.answer(values, ()) for values in EVERY} == {0, 1, 2, 3}


@pytest.mark.parametrize("values", [v for v in EVERY if v["initial"] == "learned"])
def test_a_learned_initial_state_lowers_the_loss_that_is_told(values: dict[str, object]) -> None:
    _, losses = descend(stop.net_of(values), stop._X, stop._WANTED, values["wiring"], learn=("h_0",),  # type: ignore[arg-type]
                        rate=stop.RATE, updates=stop.USUAL_UPDATES)  # fmt: skip
    assert losses[-1] < losses[0]
    said = stop.seen(values, ())[-1]
    assert stop.number(float(losses[0]), 3) in said
    assert stop.number(float(losses[-1]), 3) in said


def test_a_net_without_input_says_nothing_from_zero_and_learns_from_a_learned_state() -> None:
    """The sentence of the zero state: on a net trained from it, weights and all, and on the same with h_0 learned."""
    net = stop.net_of(stop.USUAL, hidden=3)
    nothing, parts = np.zeros_like(stop._X), ("w_hh", "w_xh", "w_hy")
    still, losses = descend(net, nothing, stop._WANTED, "many-to-many", learn=parts, rate=0.2, updates=300)
    assert not unroll(still, nothing, stop._WANTED).y.any()
    assert losses[-1] == losses[0] == 0.5
    _, losses = descend(net, nothing, stop._WANTED, "many-to-many", learn=(*parts, "h_0"), rate=0.05, updates=3000)
    assert losses[-1] < 1e-6  # all four answers, of 0.5 at first


# The page


def test_the_step_is_gone_through_by_buttons_and_by_the_slider(learn: Learn) -> None:
    app = predict(learn(SLUG), SLUG)
    assert "**Step 1, forward**" in words(app)
    assert app.button(key=f"learn-{SLUG}-step-back").disabled
    app.button(key=f"learn-{SLUG}-step-next").click().run()
    assert "**Step 2, back**" in words(app)
    app.slider(key=f"learn-{SLUG}-step").set_value(4).run()
    assert "**Step 4, forward**" in words(app)
    assert app.button(key=f"learn-{SLUG}-step-next").disabled
    assert not app.exception


@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("initial", list(stop.INITIAL))
def test_it_shows_every_wiring_and_initial_state(learn: Learn, wiring: str, initial: str) -> None:
    app = predict(learn(SLUG, wiring=wiring, initial=initial), SLUG)
    assert not app.exception
    assert not app.warning
    said = words(app)
    assert ("updates of h₀ alone" in said) == (initial == "learned")
    if initial == "learned":
        app.select_slider(key=f"learn-{SLUG}-updates").set_value(200).run()
        assert "after 200 updates" in words(app)
    for hidden in (3, 4):
        app.button_group(key=f"learn-{SLUG}-hidden").set_value(hidden).run()
        assert not app.exception
        assert rf"a_{{1,{hidden}}}" in " ".join(one.value for one in app.get("latex"))


def test_an_absurd_address_is_said(learn: Learn) -> None:
    app = learn(SLUG, wiring="all-to-all", strength="1e9", initial="x")
    said = " ".join(one.value for one in app.warning).replace("\\", "")
    for name in ("wiring", "strength", "initial"):
        assert f"In the address, {name} must be one of" in said
    assert not app.exception


def test_the_lab_opens_with_hello_or_with_a_picture_that_is_looked_at_once() -> None:
    (spec,) = stop.lab({**stop.USUAL, "wiring": "many-to-many"})
    assert (spec.task, spec.text, spec.wiring, spec.cell) == ("text", "hello", "many-to-many", "tanh")
    (learned,) = stop.lab({**stop.USUAL, "initial": "learned"})
    assert (spec.initial, learned.initial, learned.wiring) == ("zero", "learned", "many-to-one")
    (caption,) = stop.lab({**stop.USUAL, "wiring": "one-to-many", "initial": "learned"})
    assert (caption.task, caption.gap, caption.cell, caption.initial) == ("captions", 8, "tanh", "learned")


# What is written out and what is typed


def _evaluated(latex: str) -> list[tuple[float, float]]:
    """Each ``sum = value`` of products in LaTeX, worked out again."""
    found = []
    for sums, value in re.findall(r"= ((?:[-0-9.]|\\cdot|[()+ ])+?) = (?:\\mathbf\{)?(-?[0-9.]+)", latex):
        found.append((eval(sums.replace(r"\cdot", "*")), float(value)))
    return found


@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("t", [1, 3, 4])
def test_the_sums_are_right_as_they_stand(wiring: Wiring, t: int) -> None:
    net = stop.net_of({**stop.USUAL, "wiring": wiring}, hidden=3)
    found = unroll(net, stop._X, stop._WANTED, wiring)
    reads, answers = bool(fed(wiring, 4)[t - 1]), bool(asked(wiring, 4)[t - 1])
    latex = arithmetic.forward(net, found, stop._X, stop._WANTED, t, fed=reads, asked=answers)
    worked = _evaluated(latex)
    assert len(worked) >= 4
    for sums, value in worked:
        assert sums == pytest.approx(value, abs=6e-3)  # three digits of each factor are shown
    assert latex.count(r"\cdot") == 3 * (3 + 2 * reads) + 3
    assert (rf"L_{{{t}}}" in latex) == answers
    assert latex.count("{") == latex.count("}")


def test_numerals() -> None:
    said = [arithmetic.numeral(v) for v in (0.0, -0.02, 1 / 3, 1234.5, 3.14e-5, -2e7, np.nan, -np.inf)]
    assert said == ["0", "-0.02", "0.333", "1234", r"3.1\cdot10^{-5}", r"-2.0\cdot10^{7}", r"\mathrm{nan}",
                    r"-\infty"]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "but got nothing"), ("x", "but got 'x'"), (True, "but got True"), (1e9, r"but got 1e\+09"),
     (float("nan"), "but got nothing"), (float("inf"), "but got inf")],
)  # fmt: skip
def test_an_absurd_number_is_named_with_its_cell(value: object, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        typed.numbers("W_hh", [[1.0, 2], [3.0, value]], ["unit 1", "unit 2"], ["from h₁", "from h₂"])
    assert str(caught.value).startswith("W_hh must have a number from -100 to 100 in unit 2, from h₂")
    right = typed.numbers("W_hh", [[1.0, 2], [3.0, -4]], ["unit 1", "unit 2"], ["from h₁", "from h₂"])
    assert right.tolist() == [[1, 3], [2, -4]]


def test_nets_of_every_size_fit() -> None:
    for hidden in (2, 3, 4):
        net = stop.net_of(stop.USUAL, hidden)
        assert isinstance(net, Net)
        assert len(net.h_0) == hidden
