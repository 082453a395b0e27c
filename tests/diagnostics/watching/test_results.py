from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from torch import nn

from diagnostics import Watch, watch
from diagnostics.charts.gallery import FIGURES
from diagnostics.measures.verdict import verdict
from diagnostics.store import Store
from diagnostics.watching import results
from tests.diagnostics.measures.test_watched_verdict import watched
from tests.diagnostics.watching.loops import batches, mean_square, model


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store.open(tmp_path_factory.mktemp("results") / "store")


def trained(store: Store, *, fading: bool = True, loss: bool = True) -> Watch:
    network = model(kind=nn.RNN, num_layers=2, bidirectional=True)
    if fading:
        with torch.no_grad():
            network.rnn.weight_hh_l1.mul_(0.01)
    optimizer = torch.optim.SGD(network.parameters(), 0.01)
    with watch(network, every=2, name="results", store=store, clip="norm:1.0") as w:
        for x, y in batches(5):
            error = mean_square(network(x), y)
            optimizer.zero_grad()
            error.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            w.clipped(loss=error if loss else None)
            optimizer.step()
    return w


@pytest.fixture(scope="module")
def w(store: Store) -> Watch:
    return trained(store)


def test_reach_by_layer_and_direction(w: Watch) -> None:
    assert set(w.reach) == {f"rnn {way} layer {layer}" for way in "→←" for layer in (1, 2)}
    assert w.reach["rnn → layer 2"] == 1
    assert w.reach["rnn → layer 1"] == "all"
    run = next(run for run in w.runs if results.part_of(run) == "rnn →")
    assert w.reach["rnn → layer 2"] == verdict(run).reach


def test_a_layer_is_judged_by_itself_and_away_from_the_loss(w: Watch) -> None:
    """The loss reads the reverse direction's top layer after its first step; the layer below hears of it at all."""
    below, top = (row for row in w.table() if row.part == "rnn ←")
    assert (top.of, top.reach) == (0, "all")
    assert below.of == 6
    (run,) = (run for run in w.runs if results.part_of(run) == "rnn ←")
    (late,) = run.records["state_grad"][-1:, 0, :, 1]
    assert below.at_first == pytest.approx(late[-1] / late[0])
    assert [row.verdict for row in w.table() if row.part == "rnn →"] == ["Reaches", "Fades"]


def test_the_verdict_is_that_of_the_part_that_is_worst_off(w: Watch) -> None:
    assert list(w.verdicts) == ["rnn →", "rnn ←"]
    assert w.verdicts["rnn ←"].kind == "reaches"
    assert w.verdicts["rnn ←"].sentence.startswith("Reaches: the loss uses the state after a single step")
    assert w.verdict.to_json() == w.verdicts["rnn →"].to_json()
    assert w.verdict.kind == "fades"
    assert "of what lies further back the loss teaches next to nothing" in w.verdict.sentence


def test_of_equal_verdicts_the_worst_is_the_one_whose_gradient_comes_the_least_far() -> None:
    falls = {0.5: "fades", 0.3: "fades", 0.99: "reaches", 1.0: "reaches"}
    runs = [watched(by_step) for by_step in falls]
    assert [verdict(run).kind for run in runs] == list(falls.values())
    assert results.worst(runs)[0] is runs[1]  # type: ignore[index]
    assert results.worst(runs[:1] + runs[2:])[0] is runs[0]  # type: ignore[index]
    assert results.worst([]) is None


def test_no_sentence_speaks_of_what_a_watched_run_has_not(w: Watch) -> None:
    sentences = [line for one in w.verdicts.values() for line in (one.sentence, *one.advice)]
    said = " ".join([repr(w), str(w.table()), *sentences, *(event.sentence for event in w.events)])
    for word in ("nan", "success", "chance", "word", "task", "seed", "held-out", "“"):
        assert word not in said.lower(), word
    for info in FIGURES.values():
        if info.applies(w.runs):
            drawn = info.accessible_name(info.prepare(w.runs[:1] if info.per_run else w.runs))
            assert not {"nan", "chance", "seed", "held-out"} & set(drawn.replace(".", " ").split()), drawn


@pytest.mark.parametrize("key", ["ribbon", "profile", "heatmap", "learning", "clipping", "what_if_norm"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_figure_that_applies_can_be_drawn(w: Watch, key: str, theme: str) -> None:
    assert len(w.figure(key, theme=theme).data) > 0  # type: ignore[arg-type]


def test_a_figure_that_does_not_apply_is_a_sentence_with_those_that_do(w: Watch, store: Store) -> None:
    with pytest.raises(
        ValueError, match=r"key must be one of ribbon, profile, heatmap, .* for these runs, but got 'sweep'"
    ):
        w.figure("sweep")
    unknown = trained(store, loss=False)
    with pytest.raises(ValueError, match="but got 'learning'"):
        unknown.figure("learning")


def test_the_table_has_a_row_for_each_layer(w: Watch, tmp_path: Path) -> None:
    table = w.table()
    assert len(table) == 4
    assert (table[1].part, table[1].layer, table[1].reach, table[1].of) == ("rnn →", 2, 1, 6)
    assert table[1].verdict == "Fades"
    lines = str(table).split("\n")
    assert lines[0].startswith("part   layer  reach  of  decay per step  half-life  gets of the gradient  verdict")
    assert lines[-1] == w.meaning
    assert "<td>rnn →</td><td>2</td><td>1</td>" in table._repr_html_()
    table.to_csv(tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["reach"] for row in rows] == [str(w.reach[f"{row['part']} layer {row['layer']}"]) for row in rows]
    assert float(rows[1]["decay_per_step"]) == table[1].decay_per_step


def test_a_notebook_shows_words_and_then_a_figure_that_is_small(w: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, Any]] = []
    display = SimpleNamespace(display=lambda bundle, raw: shown.append(bundle))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(display=display))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    w._ipython_display_()
    words, drawn = shown
    assert set(words) == {"text/html", "text/plain"}
    assert words["text/plain"] == repr(w)
    assert "Fades: the gradient falls below" in words["text/html"]
    assert set(drawn) == {"application/vnd.plotly.v1+json", "image/svg+xml", "text/plain"}
    assert len(json.dumps(shown)) < 100_000
    assert {"data", "layout"} <= set(drawn["application/vnd.plotly.v1+json"])
    picture = ElementTree.fromstring(drawn["image/svg+xml"])
    assert "rnn →" in "".join(picture.itertext())


def test_without_ipython_the_html_stands_alone(w: Watch) -> None:
    page = w._repr_html_()
    assert "Fades: the gradient falls below" in page
    assert "Plotly.newPlot" in page
    assert "https://cdn" not in page.split("Plotly.newPlot")[0][-2000:]


def test_before_the_first_step_a_notebook_shows_that_nothing_is_known() -> None:
    w = watch(model(), name="<b>", store=False)
    assert "&lt;Watch &#x27;&lt;b&gt;&#x27;, not begun&gt;" in w._repr_html_()
    assert (w.runs, w.run_ids, w.comparison, w.reach, w.verdicts, w.covered) == ((), (), "", {}, {}, [])
    with pytest.raises(ValueError, match="nothing has been recorded: the with block has not begun"):
        w.figure()
    with (
        w,
        pytest.raises(ValueError, match=r"nothing has been recorded yet: w\.step or w\.clipped has not been called"),
    ):
        _ = w.verdict


def test_it_says_the_same_after_a_fresh_read_of_the_store(w: Watch, store: Store) -> None:
    again = Store.open(store.path)
    runs = [again.read(run_id) for run_id in w.run_ids]
    assert results.reaches(runs) == w.reach
    for part, found in results.verdicts(runs).items():
        assert (found.to_json(), found.advice) == (w.verdicts[part].to_json(), w.verdicts[part].advice)
    assert {row.comparison for row in again.runs() if row.id in w.run_ids} == {w.comparison}


def test_scalars_are_of_the_newest_profile_and_step() -> None:
    network = model(kind=nn.RNN)
    optimizer = torch.optim.SGD(network.parameters(), 0.01)
    with watch(network, every=2, store=False) as w:
        assert results.scalars(w) == {}
        for step, (x, y) in enumerate(batches(4)):
            optimizer.zero_grad()
            mean_square(network(x), y).backward()
            w.step(optimizer, clip="norm:0.5")
            found = results.scalars(w)
            run = w.runs[0]
            assert found["gradreach/rnn/grad_norm_pre"] == run.records["grad_norm_pre"][step]
            assert found["gradreach/rnn/grad_norm_post"] == run.records["grad_norm_post"][step]
            assert found["gradreach/rnn/clip_factor"] == run.records["clip_factor"][step]
    assert found["gradreach/rnn/reach"] == verdict(w.runs[0]).reach
    assert found["gradreach/rnn/decay"] == verdict(w.runs[0]).decay
    assert set(found) == {
        f"gradreach/rnn/{name}"
        for name in ("reach", "decay", "half_life", "grad_norm_pre", "grad_norm_post", "clip_factor")
    }


def test_several_parts_of_one_model_are_drawn_together(w: Watch) -> None:
    names = {trace.name for trace in w.figure("profile").data if trace.name}
    assert {"results · rnn →", "results · rnn ←"} <= names
