import base64
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
import pytest

from diagnostics.charts.gallery import FIGURES, Figure, accessible_name
from diagnostics.records import Records, Run
from tests.diagnostics.charts.samples import facts_of, france_facts, powers, run_of, story

ALL = pytest.mark.parametrize("figure", FIGURES.values(), ids=FIGURES)
ODD = np.array([0.0, np.inf, np.nan, 1e-300, 1e300, 5e-324])


def chosen(figure: Figure, runs: list[Run]) -> list[Run]:
    return runs[:1] if figure.per_run else runs


def drawn(figure: Figure, runs: list[Run], **how: str) -> go.Figure:
    return figure.draw(figure.prepare(chosen(figure, runs)), **how)


def odd_runs() -> list[Run]:
    """Runs with everything that can go wrong in their records."""
    facts = facts_of(45, 40)
    rng = np.random.default_rng(0)
    wild = powers(0.9, 44, 20)
    wild = np.where(rng.random(wild.shape) < 0.3, rng.choice(ODD, wild.shape), wild)
    norms = np.concatenate([np.logspace(0, 300, 20), ODD])
    loss = np.concatenate([np.full(20, 3.0), [np.inf, np.nan, np.nan, 1e300, 2.0, 2.0]])
    bare = Run("r-q", "queued", "queued", {"cell": "gru"}, None, Records.empty())
    return [
        run_of(
            wild,
            facts=facts,
            run_id="r-w",
            name="<b>wild</b> & \ud800",
            loss=loss,
            pre=norms,
            post=norms,
            state="diverged",
        ),
        run_of(np.zeros((3, 45)), facts=facts, run_id="r-0", name="all zero"),
        run_of(np.full((3, 45), np.nan), facts=facts, run_id="r-n", name="all nan"),
        run_of(np.empty((0, 45)), facts=facts, run_id="r-e", name="begun", loss=np.empty(0), state="running"),
        bare,
    ]


def test_the_table_is_whole() -> None:
    usual = ["ribbon", "profile", "heatmap", "learning", "clipping"]
    assert list(FIGURES) == [*usual, "what_if_norm", "what_if_value", "sweep", "sweep_map"]
    for key, figure in FIGURES.items():
        assert figure.key == key
        assert 2 <= figure.how_to_read.count(". ") + 1 <= 3
        assert figure.title


@ALL
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", ["page", "projector"])
def test_every_figure_draws_in_every_look_with_its_own_template(figure: Figure, theme: str, size: str) -> None:
    before = pio.templates.default
    try:
        pio.templates.default = "ggplot2"  # what a surrounding program sets must not show
        found = drawn(figure, story(), theme=theme, size=size)
    finally:
        pio.templates.default = before
    layout = found.layout.template.layout
    assert layout.paper_bgcolor == {"light": "#FFFFFF", "dark": "#0E1117"}[theme]
    assert layout.font.size == {"page": 13, "projector": 20}[size]
    assert not found.layout.template.data.to_plotly_json()


@ALL
def test_every_figure_says_where_its_numbers_come_from(figure: Figure) -> None:
    runs = chosen(figure, story())
    found = drawn(figure, runs)
    assert found.layout.meta["figure"] == figure.key
    assert found.layout.meta["runs"] == [run.id for run in runs]
    assert {"training_steps", "unit", "reduction", "clip", "caption"} <= set(found.layout.meta)
    assert found.layout.meta["caption"].split(" · ")[0] in found.layout.title.subtitle.text.replace("<br>", " ")


@ALL
def test_zoom_survives_new_records_but_not_other_runs(figure: Figure) -> None:
    runs = story()
    later = story(count=130)
    assert drawn(figure, runs).layout.uirevision == drawn(figure, later).layout.uirevision
    assert drawn(figure, runs).layout.uirevision != drawn(figure, runs[1:]).layout.uirevision


@ALL
def test_a_refresh_has_the_same_traces_in_the_same_order(figure: Figure) -> None:
    names = [[trace.type for trace in drawn(figure, story(count=n)).data] for n in (119, 120)]
    assert names[0] == names[1]


@ALL
@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [1], [2], [3], [4]])
def test_no_records_break_a_figure(figure: Figure, order: list[int]) -> None:
    runs = [odd_runs()[i] for i in order]
    for theme in ("light", "dark"):
        found = drawn(figure, runs, theme=theme)
        assert found.layout.height > 0
        json.loads(found.to_json())
    assert figure.accessible_name(figure.prepare(chosen(figure, runs)))


@ALL
def test_no_runs_make_a_figure_that_says_so(figure: Figure) -> None:
    if figure.per_run:
        pytest.skip("takes exactly one run")
    assert "Waiting" in figure.draw(figure.prepare([])).layout.annotations[0].text


@ALL
def test_a_run_that_was_stopped_before_it_recorded_anything_is_not_waited_for(figure: Figure) -> None:
    bare = Run("r-1", "x", "stopped", {}, None, Records.empty())
    said = figure.draw(figure.prepare([bare])).layout.annotations[0].text
    assert said.startswith("This run was stopped before its first ")


def values(node: object) -> list[np.ndarray]:
    """Every array of numbers in a figure's JSON, decoded as the browser would."""
    if isinstance(node, dict):
        if "bdata" in node:
            return [np.frombuffer(base64.b64decode(node["bdata"]), node["dtype"])]
        return [found for part in node.values() for found in values(part)]
    if isinstance(node, list):
        return [found for part in node for found in values(part)]
    return []


@ALL
def test_the_wire_carries_no_infinity(figure: Figure) -> None:
    for runs in (story(), odd_runs()):
        text = drawn(figure, runs).to_json()
        # Not a search of the text: base64 may spell anything.
        json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
        for key in ("x", "y", "z", "base"):
            for trace in json.loads(text)["data"]:
                for array in values({key: trace.get(key)}):
                    assert not np.isinf(array).any()


@ALL
def test_the_wire_is_small(figure: Figure) -> None:
    assert len(drawn(figure, story()).to_json()) < 150_000


@ALL
def test_names_are_shown_not_followed(figure: Figure) -> None:
    runs = [replace(run, name=f"<a href='https://example.org'>{i}</a>") for i, run in enumerate(story())]
    text = drawn(figure, runs).to_json()
    assert "<a href" not in text
    assert "\\u003ca href" not in text
    assert "<a href" in accessible_name(figure.key, chosen(figure, runs))


@ALL
@pytest.mark.parametrize("count", [1, 6, 12])
def test_legends_have_room_below_the_plot(figure: Figure, count: int) -> None:
    runs = [
        replace(story()[i % 4], id=f"r-{i}", name=f"a rather long name of run number {i} with its seed")
        for i in range(count)
    ]
    layout = drawn(figure, runs).layout
    assert layout.legend.yref == "container"
    assert layout.legend.yanchor == "bottom"
    entries = {trace.name for trace in drawn(figure, runs).data if trace.showlegend is not False and trace.name}
    if entries and figure.key in ("profile", "learning"):
        assert layout.margin.b >= 62 + 22 * len(entries) / 2


def test_unknown_looks_are_refused() -> None:
    figure = FIGURES["ribbon"]
    with pytest.raises(ValueError, match="theme must be one of light, dark, but got 'sepia'"):
        figure.draw(figure.prepare(story()), theme="sepia")
    with pytest.raises(ValueError, match="size must be one of page, projector, but got 'poster'"):
        figure.draw(figure.prepare(story()), size="poster")


@pytest.mark.parametrize("seed", range(12))
def test_any_profile_can_be_drawn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    length, count = int(rng.integers(1, 130)), int(rng.integers(0, 5))
    profiles = np.exp(rng.normal(0, 3, (count, length)))
    profiles = np.where(rng.random(profiles.shape) < 0.2, rng.choice(ODD, profiles.shape), profiles)
    run = run_of(profiles, facts=facts_of(length, int(rng.integers(length))), state="running", success=[0.5] * count)
    for figure in FIGURES.values():
        prepared = figure.prepare([run])
        json.loads(figure.draw(prepared).to_json())
        assert figure.accessible_name(prepared)


def test_the_story_is_told_to_those_who_listen() -> None:
    said = accessible_name("ribbon", [run_of(powers(0.5, 48), facts=france_facts(40), name="tanh")])
    assert said == (
        "Which words can the network still learn from. State gradient at each word ÷ its value at the loss · median "
        "over the batch · pre-clip · training step 199. tanh: France receives 9.1·10⁻¹³ of the gradient at the loss."
    )


@pytest.mark.parametrize("key", ["ribbon", "profile", "heatmap"])
def test_figures_say_which_layer_and_which_loss_they_are_of(key: str) -> None:
    plain = run_of(powers(0.5, 44), facts=facts_of(45, 40))
    columns = dict(plain.records)
    deep = {name: np.concatenate([columns[name]] * 2, axis=1) for name in ("state_grad", "grad_h", "state_norm")}
    stacked = replace(plain, records=Records({**columns, **deep, "saturated": deep["state_norm"]}))
    many = replace(plain, records=Records({**columns, "answer_grad": columns["state_grad"]}))
    captions = [FIGURES[key].prepare([run]).origin.caption for run in (plain, stacked, many)]
    assert [c.split(" ÷ ")[0].removesuffix(" at each word") for c in captions] == [
        "State gradient",
        "State gradient (top layer)",
        "State gradient (loss of the last answer alone)",
    ]


def test_figures_need_neither_torch_nor_streamlit() -> None:
    code = (
        "import sys, diagnostics.charts.gallery, diagnostics.measures.verdict; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'streamlit', 'pandas')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
