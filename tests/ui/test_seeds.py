"""Runs that differ only in their seed on the page: as one, or each; and any comparison repeated over seeds."""

from __future__ import annotations

import pytest

from diagnostics.store import Store
from experiments.spec import RunSpec
from tests.diagnostics.charts.samples import seeds_story
from tests.ui.conftest import Open, words, write


@pytest.fixture
def seeded(store: Store) -> str:
    """tanh and LSTM, three seeds of each, finished."""
    runs = seeds_story()
    specs = [RunSpec.make(cell=run.spec["cell"], seed=run.spec["seed"], gap=40, steps=50).to_json() for run in runs]
    comparison, ids = store.create(specs, [run.name for run in runs], "Seeds")
    for run_id, run in zip(ids, runs, strict=True):
        write(store, run_id, run)
    return comparison


def test_seeds_are_one_row_and_one_line_by_default(open_app: Open, seeded: str) -> None:
    app = open_app(comparison=seeded)
    said = words(app)
    assert "▼ Vanishing 3 of 3" in said
    assert "Vanishing in 3 of 3 seeds. Reach 12" in said
    assert "solved 0 of 3" in said
    assert said.count('class="verdict-row"') == 2
    assert "each the median over its seeds" in said
    assert len(app.get("bidi_component")) == 6  # the sentence, three of curves, and a map of each cell


def test_each_run_is_one_click_away(open_app: Open, seeded: str) -> None:
    app = open_app(comparison=seeded)
    app.radio(key=f"seeds-{seeded}").set_value(False).run()
    assert not app.exception
    said = words(app)
    assert said.count('class="verdict-row"') == 6
    assert "each the median over its seeds" not in said
    assert len(app.get("bidi_component")) == 10
    app.radio(key=f"seeds-{seeded}").set_value(True).run()
    assert words(app).count('class="verdict-row"') == 2


def test_without_seeds_nothing_is_asked(open_app: Open, told: tuple[str, list[str]]) -> None:
    app = open_app(comparison=told[0])
    assert not app.get("radio")
    assert "seeds" not in words(app)


def test_any_comparison_is_repeated_over_seeds(open_app: Open, store: Store, told: tuple[str, list[str]]) -> None:
    app = open_app(comparison=told[0])
    app.number_input(key="seeds-wanted").set_value(3).run()
    assert app.button(key="add-seeds").label == "Repeat over 3 seeds: 8 more"
    app.button(key="add-seeds").click().run()
    assert not app.exception
    rows = store.runs(comparison=told[0])
    assert len(rows) == 12
    assert {row.spec["seed"] for row in rows} == {0, 1, 2}
    assert words(app).count('class="verdict-row"') == 4
    assert "Vanishing 1 of 3" in words(app)


def test_waiting_seeds_are_counted(open_app: Open, store: Store, seeded: str) -> None:
    specs = [RunSpec.make(cell="tanh", seed=9, gap=40, steps=50).to_json()]
    store.create(specs, ["tanh · seed 9"], comparison=seeded)
    said = words(open_app(comparison=seeded))
    assert "1 of 4 has no verdict yet." in said
    assert "3 of 4" in said
