"""The page Your model without a browser, and watched runs on every other page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from diagnostics.store import Store
from tests.ui import watched
from tests.ui.conftest import Open, words
from ui.your_model import lines

PAGE = "ui/pages/your_model.py"
Told = tuple[str, list[str]]


def no_numbers(page: AppTest | str) -> list[str]:
    """The places, each with what stands around it, where a number that is none was printed as one."""
    text = page if isinstance(page, str) else "\n".join(str(one.proto.body) for one in page.get("html"))
    # How to read a figure says what its marks for nan mean.
    text = re.sub(r"<(script|style|figcaption).*?</\1>|<[^>]*>", " ", text, flags=re.S)
    return [text[max(0, m.start() - 60) : m.end() + 20] for m in re.finditer(r"\b(nan|None|inf)\b", text)]


@pytest.fixture(autouse=True)
def let_go() -> Iterator[None]:
    """Runs that are left growing end with the test."""
    yield
    while watched.HELD:
        watched.HELD.pop().finish("finished")


@pytest.fixture
def your_model(open_app: Open) -> Callable[..., AppTest]:
    """Open the page at an address."""

    def opened(**params: str) -> AppTest:
        app = open_app()
        app.switch_page(PAGE)
        for name, value in params.items():
            app.query_params[name] = value
        app.run()
        assert not app.exception, app.exception
        return app

    return opened


def figures(app: AppTest) -> str:
    return " ".join(app.session_state["drawn"]) if "drawn" in app.session_state else ""


def test_without_a_run_it_says_what_to_do_next(your_model, store: Store) -> None:
    app = your_model()
    assert "Nothing has been watched yet" in words(app)
    code = [block.value for block in app.code]
    assert lines.PLAIN in code
    assert lines.LIGHTNING in code
    assert lines.TRANSFORMERS in code
    assert any(str(store.path) in block for block in code)


def test_the_newest_training_is_shown_and_the_lab_s_figures_that_apply(your_model, store: Store) -> None:
    watched.watched_run(store, "old · encoder")
    ids = watched.comparison_of(
        store, [{"name": "nmt · encoder", "decay": 0.9}, {"name": "nmt · decoder", "cell": "LayerNormLSTM"}]
    )
    app = your_model()
    said = words(app)
    assert list(app.dataframe[0].value["Name"]) == ["nmt · decoder", "nmt · encoder", "old · encoder"]
    assert said.count('class="verdict-row"') == 2
    assert "Reaches" in said
    assert "Fades" in said
    assert "figure-profile-" in figures(app)
    assert "figure-clipping-" in figures(app)
    assert "figure-learning-" not in figures(app)
    assert not no_numbers(app)
    assert "watched" not in app.query_params
    assert not app.warning
    assert [row.id for row in store.runs()][1::-1] == ids


def test_a_loss_that_was_told_is_drawn(your_model, store: Store) -> None:
    watched.watched_run(store, loss=True)
    app = your_model()
    assert "figure-learning-" in figures(app)
    assert "<small>loss</small>0.204<" in words(app)


def test_of_watched_runs_alone_no_word_is_false(your_model, store: Store, told: Told) -> None:
    run_id = watched.watched_run(store, loss=True)
    watched.watched_run(store, "silent")

    def said(app: AppTest) -> str:
        drawn = " ".join(str(message) for _, message in app.session_state["drawn"].values())
        labels = [str(getattr(block, "label", "")) for block in (*app.get("slider"), *app.get("selectbox"))]
        options = [option for box in app.selectbox for option in box.options]
        return re.sub(r"<style.*?</style>", "", " ".join([words(app), drawn, *labels, *options]), flags=re.S)

    false = re.compile(
        r"\b(success|chance|seeds?|epochs?|knowing nothing|the task|the word|the sentence|Which words)\b"
    )
    alone = said(your_model(watched=run_id))
    assert not false.findall(alone), [alone[max(0, m.start() - 60) : m.end() + 30] for m in false.finditer(alone)]
    assert "<small>loss</small>–<" in words(your_model())
    assert "Which words can the network" in said(your_model(watched=run_id, **{"with": told[1][0]}))


def test_the_table_says_no_number_of_steps_that_has_grown_since(your_model, store: Store) -> None:
    watched.watched_run(store, "ended")
    watched.watched_run(store, "going", state="running")
    steps = your_model().dataframe[0].value.set_index("Name")["Steps"]
    assert steps["ended"] == 40
    assert steps.isna()["going"]


def test_a_link_chooses_runs_and_the_lab_s_lie_beside_them(your_model, store: Store, told: Told) -> None:
    run_id = watched.watched_run(store)
    watched.watched_run(store, "newer")
    app = your_model(watched=run_id, **{"with": told[1][0]})
    said = words(app)
    assert said.count('class="verdict-row"') == 2
    assert "my run · encoder" in said
    assert list(app.dataframe[0].value["Name"]) == ["my run · encoder", "newer"]  # what the link came with stands first
    assert app.multiselect(key="your-model-beside").value == [told[1][0]]
    app.multiselect(key="your-model-beside").set_value(told[1][:2]).run()
    assert words(app).count('class="verdict-row"') == 3
    assert "figure-learning-" in figures(app)  # the Lab's runs have a loss
    assert not app.exception


def test_both_go_to_runs(your_model, store: Store, told: Told) -> None:
    run_id = watched.watched_run(store)
    app = your_model(watched=run_id, **{"with": told[1][0]})
    app.button(key="open-in-runs").click().run()
    assert not app.exception
    assert set(app.session_state["runs"]) == {told[1][0], run_id}


def test_what_is_known_of_the_numbers_is_said(your_model, store: Store) -> None:
    info = {
        "torch": "2.13.0",
        "watched": {
            "covered": ["encoder: torch.nn.LSTM, exact.", "attention is not watched: it has no recurrence."],
            "self_check": {"encoder.weight_hh_l0": 3e-8},
            "overhead": {"sentence": "Watching took 4 % of the time."},
            "micro_steps": 4,
            "events": [{"kind": "exploding", "sentence": "Exploding at step 12."}],
        },
    }
    watched.watched_run(store, info=info, watched={"cuts": [10, 20]})
    said = words(your_model()).replace("\\", "")
    for expected in (
        "attention is not watched: it has no recurrence.",
        "but for a relative 3·10⁻⁸",
        "Watching took 4 % of the time.",
        "4 backward passes to an update",
        "which is undone",
        "norms before and after are both recorded",
        "detached before timesteps 10, 20",
        "Exploding at step 12.",
    ):
        assert expected in said, expected


def test_a_run_that_grows_is_live_and_only_its_recording_can_be_stopped(your_model, store: Store) -> None:
    run_id = watched.watched_run(store, state="running")
    app = your_model()
    assert "watching" in words(app)
    assert [button.label for button in app.button if "Stop" in button.label] == [r"Stop recording my run · encoder"]
    app.button(key=f"stop-{run_id}").click().run()
    assert store.row(run_id).stop_requested


def test_what_an_address_cannot_mean_is_said(your_model, store: Store) -> None:
    app = your_model(view="nonsense")
    assert "view must be one of runs, attach, checkpoint, but got 'nonsense'" in words(app)


# Every other page


@pytest.fixture
def everything(store: Store) -> list[str]:
    """Watched runs of every kind: without a loss, with one, with a cell of somebody's own, clipped who knows how."""
    ids = watched.comparison_of(
        store,
        [
            {"name": "nmt · encoder →", "decay": 0.9},
            {"name": "nmt · encoder ←", "decay": 0.7, "watched": {"direction": "reverse"}},
            {"name": "nmt · decoder", "cell": "<b>LayerNormLSTM</b>", "layers": 1, "watched": {"cuts": [10]}},
        ],
    )
    ids.append(watched.watched_run(store, "with loss", loss=True, cell="tanh", clip="none"))
    ids.append(watched.watched_run(store, "by hand", cell="Zoneout", clip="", decay=1.3))
    return ids


def test_runs_lists_and_shows_them(open_app: Open, store: Store, everything: list[str], told: Told) -> None:
    app = open_app()
    app.switch_page("ui/pages/runs.py")
    app.query_params["runs"] = ",".join([*everything, told[1][0]])
    app.run()
    assert not app.exception
    table = app.dataframe[0].value.set_index("name")
    assert table.loc["by hand", "task"] == "Your model"
    assert table.loc["by hand", "steps"] == "40"
    assert table.loc["nmt · decoder", "cell"] == "<b>LayerNormLSTM</b>"
    for name in ("gap", "success", "seed"):
        assert table[name].isna()["by hand"]
    said = words(app)
    assert said.count('class="verdict-row"') == 6
    assert not no_numbers(app)
    assert "<b>LayerNormLSTM" not in said
    app.multiselect(key="filter-task").set_value(["Your model"]).run()
    app.multiselect(key="filter-cell").set_value(["Zoneout"]).run()
    assert list(app.dataframe[0].value["name"]) == ["by hand"]


def clipping(open_app: Open, run_ids: list[str]) -> AppTest:
    app = open_app()
    app.switch_page("ui/pages/clipping.py")
    app.query_params["runs"] = ",".join(run_ids)
    app.run()
    assert not app.exception
    return app


def test_clipping_asks_their_norms(open_app: Open, everything: list[str]) -> None:
    app = clipping(open_app, everything)
    said = words(app)
    assert "with loss" in said
    assert not no_numbers(app)


def test_clipping_asks_the_parts_of_one_model_once(open_app: Open, store: Store) -> None:
    ids = watched.comparison_of(store, [{"name": "my run · encoder"}, {"name": "my run · decoder"}])
    said = words(clipping(open_app, ids))
    assert "Parts of one model share the gradient that is clipped" in said
    assert said.count('<th scope="row">') == 1
    assert said.count("Clipping by norm at 1 engaged on") == 1


def test_inspect_says_why_it_cannot_look_into_them(open_app: Open, everything: list[str]) -> None:
    app = open_app()
    app.switch_page("ui/pages/inspect.py")
    app.query_params["run"] = everything[0]
    app.run()
    assert not app.exception
    assert "the weights of a watched model are not kept" in words(app)
    assert app.button(key="inspect").disabled
    assert app.button(key="inspect-open-in-your-model")


def test_inspect_chooses_what_it_can_look_into(open_app: Open, told: Told, everything: list[str]) -> None:
    app = open_app("ui/pages/inspect.py")
    assert app.selectbox(key="inspect-run").value in told[1]


def test_the_lab_shows_their_comparison(open_app: Open, store: Store, everything: list[str]) -> None:
    app = open_app(comparison=store.row(everything[0]).comparison)
    said = words(app)
    assert said.count('class="verdict-row"') == 3
    assert not any("Seeds" in str(getattr(block, "label", "")) for block in app.get("popover"))
    assert not no_numbers(app)


def test_reports_and_bundles_hold_them(store: Store, everything: list[str], tmp_path: Path) -> None:
    from diagnostics.export.bundle import bundle_bytes
    from diagnostics.export.report import report_html
    from experiments.bundle import import_bundle

    runs = [store.read(run_id) for run_id in everything]
    text = report_html(runs)
    assert not no_numbers(text)
    assert "The task" not in text
    assert "Knowing nothing" not in text
    shown = re.sub(r"<(script|style).*?</\1>", " ", text, flags=re.S)
    assert not re.findall(r"(?i)success|by chance|\bseeds?\b|\bepochs?\b|Which words|the word\b", shown)
    assert "Which timesteps can the network still learn from?" in shown
    assert "where nobody said which it is, at the farthest timestep" in shown
    assert "how far back does the gradient of the loss come?" in shown
    bundle = bundle_bytes(store, everything, images=())
    other = Store.open(tmp_path / "other")
    assert len(import_bundle(bundle, other).imported) == 5
    assert not other.check()
    assert import_bundle(bundle, other).imported == {}


@pytest.mark.parametrize("command", ["list", "show", "clip", "inspect"])
def test_the_command_line_prints_no_nan(command: str, store: Store, everything: list[str], capsys) -> None:
    from experiments.cli import main

    for run_id in everything if command != "list" else [""]:
        status = main([command, *filter(None, [run_id]), "--store", str(store.path)])
        said = capsys.readouterr()
        assert status == (2 if command == "inspect" else 0), said
        assert not no_numbers(said.out + said.err)
        assert "success" not in said.out or command == "list"
    if command == "inspect":
        assert "the weights of a watched model are not kept" in said.err


def test_a_stranger_s_watched_spec_is_checked() -> None:
    from experiments.spec import Refusal
    from experiments.watched import check

    good = watched.spec()
    check(good)
    for wrong, why in (
        ({"layers": -1}, "layers must be a whole number from 0, but got -1"),
        ({"cell": 3}, "cell must be text"),
        ({"cell": "x" * 400}, "must have at most 300 characters"),
        ({"more": {"deep": 1}}, "'more' must be a number or text"),
        ({"watched": {**good["watched"], "cuts": ["a"]}}, "cuts must be"),
        ({f"k{i}": 0 for i in range(50)}, "at most 40 settings"),
    ):
        with pytest.raises(Refusal, match=why):
            check({**good, **wrong})
