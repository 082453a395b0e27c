"""The Inspect page without a browser: every state of what is asked, what it shows, and how a network begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from diagnostics.inspection import SECTIONS, save
from diagnostics.store import Store
from diagnostics.store.errors import StoreError
from experiments.inspection.asked import Asked
from experiments.inspection.files import Place, requests, write_json, write_text
from experiments.inspection.request import request
from experiments.spec import RunSpec
from tests.diagnostics.charts.inspections import inspection_of
from tests.diagnostics.charts.samples import story
from tests.ui.conftest import Open, words, write
from ui.inspect.views import VIEWS

PAGE = "ui/pages/inspect.py"
WEIGHTS = {"head.bias": np.zeros(2, np.float32)}
Visit = Callable[..., AppTest]


@pytest.fixture(autouse=True)
def nobody_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process is started: a test says what became of a request by the files that one leaves."""
    for module in ("experiments.inspection.request", "ui.inspect.page"):
        monkeypatch.setattr(f"{module}.ensure_inspector", lambda store: "")


@pytest.fixture
def visit(open_app: Open) -> Visit:
    """Open the page at an address."""

    def visited(**params: str) -> AppTest:
        app = open_app()
        app.switch_page(PAGE)
        app.query_params.clear()
        for name, value in params.items():
            app.query_params[name] = value
        app.run()
        assert not app.exception, app.exception
        return app

    return visited


def kept(
    store: Store, *cells: str, steps: tuple[int, ...] = (0, 20, 40), state: str = "finished", **spec: object
) -> list[str]:
    """Runs of one comparison that kept their weights at some steps."""
    specs = [RunSpec.make(cell=cell, gap=8, steps=40, **spec).to_json() for cell in cells]
    _, run_ids = store.create(specs, list(cells), "kept")
    example = story(count=2)[0]
    for run_id in run_ids:
        with store.writer(run_id) as writer:
            writer.begin(example.facts, {"versions": {}})
            for step in steps:
                writer.keep(step, WEIGHTS)
            writer.append(dict(example.records))
            if state != "running":
                detail = "diverged at step 3; the first value that was not finite: the loss (nan)"
                writer.finish(state, detail if state == "diverged" else "")
    return run_ids


def place(store: Store, run_id: str, step: int = 40) -> Place:
    return Place.of(store, run_id, step, Asked())


def answered(store: Store, run_id: str, cell: str = "tanh", step: int = 40, truncate: int = 0, **shape: int) -> None:
    """Leave the result that the process would leave."""
    where = place(store, run_id, step)
    where.folder.mkdir(parents=True, exist_ok=True)
    one = inspection_of(cell, **{"T": 12, "B": 4, **shape})
    save(replace(one, run_id=run_id, step=step, truncate=truncate), where.own_result)


def shown(app: AppTest) -> int:
    return len(app.get("bidi_component"))


def test_without_runs_it_says_so_and_shows_the_recorded_example_in_every_view(visit: Visit) -> None:
    for view in VIEWS:
        app = visit(view=view)
        said = words(app)
        assert "cannot be drawn" not in said
        if view != "beginning":
            assert "No runs are stored yet" in said
            assert "Recorded example" in said
            assert "was not computed" not in said
        assert shown(app) >= 1


def test_without_the_example_the_page_still_says_where_to_begin(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ui.example.inspections", lambda: ())
    app = visit()
    assert "No runs are stored yet" in words(app)
    assert shown(app) == 0


def test_a_run_that_kept_no_weights_is_told_apart_from_the_others(visit: Visit, store: Store) -> None:
    _, [old] = store.create([RunSpec.make(cell="tanh", gap=8).to_json()], ["old"])
    write(store, old, story(count=2)[0])
    app = visit(run=old)
    assert "has kept no weights to look into" in words(app)
    assert app.button(key="inspect").disabled


def test_asking_waiting_computing_cancelling(visit: Visit, store: Store) -> None:
    [run_id] = kept(store, "tanh")
    app = visit(run=run_id)
    assert "press **Inspect** at the left" in words(app)
    assert "Predicted: about" in words(app)
    app.button(key="inspect").click().run()
    assert [(one.run_id, one.step) for one, _ in requests(store)] == [(run_id, 40)]
    assert "waiting" in app.get("progress")[0].proto.text or "about to begin" in app.get("progress")[0].proto.text
    assert app.button(key="inspect").disabled
    about = {"share": 0.5, "section": "lyapunov", "seconds_left": 8.0, "at_s": 4e9}
    write_json(place(store, run_id).progress, about)
    app.run()
    bar = app.get("progress")[0].proto
    assert bar.value == 50
    assert "Lyapunov" in bar.text
    assert "left" in bar.text
    app.button(key=f"cancel-{run_id}").click().run()
    assert not requests(store)
    app.run()
    assert "press **Inspect** at the left" in words(app)


def test_what_is_kept_is_shown_at_once_in_every_view(visit: Visit, store: Store) -> None:
    [run_id] = kept(store, "lstm")
    answered(store, run_id, "lstm")
    for view in VIEWS:
        app = visit(run=run_id, view=view)
        assert not app.exception
        assert VIEWS[view].question in words(app)
        assert "cannot be drawn" not in words(app)
        assert "after 40 of 40 updates, 4 held" in words(app) or view == "beginning"
    app = visit(run=run_id, view="theory")
    assert shown(app) == len(VIEWS["theory"].figures)


def test_a_part_that_was_not_computed_says_so_and_what_to_do(visit: Visit, store: Store) -> None:
    [run_id] = kept(store, "tanh")
    answered(store, run_id)  # the sample has no section "truncation"
    said = words(visit(run=run_id, view="truncation"))
    assert "was not computed: choose it at the left" in said


def test_a_cell_without_gates_says_so(visit: Visit, store: Store) -> None:
    [run_id] = kept(store, "tanh")
    answered(store, run_id)
    said = words(visit(run=run_id, view="states"))
    assert "has no gates" in said


def test_a_failure_is_a_sentence_and_can_be_tried_again(visit: Visit, store: Store) -> None:
    [run_id] = kept(store, "tanh")
    where = place(store, run_id)
    where.folder.mkdir(parents=True)
    write_text(where.failed, "the memory was not enough: ask for fewer samples or sections")
    app = visit(run=run_id)
    assert "the memory was not enough" in words(app)
    app.button(key=f"again-{run_id}").click().run()
    assert not where.failed.exists()
    assert len(requests(store)) == 1


def test_a_damaged_result_is_a_sentence_and_can_be_had_anew(visit: Visit, store: Store) -> None:
    [run_id] = kept(store, "tanh")
    where = place(store, run_id)
    where.folder.mkdir(parents=True)
    where.own_result.write_bytes(b"PK nonsense")
    app = visit(run=run_id)
    assert "is no whole inspection" in words(app)
    app.button(key=f"again-{run_id}").click().run()
    assert len(requests(store)) == 1


def test_the_step_and_the_samples_are_chosen_and_in_the_address(visit: Visit, store: Store) -> None:
    [run_id] = kept(store, "tanh")
    app = visit(run=run_id)
    app.select_slider(key="inspect-step").set_value(20).run()
    app.select_slider(key="inspect-samples").set_value(8).run()
    assert app.query_params["step"] == "20"
    assert app.query_params["samples"] == "8"
    app.button(key="inspect").click().run()
    assert [(one.step, one.asked.samples) for one, _ in requests(store)] == [(20, 8)]
    again = visit(run=run_id, step="19", samples="8")
    assert again.select_slider(key="inspect-step").value == 20  # the nearest that was kept


def test_runs_stand_side_by_side_each_at_its_nearest_step(visit: Visit, store: Store) -> None:
    first, other = kept(store, "tanh", "lstm")
    answered(store, first)
    app = visit(run=first, **{"with": other, "view": "states"})
    alone = shown(app)
    assert "Not computed yet: lstm after 40 updates" in words(app).replace("\\", "")
    answered(store, other, "lstm")
    app = visit(run=first, **{"with": other, "view": "states"})
    assert shown(app) == alone + 2  # its states, and how long its gate holds
    app = visit(run=first, **{"with": other, "view": "theory"})
    assert shown(app) == 3  # one figure of both, and the eigenvalues of each
    assert "beside lstm after 40" in words(app).replace("\\", "")


def test_of_truncated_runs_it_is_said_which_gradient_is_shown(visit: Visit, store: Store) -> None:
    first, other = kept(store, "tanh", "lstm")
    answered(store, first)
    answered(store, other, "lstm", truncate=5)
    assert "full gradient" not in words(visit(run=first, view="theory"))
    said = words(visit(run=first, **{"with": other, "view": "theory"})).replace("\\", "")
    assert "Shown of lstm is the full gradient, through all timesteps, while training used chunks of 5" in said


def test_layers_and_samples_are_chosen_where_there_are_several(visit: Visit, store: Store) -> None:
    [run_id] = kept(store, "gru", layers=2)
    answered(store, run_id, "gru", L=2)
    app = visit(run=run_id, view="states")
    app.selectbox(key="inspect-layer").set_value(2).run()
    app.selectbox(key="inspect-sample").set_value(4).run()
    assert not app.exception
    assert app.query_params["layer"] == "2"
    assert "cannot be drawn" not in words(app)
    app = visit(run=run_id, view="parameters")
    assert "inspect-layer" not in [box.key for box in app.selectbox]


def test_a_running_run_can_be_looked_into_and_a_diverged_one_says_where(visit: Visit, store: Store) -> None:
    [run_id] = kept(store, "tanh", steps=(0, 4), state="diverged")
    assert "The first value that was not finite" in words(visit(run=run_id)).replace("; the", "; The")
    _, [going] = store.create([RunSpec.make(cell="tanh", gap=8).to_json()], ["going"])
    with store.writer(going) as writer:
        writer.begin(story(count=2)[0].facts, {"versions": {}})
        assert "running and has not kept any weights yet" in words(visit(run=going))
        writer.keep(0, WEIGHTS)
        app = visit(run=going)
        assert "It is still training" in words(app)
        assert not app.button(key="inspect").disabled


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"run": "r-0000000"}, "There is no run 'r-0000000' here"),
        ({"run": "../../etc/passwd"}, "There is no run"),
        ({"with": "'; DROP TABLE run; --"}, "There is no run"),
        (
            {"with": ",".join(f"r-{i}" for i in range(1200))},
            "with must name at most 29 runs, but got 1200; the first 29",
        ),
        ({"step": "-1"}, "step must be a whole number"),
        ({"step": "9" * 400}, "step must be a whole number"),
        ({"samples": "65"}, "samples must be a whole number from 1 to 64"),
        ({"samples": "٣"}, "samples must be a whole number"),
        ({"view": "nonsense"}, "view must be one of"),
        ({"parts": "everything"}, "parts must be of"),
        ({"layer": "\x00‮"}, "layer must be a whole number"),
    ],
)
def test_an_absurd_address_is_answered_with_a_sentence(
    visit: Visit, store: Store, params: dict[str, str], sentence: str
) -> None:
    kept(store, "tanh")
    app = visit(**params)
    assert sentence in words(app).replace("\\", "")
    assert not app.button(key="inspect").disabled


def test_what_cannot_be_asked_for_is_a_sentence(visit: Visit, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    [run_id] = kept(store, "tanh")

    def refuse(*_: object) -> None:
        raise StoreError("nothing can be computed for a store that is open for reading only")

    monkeypatch.setattr("ui.inspect.choosing.request", refuse)
    app = visit(run=run_id)
    app.button(key="inspect").click().run()
    assert "open for reading only" in words(app)


def test_the_lab_and_the_runs_page_lead_here(open_app: Open, store: Store, told: tuple[str, list[str]]) -> None:
    app = open_app(comparison=told[0])
    app.button(key="open-in-inspect").click().run()
    assert not app.exception
    assert app.selectbox(key="inspect-run").value == told[1][0]
    assert app.multiselect(key="inspect-with").value == told[1][1:]
    app.switch_page("ui/pages/runs.py")
    app.query_params["runs"] = ",".join(told[1][1:3])
    app.run()
    app.button(key="open-in-inspect").click().run()
    chosen = {app.selectbox(key="inspect-run").value, *app.multiselect(key="inspect-with").value}
    assert chosen == set(told[1][1:3])


def test_of_many_runs_the_lab_opens_as_many_as_the_page_shows_and_of_each_cell_before_more_seeds(
    open_app: Open, store: Store
) -> None:
    specs = [
        RunSpec.make(cell="gru", gap=8, steps=40, hidden=hidden, seed=seed).to_json()
        for hidden in range(8, 15)
        for seed in range(6)
    ]
    comparison, ids = store.create(specs, [f"run {n}" for n in range(42)], "seeds")
    app = open_app(comparison=comparison)
    assert "30 of these 42 runs" in app.button(key="open-in-inspect").help
    app.button(key="open-in-inspect").click().run()
    assert not app.exception
    lines = range(6)  # of seven settings, the first six: five seeds of each
    order = [ids[6 * line + seed] for seed in range(5) for line in lines]
    assert [app.selectbox(key="inspect-run").value, *app.multiselect(key="inspect-with").value] == order


def test_how_a_network_begins_follows_every_control(visit: Visit) -> None:
    app = visit(view="beginning")
    said = words(app)
    assert "**LSTM** below 1 % after" in said
    app.selectbox(key="beginning-init").set_value("orthogonal").run()
    app.selectbox(key="beginning-gate").set_value("bias").run()
    app.slider(key="beginning-bias").set_value(6.0).run()
    assert "**LSTM** above 1 % for all 99 steps" in words(app)
    app.select_slider(key="beginning-hidden").set_value(16).run()
    app.slider(key="beginning-timesteps").set_value(20).run()
    assert "of 19 steps" in words(app)
    app.segmented_control(key="beginning-compare").set_value("ways").run()
    said = words(app).replace("\\", "")
    for way in ("torch’s default", "orthogonal", "identity", "scaled by", "gate bias 6", "chrono"):
        assert f"{way}" in said
    assert not app.exception


def test_parts_can_be_left_out(visit: Visit, store: Store) -> None:
    [run_id] = kept(store, "tanh")
    app = visit(run=run_id, parts="states,theory")
    app.button(key="inspect").click().run()
    assert [one.asked.sections for one, _ in requests(store)] == [("states", "theory")]
    app.multiselect(key="inspect-parts").set_value([]).run()
    assert "Choose at least one part" in words(app)
    assert app.button(key="inspect").disabled
    assert set(app.multiselect(key="inspect-parts").options) == {name.replace("_", " ") for name in SECTIONS}


def test_a_run_that_cannot_be_looked_into_says_why_and_asks_for_nothing(store: Store, visit: Visit) -> None:
    (run_id,) = kept(store, "tanh", task="order", model="bag")
    app = visit(run=run_id)
    assert "this run has none: its model is bag of words." in words(app).replace("\\", "")
    assert app.button(key="inspect").disabled
    assert requests(store) == []
    (beside,) = kept(store, "gru")
    app = visit(run=beside, **{"with": run_id})
    assert "its model is bag of words." in words(app).replace("\\", "")
    assert not app.button(key="inspect").disabled
    with pytest.raises(StoreError, match="Inspect looks into recurrences, but this run has none"):
        request(store, run_id, 20, Asked(samples=1))


def test_the_report_of_the_lab_holds_what_was_found(
    open_app: Open, store: Store, told: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    monkeypatch.setattr("ui.exports.comparison_exports", lambda title, report, *rest, **more: made.append(report))
    answered(store, told[1][0])
    open_app(comparison=told[0])
    text = made[-1]().decode()
    assert "tanh, after 40 updates" in text
    assert 'data-figure="theory-step-40"' in text
