"""What a report holds of the inside of its runs."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from diagnostics.charts.inspection_gallery import INSPECTION_FIGURES
from diagnostics.export import report_inside
from diagnostics.export.inside import looked
from diagnostics.export.report import report_html
from diagnostics.inspection import Inspection
from diagnostics.measures.entry_sizes import BINS
from diagnostics.records import Records, Run
from tests.diagnostics.charts.inspections import inspection_of
from tests.diagnostics.export.test_report import Elements

BESIDE = ("theory",)
"""What the sample inspections fill of the figures that show several runs."""
ALONE = ("singular_values", "eigenvalues", "lyapunov", "states", "timescales")


@pytest.fixture
def runs(run_maker: Callable[..., Run]) -> list[Run]:
    return [run_maker("r-1", name="<b>tanh</b>"), run_maker("r-2", name="LSTM", seed=1)]


def of(run_id: str, cell: str, step: int = 40, **shape: int) -> Inspection:
    return replace(inspection_of(cell, **shape), run_id=run_id, step=step)


def keys(page: Elements) -> list[str]:
    return [str(attributes["data-figure"]) for _, attributes in page.tags if "data-figure" in attributes]


def test_every_figure_that_can_be_drawn_is_there_with_whose_when_and_how_to_read_it(runs: list[Run]) -> None:
    text = report_html(runs, inspections=[of("r-1", "tanh"), of("r-2", "lstm", B=2)])
    page = Elements(text)
    words = " ".join(page.words)
    assert "<b>tanh</b>, LSTM, after 40 updates" in words
    assert "Through 2 held-out samples of 12 timesteps or 3 held-out samples of 12 timesteps" in words
    assert "Not computed: weight gradient, itemised, truncation, parameters." in words
    expected = {f"{key}-step-40" for key in BESIDE}
    expected |= {f"{key}-{run}-step-40" for key in ALONE for run in ("r-1", "r-2")} - {"timescales-r-1-step-40"}
    found = [key for key in keys(page) if "-step-" in key]
    assert len(found) == len(expected)
    assert set(found) == expected
    for theme in ("light", "dark"):
        assert {f"{theme}-{key}" for key in expected} <= {a.get("id") for _, a in page.tags}
    for key in (*BESIDE, *ALONE):
        assert INSPECTION_FIGURES[key].title in words
        assert INSPECTION_FIGURES[key].how_to_read in words
    assert f"{INSPECTION_FIGURES['states'].title}:  LSTM, after 40 updates" in words
    assert f"{INSPECTION_FIGURES['theory'].title}:  after 40 updates" in words
    assert not any(tag == "b" for tag, _ in page.tags)


def test_without_inspections_nothing_is_said_of_them_and_those_of_other_runs_are_no_part(runs: list[Run]) -> None:
    plain = report_html(runs, created_s=0.0)
    assert "Inside the networks" not in plain
    assert report_html(runs, created_s=0.0, inspections=[of("r-3", "gru")]) == plain


def test_the_last_step_comes_first_and_every_layer_has_its_figure(runs: list[Run]) -> None:
    inspections = [of("r-1", "tanh", 0), of("r-1", "tanh", 40), of("r-2", "gru", 40, L=2)]
    groups = looked(runs, inspections)
    assert [(group.step, len(group.named)) for group in groups] == [(40, 2), (0, 1)]
    drawn = list(groups[0].drawings())
    theory = [drawing for drawing in drawn if drawing.figure_key == "theory"]
    assert [drawing.key for drawing in theory] == ["theory-step-40-l1", "theory-step-40-l2"]
    assert [drawing.figure.layout.meta["runs"] for drawing in theory] == [["r-1", "r-2"], ["r-2"]]
    states = [drawing.key for drawing in drawn if drawing.figure_key == "states"]
    assert states == ["states-r-1-step-40", "states-r-2-step-40-l1", "states-r-2-step-40-l2"]
    assert all(re.fullmatch("[a-z0-9_-]{1,80}", drawing.key) for drawing in drawn)  # as files in a bundle are called
    assert len({drawing.key for drawing in drawn}) == len(drawn)


def test_more_runs_than_figures_can_tell_apart_come_in_lots(run_maker: Callable[..., Run]) -> None:
    many = [run_maker(f"r-{place}", name=f"seed {place}", seed=place) for place in range(8)]
    groups = looked(many, [of(run.id, "tanh") for run in reversed(many)], over_seeds=False)
    assert [[one.run_id for _, one in group.named] for group in groups] == [
        [f"r-{place}" for place in range(6)],
        ["r-6", "r-7"],
    ]
    keys = [drawing.key for group in groups for drawing in group.drawings()]
    assert len(set(keys)) == len(keys)


def seeds_of(run_maker: Callable[..., Run]) -> tuple[list[Run], list[Inspection]]:
    """Three seeds of tanh and two of an LSTM, all of them inspected."""
    made = [("tanh", seed) for seed in range(3)] + [("lstm", seed) for seed in range(2)]
    runs = [
        replace(run_maker(f"r-{cell}{seed}", name=f"{cell} · seed {seed}"), spec={"cell": cell, "seed": seed})
        for cell, seed in made
    ]
    return runs, [of(run.id, cell) for run, (cell, _) in zip(runs, made, strict=True)]


def test_seeds_are_drawn_once_and_said_to_be(run_maker: Callable[..., Run]) -> None:
    runs, inspections = seeds_of(run_maker)
    page = Elements(report_html(runs, inspections=inspections))
    words = " ".join(page.words)
    assert "tanh · 3 seeds, lstm · 2 seeds, after 40 updates" in words
    assert "Lines are medians over the seeds, in bands from the lowest to the highest" in words
    assert f"{INSPECTION_FIGURES['states'].title}:  tanh · seed 0, the first of 3 seeds, after 40 updates" in words
    found = [key for key in keys(page) if "-step-40" in key]
    expected = [f"{key}-{run}-step-40" for key in ALONE for run in ("r-tanh0", "r-lstm0")]
    expected.remove("timescales-r-tanh0-step-40")
    assert set(found) == {*expected, *(f"{key}-step-40" for key in BESIDE)}
    (group,) = looked(runs, inspections)
    theory = next(drawing for drawing in group.drawings() if drawing.figure_key == "theory")
    assert theory.figure.layout.meta["runs"] == [run.id for run in runs]
    assert "median over the seeds" in theory.figure.layout.meta["caption"]


def test_each_seed_is_drawn_where_that_is_asked_for(run_maker: Callable[..., Run]) -> None:
    runs, inspections = seeds_of(run_maker)
    page = Elements(report_html(runs, inspections=inspections, over_seeds=False))
    assert len([key for key in keys(page) if key.startswith("states-")]) == 5
    assert "medians over the seeds, in bands" not in " ".join(page.words)


def test_a_seed_without_what_a_figure_needs_is_no_part_of_it(run_maker: Callable[..., Run]) -> None:
    runs, inspections = seeds_of(run_maker)
    bare = {name: values for name, values in inspections[2].arrays.items() if name != "state_grad"}
    (group,) = looked(runs, [*inspections[:2], replace(inspections[2], arrays=bare)])
    assert [bundle.name for bundle in group.bundles] == ["tanh · 3 seeds"]
    theory = next(drawing for drawing in group.drawings() if drawing.figure_key == "theory")
    assert theory.figure.layout.meta["runs"] == ["r-tanh0", "r-tanh1"]
    assert "tanh · 2 seeds" in theory.name
    (group,) = looked(runs, [inspections[0], replace(inspections[2], arrays=bare)])
    theory = next(drawing for drawing in group.drawings() if drawing.figure_key == "theory")
    assert "tanh · seed 0" in theory.name


def test_what_would_make_the_page_large_is_left_out_and_named(runs: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    inspections = [of("r-2", "lstm", step, T=60, H=40) for step in (0, 40)]
    monkeypatch.setattr(report_inside, "BYTES_AT_MOST", 150_000)
    inside = report_inside.Inside(runs, inspections)
    words = " ".join(Elements("".join(inside.html)).words)
    assert "Left out, so that this page stays small: " in words
    assert "“States and gates, unit by unit — LSTM, after 40 updates”" in words
    assert "theory-step-40" in inside.light
    assert sum(map(len, [*inside.light.values(), *inside.dark.values()])) <= 150_000
    monkeypatch.setattr(report_inside, "INSPECTIONS_AT_MOST", 1)
    inside = report_inside.Inside(runs, inspections)
    assert "all of LSTM before any update" in " ".join(Elements("".join(inside.html)).words)
    assert not [key for key in inside.light if "step-0" in key]


def test_of_truncated_runs_page_and_figures_say_which_gradient_is_shown(runs: list[Run]) -> None:
    cut = replace(of("r-2", "lstm"), truncate=5)
    page = Elements(report_html(runs, inspections=[of("r-1", "tanh"), cut]))
    words = " ".join(page.words)
    assert "Shown of LSTM is the full gradient, through all timesteps, while training used chunks of 5: " in words
    drawn = {drawing.key: drawing for group in looked(runs, [cut]) for drawing in group.drawings()}
    said = "full gradient; training used chunks of 5"
    assert said in drawn["theory-step-40"].figure.layout.meta["caption"]
    assert said in drawn["theory-step-40"].name
    assert said not in drawn["states-r-2-step-40"].figure.layout.meta["caption"]


def test_what_clipping_would_have_done_is_there_by_norm_and_where_it_was_recorded_by_value(runs: list[Run]) -> None:
    import numpy as np

    assert "what_if_norm" in keys(Elements(report_html(runs)))
    assert "what_if_value" not in keys(Elements(report_html(runs)))
    sizes = np.zeros((3, BINS, 3))
    sizes[:, BINS // 2] = (10, 1.0, 0.2)
    newer = [replace(run, records=Records({**run.records, "grad_sizes": sizes})) for run in runs]
    assert {"what_if_norm", "what_if_value"} <= set(keys(Elements(report_html(newer))))
