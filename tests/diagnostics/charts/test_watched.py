"""What the figures make of watched runs: no task, perhaps no loss, no step that matters more than others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from diagnostics.charts import clipping, heatmap, learning, profile, ribbon, what_if
from diagnostics.charts.gallery import FIGURES
from diagnostics.charts.palette import THEMES
from diagnostics.records import Records, Run
from tests.diagnostics.charts.samples import story
from tests.ui import watched


def run(loss: bool = False, state: str = "finished", **of: Any) -> Run:
    spec = watched.spec(**of)
    columns = watched.records(spec["layers"], 0.8, loss)
    return Run("r-1", "my run · encoder", state, spec, watched.facts(), Records(columns))


def test_the_learning_figure_is_of_those_that_told_a_loss() -> None:
    told, silent = replace(run(loss=True), id="r-2", name="told"), run()
    assert not learning.applies([silent])
    assert learning.applies([told])
    assert not learning.applies([replace(silent, records=Records.empty(), state="running")])
    assert learning.applies([replace(story()[0], records=Records.empty(), state="queued")])
    prepared = learning.prepare([silent, told])
    assert [curve.label for curve in prepared.curves] == ["told"]
    # As in every other figure of the two, its line is the second.
    assert prepared.curves[0].style == profile.prepare([silent, told]).lines[1].style


def test_without_a_held_out_set_there_is_one_plot_and_with_a_lab_run_there_are_two() -> None:
    alone = learning.draw(learning.prepare([run(loss=True)]))
    assert "yaxis2" not in alone.to_plotly_json()["layout"]
    assert [trace.name for trace in alone.data] == ["my run · encoder"]
    assert "training loss from 1 to" in learning.describe(learning.prepare([run(loss=True)]))
    both = learning.prepare([run(loss=True), story()[0]])
    figure = learning.draw(both)
    assert figure.layout.yaxis2.title.text
    assert "my run · encoder" in [trace.name for trace in figure.data if trace.showlegend is not False]


@pytest.mark.parametrize("key", ["ribbon", "profile", "heatmap", "learning"])
def test_no_figure_of_watched_runs_alone_speaks_of_what_they_have_not(key: str) -> None:
    runs = [run(loss=True), replace(run(loss=True, cell="mine"), id="r-2")]
    info = FIGURES[key]
    prepared = info.prepare(runs[:1] if info.per_run else runs)
    figure = info.draw(prepared)
    said = " ".join([info.accessible_name(prepared), figure.layout.title.text or "", *info.words(watched=True)]).lower()
    for word in ("success", "chance", "held-out", "knowing nothing", "answer that", "word", "sentence"):
        assert word not in said, (word, said)
    assert info.words(watched=False) == (info.title, info.how_to_read)
    assert info.words(watched=True)[0] in figure.layout.title.text
    beside = info.prepare([story()[0]] if info.per_run else [*runs, story()[0]])
    assert info.title in info.draw(beside).layout.title.text


def test_a_loss_that_nobody_told_did_not_diverge() -> None:
    assert clipping.prepare([run()]).panels[0].diverged_steps == ()
    assert learning.prepare([replace(run(), state="diverged")]).curves[0].broken


def test_the_norm_of_a_whole_model_is_drawn_once_for_all_its_parts() -> None:
    parts = [replace(run(), id=f"r-{i}", name=name, comparison="c-1") for i, name in enumerate(("encoder", "decoder"))]
    other = replace(run(), id="r-9", name="other", comparison="c-2")
    first, second = clipping.prepare([*parts, other]).panels
    assert (first.label, second.label) == ("encoder", "other")
    assert first.remark.endswith("; the same for all 2 parts of the model")
    assert "parts" not in second.remark


def test_the_loss_of_a_whole_model_is_drawn_once_for_all_its_parts() -> None:
    told = run(loss=True)
    parts = [replace(told, id=f"r-{i}", name=name, comparison="c-1") for i, name in enumerate(("encoder", "decoder"))]
    other = replace(told, id="r-9", name="other", comparison="c-2")
    prepared = learning.prepare([*parts, other])
    assert [curve.label for curve in prepared.curves] == ["encoder", "other"]
    assert "one line for all parts of a model" in prepared.origin.caption
    assert prepared.curves[1].style == profile.prepare([*parts, other]).lines[2].style
    assert "all parts" not in learning.prepare([parts[0], other]).origin.caption
    lab = [replace(one, id=f"l-{i}", comparison="c-3") for i, one in enumerate(story())]
    assert len(learning.prepare(lab).curves) == len(lab)


def test_what_a_threshold_would_have_done_is_drawn_once_for_all_parts_of_a_model() -> None:
    parts = [replace(run(), id=f"r-{i}", name=name, comparison="c-1") for i, name in enumerate(("encoder", "decoder"))]
    other = replace(run(), id="r-9", name="other", comparison="c-2")
    prepared = what_if.prepare_norm([*parts, other])
    assert [line.label for line in prepared.lines] == ["encoder", "other"]
    assert prepared.lines[1].style == profile.prepare([*parts, other]).lines[2].style
    assert prepared.origin.caption.endswith(" · one line for all parts of a model")
    assert "all parts" not in what_if.prepare_norm([parts[0], other]).origin.caption
    alone = what_if.prepare_norm(parts)
    assert alone.percentiles == what_if.prepare_norm(parts[:1]).percentiles
    assert len(alone.percentiles) > 0


def test_the_only_line_of_a_run_is_not_faded_beside_the_lab_s() -> None:
    figure = learning.draw(learning.prepare([run(loss=True), story()[0]]))
    alone = next(trace for trace in figure.data if trace.name == "my run · encoder")
    assert alone.line.color in THEMES["light"].lines


def test_where_the_state_was_detached_is_said_above_the_rail_of_zeros() -> None:
    cut = run(watched={"cuts": [10, 20]})
    columns = dict(cut.records)
    columns["state_grad"] = columns["state_grad"].copy()
    columns["state_grad"][:, :, :20] = 0
    figure = profile.draw(profile.prepare([replace(cut, records=Records(columns))]))
    assert figure.layout.yaxis.domain[0] > 0  # there is a rail
    (note,) = [note for note in figure.layout.annotations if "detached" in note.text]
    assert (note.yref, note.y, note.yanchor) == ("y domain", 0, "bottom")


@pytest.mark.parametrize(
    ("clip", "remark"),
    [("", "shortened on 52 % of the steps"), ("none", "not clipped"), ("norm:1.0", "clipped on 52 %")],
)
def test_somebody_else_s_clipping_is_told_from_its_norms(clip: str, remark: str) -> None:
    assert clipping.prepare([run(clip=clip)]).panels[0].remark.startswith(remark)


def test_no_step_is_marked_where_none_matters_more() -> None:
    assert profile.prepare([run()]).lines[0].word == ""
    notes = [note.text for note in heatmap.draw(heatmap.prepare([run()])).layout.annotations]
    assert notes == ["loss ▾"]
    known = replace(run(), facts=replace(watched.facts(), informative_steps=(3,), distance=26))
    assert "t3" in profile.prepare([known]).lines[0].word


def test_what_has_no_words_is_of_timesteps() -> None:
    assert ribbon.draw(ribbon.prepare([run()])).layout.title.text.startswith("Which timesteps")
    assert "at each word" in ribbon.prepare([run(), story()[0]]).origin.caption


def test_a_detached_state_is_marked_between_the_two_timesteps() -> None:
    cut = run(watched={"cuts": [10, 20]})
    # T = 30, the loss at 29: the state after step 9 is 20 steps back, and no gradient comes to it from step 10.
    assert profile.prepare([cut]).lines[0].cuts == (20, 10)
    assert "cut off 20 and 10 steps back" in profile.describe(profile.prepare([cut]))
    lines = {shape.x0 for shape in profile.draw(profile.prepare([cut])).layout.shapes}
    assert {9.5, 19.5} <= lines
    assert {9.5, 19.5} <= {shape.x0 for shape in heatmap.draw(heatmap.prepare([cut])).layout.shapes}


@pytest.mark.parametrize("odd", [{"cuts": "no"}, {"cuts": [True, -3, "x"]}, {"cuts": None}])
def test_what_a_stranger_calls_cuts_breaks_nothing(odd: dict[str, Any]) -> None:
    assert profile.prepare([run(watched=odd)]).lines[0].cuts == ()


@pytest.mark.parametrize("key", [key for key, info in FIGURES.items() if not info.per_run])
@pytest.mark.parametrize("seeds", [False, True])
def test_every_figure_that_applies_is_drawn_of_all_kinds_together(key: str, seeds: bool) -> None:
    runs = [run(), replace(run(loss=True, cell="mine"), id="r-2"), replace(run(clip=""), id="r-3"), story()[0]]
    info = FIGURES[key]
    if info.applies(runs):
        prepared = info.prepare(runs, over_seeds=seeds)
        info.draw(prepared)
        assert "nan" not in info.accessible_name(prepared)


def test_a_profile_that_is_empty_still_draws() -> None:
    nothing = replace(run(), records=Records({name: np.empty(0) for name in ()}), state="running")
    for info in FIGURES.values():
        if info.applies([nothing]):
            info.draw(info.prepare([nothing]))
