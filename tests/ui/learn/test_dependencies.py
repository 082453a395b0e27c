"""The stop on short and long dependencies."""

from __future__ import annotations

import pytest

from diagnostics.records import Run
from experiments.spec import Refusal
from tests.diagnostics.charts.samples import facts_of, powers, run_of
from tests.ui.conftest import words
from tests.ui.learn.conftest import Learn, predict
from ui.learn.stops import dependencies as stop

SLUG = "dependencies"


def test_the_specs_are_every_cell_at_every_gap() -> None:
    specs = stop.specs({"sentence": "clouds", "longest": 20, "cells": ("gru", "lstm")})
    assert [(spec.cell, spec.gap) for spec in specs] == [
        ("gru", 4), ("gru", 10), ("gru", 20), ("lstm", 4), ("lstm", 10), ("lstm", 20)
    ]  # fmt: skip
    assert {spec.task for spec in specs} == {"clouds"}
    with pytest.raises(Refusal, match="cells must have at least one value"):
        stop.specs({**stop.USUAL, "cells": ()})


def test_without_a_cell_it_says_so_and_cannot_be_run(learn: Learn) -> None:
    app = learn(SLUG, cells="")
    app.button_group(key=f"learn-{SLUG}-cells").set_value([]).run()
    assert any("cells must have at least one value" in one.value for one in app.error)
    assert not app.exception


def test_an_absurd_address_is_said(learn: Learn) -> None:
    app = learn(SLUG, sentence="nonsense", longest="7", cells="tanh,cat")
    said = " ".join(one.value for one in app.warning).replace("\\", "")
    for name in ("sentence", "longest", "cells"):
        assert f"In the address, {name} must be one of" in said
    assert not app.exception


def test_the_address_fills_the_controls(learn: Learn) -> None:
    app = learn(SLUG, longest="10", cells="relu,gru", sentence="clouds")
    assert app.session_state[f"learn-{SLUG}-longest"] == 10
    assert app.button(key=f"learn-{SLUG}-run").label == "Run 4 networks"
    assert (app.query_params["longest"], app.query_params["cells"]) == ("10", "relu,gru")


# Success of each run at each gap, where guessing gives a half


def runs(**success: tuple[float, ...]) -> list[Run]:
    profiles = powers(0.9, 12, count=2)
    return [
        run_of(
            profiles,
            facts=facts_of(13, 12),
            run_id=f"r-{cell}-{gap}",
            spec={"cell": cell, "gap": gap},
            success=(0.5, share),
        )
        for cell, shares in success.items()
        for gap, share in zip(stop.GAPS, shares, strict=False)
    ]


@pytest.mark.parametrize(
    ("success", "place"),
    [
        ({"tanh": (1.0, 0.9), "lstm": (1.0, 0.8)}, 0),
        ({"tanh": (1.0, 0.52), "lstm": (1.0, 0.9)}, 1),
        ({"tanh": (0.5, 0.9), "lstm": (1.0, 0.7)}, 2),
        ({"tanh": (1.0, 0.9), "relu": (1.0, 0.5), "lstm": (1.0, 0.9)}, 2),
        ({"tanh": (1.0, 0.6), "lstm": (1.0, 0.75)}, 3),
    ],
)
def test_the_answer_is_what_happened_at_the_longest_gap(success: dict[str, tuple[float, ...]], place: int) -> None:
    assert stop.answer(stop.USUAL, runs(**success)) == place


def test_what_to_see_has_the_runs_own_numbers() -> None:
    some = runs(tanh=(0.98, 0.52), lstm=(1.0, 0.9), gru=(0.5, 0.5))
    assert (
        stop.why(stop.USUAL, some) == "At gap 10: tanh 52 %, LSTM 90 % and GRU 50 % right, where guessing gives 50 %."
    )
    said = stop.seen(stop.USUAL, some)
    assert said == [
        "**tanh** still does it at gap 4 and fails at gap 10.",
        "**LSTM** names the right word at every gap, up to 10.",
        "**GRU** never gets away from guessing, not even at gap 4.",
    ]


def test_the_recorded_example_tells_the_story(learn: Learn) -> None:
    app = predict(learn(SLUG), SLUG, 1)
    said = words(app)
    assert "As you predicted" in said
    assert "**tanh** still does it at gap 4 and fails at gap 10." in said
    assert "**LSTM** names the right word at every gap, up to 40." in said
