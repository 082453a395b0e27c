"""The Inspect page with runs that differ only in their seed: as one, or each, and kept in the address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from diagnostics.charts.gallery import INSPECTION_FIGURES, InspectionFigure
from diagnostics.charts.inspected_seeds import Seeds
from diagnostics.inspection import save
from diagnostics.store import Store
from experiments.spec import RunSpec
from tests.diagnostics.charts.inspections import inspection_of
from tests.ui.conftest import words
from tests.ui.test_inspect import Visit, kept, nobody_computes, place, shown, visit
from ui.inspect.panels import drawing

__all__ = ["nobody_computes", "visit"]


@pytest.fixture
def seeded(store: Store) -> list[str]:
    """tanh and LSTM, three seeds of each, inspected."""
    run_ids = [run_id for seed in range(3) for run_id in kept(store, "tanh", "lstm", seed=seed)]
    for n, run_id in enumerate(run_ids):
        leave(store, run_id, ("tanh", "lstm")[n % 2], seed=n // 2)
    return run_ids


def leave(store: Store, run_id: str, cell: str, step: int = 40, **shape: int) -> None:
    where = place(store, run_id, step)
    where.folder.mkdir(parents=True, exist_ok=True)
    save(replace(inspection_of(cell, **{"T": 12, "B": 4, **shape}), run_id=run_id, step=step), where.own_result)


def at(run_ids: list[str], **more: str) -> dict[str, str]:
    return {"run": run_ids[0], "with": ",".join(run_ids[1:]), **more}


def test_seeds_are_one_line_by_default_and_each_run_is_one_click_away(
    visit: Visit, seeded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[str, Sequence[Seeds]]] = []

    def noted(info: InspectionFigure, bundles: Sequence[Seeds], *how: Any) -> Any:
        drawn.append((info.key, bundles))
        return drawing(info, bundles, *how)

    monkeypatch.setattr("ui.inspect.panels.drawing", noted)
    app = visit(**at(seeded, view="theory"))
    said = words(app)
    assert "Lines are medians over the seeds, in bands from the lowest to the highest" in said
    assert "tanh · seed 0, the first of 3 seeds" in said
    assert app.radio(key="inspect-seeds").value == "together"
    assert "seeds" not in app.query_params
    lines = next(bundles for key, bundles in drawn if key == "theory")
    assert [(bundle.name, len(bundle.members)) for bundle in lines] == [("tanh · 3 seeds", 3), ("lstm · 3 seeds", 3)]
    assert [[one.name for one in bundles] for key, bundles in drawn if key == "eigenvalues"] == [
        ["tanh · seed 0"],
        ["lstm"],
    ]
    drawn.clear()
    app.radio(key="inspect-seeds").set_value("each").run()
    assert not app.exception
    assert app.query_params["seeds"] == "each"
    assert "medians over the seeds" not in words(app)
    assert all(len(bundle.members) == 1 for _, bundles in drawn for bundle in bundles)
    # Those of the first seeds are as they were, and not drawn again.
    assert sum(key == "eigenvalues" for key, _ in drawn) == 4
    assert shown(app) == 7


def test_the_address_says_how_and_every_view_is_drawn(visit: Visit, seeded: list[str]) -> None:
    for view, together, each in (("theory", 3, 7), ("states", 3, 9), ("steps", 4, 12)):
        app = visit(**at(seeded, view=view))
        assert "cannot be drawn" not in words(app)
        assert shown(app) == together, view
        app = visit(**at(seeded, view=view, seeds="each"))
        assert app.radio(key="inspect-seeds").value == "each"
        assert shown(app) == each, view
    assert "seeds must be one of together, each" in words(visit(**at(seeded, seeds="nonsense")))


def test_what_steps_do_is_shown_over_seeds_and_the_head_names_them_together(visit: Visit, seeded: list[str]) -> None:
    said = words(visit(**at(seeded, view="steps"))).replace("\\", "")
    assert "the first of 3 seeds" not in said
    assert "**tanh · 3 seeds**" in said
    assert "tanh · 3 seeds after 40 of 40 updates, 4 held-out samples; beside lstm · 3 seeds after 40" in said
    assert "Each figure is of one network" not in said
    said = words(visit(**at(seeded, view="parameters")))
    assert "Each figure is of one network, that of the first seed; “Each run” shows every seed." in said
    assert "tanh · seed 0, the first of 3 seeds" in said


def test_more_lines_than_can_be_told_apart_are_named(visit: Visit, store: Store) -> None:
    hidden = range(4, 11)
    run_ids = [run_id for size in hidden for seed in (0, 1) for run_id in kept(store, "tanh", hidden=size, seed=seed)]
    for run_id in run_ids:
        leave(store, run_id, "tanh")
    app = visit(**at(run_ids))
    assert "but 7 are chosen; the first 6 are shown" in words(app)
    assert "cannot be drawn" not in words(app)
    assert shown(app) == 7  # what theory says of the six, and their eigenvalues
    assert "but 14 are chosen; the first 6 are shown" in words(visit(**at(run_ids, seeds="each")))
    assert "are chosen" not in words(visit(**at(run_ids[:12])))


def test_a_figure_is_taken_away_as_it_is_shown(
    visit: Visit, seeded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    files: list[str] = []
    monkeypatch.setattr("ui.exports.figure_files", lambda name, *rest: files.append(name))
    app = visit(**at(seeded, view="steps"))
    app.selectbox(key="inspect-export-run").set_value(seeded[3])
    for key in ("singular_values", "eigenvalues", "theory"):
        app.selectbox(key="inspect-export-figure").set_value(INSPECTION_FIGURES[key]).run()
        assert not app.exception
    assert files[-3:] == [
        "gradreach-singular-values-lstm-3-seeds-step-40",
        "gradreach-eigenvalues-lstm-step-40",
        "gradreach-theory",
    ]


def test_without_seeds_nothing_is_asked(visit: Visit, store: Store, seeded: list[str]) -> None:
    app = visit(**at(seeded[:2]))
    assert not app.get("radio")
    assert "medians over the seeds" not in words(app)
    leave(store, seeded[2], "tanh", T=14)  # another length: nothing to lay together
    assert not visit(**at([seeded[0], seeded[2]])).get("radio")


def test_a_repetition_is_no_further_seed(visit: Visit, store: Store) -> None:
    run_ids = [*kept(store, "tanh"), *kept(store, "tanh")]
    for run_id in run_ids:
        leave(store, run_id, "tanh")
    assert RunSpec.from_json(store.row(run_ids[0]).spec) == RunSpec.from_json(store.row(run_ids[1]).spec)
    assert not visit(**at(run_ids)).get("radio")
