"""The stop on vanishing and exploding gradients and their two cures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from diagnostics.records import Run
from tests.diagnostics.charts.samples import facts_of, powers, run_of
from tests.ui.conftest import words
from tests.ui.learn.conftest import Learn, predict
from ui.learn.stops import cures as stop

SLUG = "cures"


def runs(*success: float) -> list[Run]:
    """The stop's runs with these successes, where guessing gives a half."""
    made = [
        run_of(powers(0.9, 12, count=2), facts=facts_of(13, 12), name=name, spec=spec.to_json(), success=(0.5, share))
        for spec, name, share in zip(stop.specs(stop.USUAL), stop.names(stop.USUAL), success, strict=True)
    ]
    made[4] = replace(made[4], state="diverged", detail="diverged at step 3: the loss is nan")
    return made


def test_four_that_could_vanish_stand_beside_one_that_explodes() -> None:
    specs = stop.specs({"gap": 20, "gate": "gru", "threshold": 0.1})
    assert [spec.cell for spec in specs] == ["sigmoid", "tanh", "relu", "gru", "identity", "identity"]
    assert [spec.clip for spec in specs[4:]] == ["none", "norm:0.1"]
    assert specs[4].changed(clip="norm:0.1") == specs[5]


@pytest.mark.parametrize(
    ("success", "place"),
    [
        ((0.5, 0.5, 0.5, 1.0, 0.5, 0.8), 0),
        ((0.5, 0.5, 0.9, 1.0, 0.5, 0.8), 1),
        ((0.5, 0.5, 0.5, 1.0, 0.5, 0.5), 2),
        ((0.5, 0.5, 0.5, 0.5, 0.5, 0.8), 3),
        ((0.5, 0.9, 0.5, 1.0, 0.5, 0.8), 3),
        ((0.5, 0.5, 0.5, 1.0, 0.9, 0.8), 3),
        ((0.5, 0.5, 0.5, 0.5, 0.5, 0.5), 3),
    ],
)
def test_the_answer_is_who_learned(success: tuple[float, ...], place: int) -> None:
    assert stop.answer(stop.USUAL, runs(*success)) == place


def test_what_to_see_has_the_runs_own_numbers() -> None:
    some = runs(0.5, 0.5, 0.5, 1.0, 0.5, 0.8)
    assert stop.why(stop.USUAL, some) == (
        "Right answers: sigmoid 50 %, tanh 50 %, ReLU 50 % and LSTM 100 %. The linear network: without clipping 50 % "
        "(diverged at step 3), clipped at 1 80 %."
    )
    vanishing, relu, exploding = stop.seen(stop.USUAL, some)
    assert "sigmoid 0.28, tanh 0.28, ReLU 0.28 and LSTM 0.28" in vanishing  # 0.9 to the power of 12
    assert "50 % right" in relu
    first = some[4].records["grad_norm_pre"][0]
    assert f"norm of the first gradient was {first:.2g}" in exploding


def test_the_cliff_closes_the_path(learn: Learn) -> None:
    app = predict(learn(SLUG), SLUG, 0)
    assert any("As you predicted" in one.value for one in app.success)
    assert "Why clipping: the cliff" in words(app)
    assert set(app.session_state["learn-charts"][SLUG]) == {"cliff", "cliff-above"}
    assert "diverged at step 3" in words(app)


def test_the_lab_compares_the_cells_that_are_trained_alike(learn: Learn) -> None:
    app = learn(SLUG)
    app.button(key=f"learn-{SLUG}-lab").click().run()
    assert not app.exception
    asked = {spec.digest() for spec in app.session_state["settings"].specs()}
    assert asked == {spec.digest() for spec in stop.specs(stop.USUAL)[:4]}
