"""The stop on the character language model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from diagnostics.records import Run
from experiments.spec import Refusal, RunSpec
from experiments.train import train
from models.generate import generate
from tasks.characters import MOST_CHARACTERS, alphabet
from tests.diagnostics.charts.samples import facts_of, powers, run_of
from tests.ui.conftest import words
from tests.ui.learn.conftest import Learn, predict
from ui.learn import columns, examples, writing
from ui.learn.rhyme import rhyme
from ui.learn.stops import characters as stop

torch.set_num_threads(1)
SLUG = "characters"
HELLO = ("h", "e", "l", "o")
Weights = Mapping[str, np.ndarray]


class Kept:
    """A recorder that remembers the last weights."""

    weights: Weights

    def begin(self, facts: object, info: object) -> None: ...

    def add(self, columns: object) -> None: ...

    def keep(self, step: int, weights: Weights, update_ratio: object) -> None:
        self.weights = weights

    def stop_requested(self) -> bool:
        return False


@cache
def learned(seed: int = 0, **changes: str) -> tuple[Weights, float, RunSpec]:
    """The weights, the last success and the spec of what the stop trains."""
    (spec,) = stop.specs({**stop.USUAL, **changes})
    spec, kept = spec.changed(seed=seed), Kept()
    success = train(spec, kept).success
    return kept.weights, success, spec


# What the stop claims, on trained networks


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("cell", "inputs"), [("tanh", "onehot"), ("tanh", "embedding"), ("gru", "onehot"),
                                              ("lstm", "onehot")])  # fmt: skip
def test_hello_is_learned_target_by_target_and_the_two_ls_need_the_state(cell: str, inputs: str, seed: int) -> None:
    weights, success, _ = learned(seed, cell=cell, inputs=inputs)
    assert success == 1
    p = stop.expected(cell, weights, "hell", HELLO)
    for step, target in enumerate("ello"):
        assert p[step, HELLO.index(target)] > 0.9
    # each character read on its own, from the zero state: both l's get one and the same answer, so one of them is wrong
    alone = np.concatenate([stop.expected(cell, weights, character, HELLO) for character in "hell"])
    assert np.array_equal(alone[2], alone[3])
    right = [int(alone[step].argmax()) == HELLO.index(target) for step, target in enumerate("ello")]
    assert sum(right) <= 3


def test_of_a_rhyme_more_is_learned_than_a_table_of_pairs_knows() -> None:
    weights, success, _ = learned(source="rhyme", cell="gru")
    assert success > 0.85  # the table: under a half
    text = rhyme()
    p = stop.expected("gru", weights, text[:400], alphabet(text))
    assert np.isfinite(p).all()
    made = generate("gru", weights, [alphabet(text).index(c) for c in "This is the "], 120, temperature=0.2, seed=1)
    written = "".join(alphabet(text)[word] for word in made.words)
    assert sum(word in text.split() for word in written.split()) > 0.8 * len(written.split())


@pytest.mark.parametrize("inputs", ["onehot", "embedding"])
def test_an_entering_character_is_a_column(inputs: str) -> None:
    weights, _, _ = learned(inputs=inputs)
    found = columns.columns(weights)
    assert found.table.shape == (8, 4)
    assert found.apart == 0 if inputs == "onehot" else found.apart < 1e-12
    # and the network that is given the columns themselves, one-hot, expects the same
    one_hot = {name: value for name, value in weights.items() if name != "embedding.weight"}
    one_hot["recurrent.layers.0.weight_ih"] = found.table
    a, b = (stop.expected("tanh", given, "hell", HELLO) for given in (weights, one_hot))
    assert np.abs(a - b).max() < 1e-12


# Specs and texts


def test_what_is_trained() -> None:
    (small,) = stop.specs(stop.USUAL)
    assert (small.task, small.text, small.gap, small.timesteps, small.hidden) == ("text", "hello", 3, 4, 8)
    (large,) = stop.specs({**stop.USUAL, "source": "own", "text": "one two three four five six seven"})
    assert (large.gap, large.hidden) == (30, 64)
    (least,) = stop.specs({**stop.USUAL, "source": "own", "text": "abc"})
    assert least.gap == 1
    assert len(rhyme()) > 2000  # so that a tenth of it is kept out
    assert rhyme().endswith("the malt that lay in\nthe house that Jack built.")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "at least 2 different characters, but got an empty text"),
        ("aaaa", "at least 2 different characters, but got only a"),
        ("ab", "at least 3 characters, but got 2"),
        ("a\x00b", "control characters such as U"),
        ("ab" * MOST_CHARACTERS, "at most 20,000 characters, but got 40,000"),
        ("".join(chr(0x4E00 + i) for i in range(300)), "at most 256 different characters"),
    ],
)
def test_absurd_text_is_refused_in_a_sentence_and_cannot_be_run(text: str, said: str, learn: Learn) -> None:
    values = {**stop.USUAL, "source": "own", "text": text}
    with pytest.raises(Refusal, match=said):
        stop.specs(values)
    if len(text) > MOST_CHARACTERS or "\0" in text:
        return  # which a text area does not take
    app = learn(SLUG, source="own")
    app.text_area(key=f"learn-{SLUG}-text").set_value(text).run()
    assert any(said.split(",")[0] in one.value.replace("\\", "") for one in app.error)
    assert not app.exception


def test_an_uploaded_file_becomes_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    class File:
        def __init__(self, data: bytes) -> None:
            self.data = data

        def getvalue(self) -> bytes:
            return self.data

    state: dict[str, object] = {}
    monkeypatch.setattr(stop.st, "session_state", state)

    def given(data: bytes) -> tuple[bool, str] | None:
        state[stop._FILE] = File(data)
        stop._uploaded()
        return state.get(stop._SAID)  # type: ignore[return-value]

    assert given("\ufeffGrüße\r\nan alle".encode("utf-16")) is None
    assert str(state[f"learn-{SLUG}-text"]).endswith("Grüße\nan alle")
    bad = given(b"\xff\xd8\xff\xe0 a picture")
    assert bad is not None
    assert bad[0]
    assert "must be text in UTF" in bad[1]
    cut = given(b"ab" * 30_000)
    assert cut is not None
    assert not cut[0]
    assert "60,000 characters; the first 20,000 are taken" in cut[1]
    assert len(str(state[f"learn-{SLUG}-text"])) == MOST_CHARACTERS
    state[stop._FILE] = None
    stop._uploaded()
    assert stop._SAID not in state


# What came out


def came(success: float, text: str) -> Run:
    facts = replace(facts_of(4, 3), success_name="accuracy on the text itself")
    return run_of(
        powers(0.9, 3, count=2),
        facts=facts,
        spec={"text": text, "cell": "tanh", "gap": 3},
        success=(0.5, success),
    )


@pytest.mark.parametrize(
    ("success", "text", "table", "place"),
    [(1.0, "hello", "75 %", 2), (0.9, "hello", "75 %", 1), (0.76, "hello", "75 %", 0), (0.2, "hello", "75 %", 0),
     (1.0, "abababab", "100 %", 2)],
)  # fmt: skip
def test_the_answer(success: float, text: str, table: str, place: int) -> None:
    run = came(success, text)
    assert stop.answer(stop.USUAL, [run]) == place
    assert f"the table: {table}" in stop.why(stop.USUAL, [run])
    assert "the text itself" in stop.seen(stop.USUAL, [run])[0]


def test_the_sentence_of_two_places_that_read_the_same() -> None:
    p = np.full((4, 4), 0.1)
    p[2, 2], p[3, 3] = 0.7, 0.8
    said = stop.same_but_different("hello", p, HELLO)
    assert "after “hel” it expects “l” with 70 %, after “hell” it expects “o” with 80 %" in said
    assert stop.same_but_different("abab", np.full((3, 2), 0.5), ("a", "b")) == ""


# The page, of the recorded example


def test_the_example_writes_and_shows_its_columns(learn: Learn) -> None:
    app = predict(learn(SLUG), SLUG, 2)
    said = words(app)
    assert "The newest character is “l” both times" in said
    assert "column 1 and nothing else" in said
    assert app.get("code")[0].value == "hello"
    assert not app.warning
    before = [e.value for e in app.get("latex")][-1]
    app.selectbox(key=f"learn-{SLUG}-character").set_value(3).run()
    assert "e_{4}" in [e.value for e in app.get("latex")][-1] != before


def test_the_same_seed_writes_the_same_and_temperature_changes_it(learn: Learn) -> None:
    app = predict(learn(SLUG), SLUG, 2)

    def written(seed: int, temperature: float) -> str:
        app.number_input(key=f"learn-{SLUG}-count-4-4").set_value(60)
        app.number_input(key=f"learn-{SLUG}-seed").set_value(seed)
        app.select_slider(key=f"learn-{SLUG}-temperature").set_value(temperature).run()
        assert not app.exception
        assert "never told" in words(app)
        return str(app.get("code")[0].value)

    one, other, again, hot = written(1, 1.0), written(2, 1.0), written(1, 1.0), written(1, 3.0)
    assert one == again
    assert one.startswith("hello")
    assert len(one) == 61
    assert one not in (other, hot)


@pytest.mark.parametrize(("begin", "said"), [("", "at least one character"), ("xyz", "but x is not among them"),
                                             ("h l", "but ␣ is not among them")])  # fmt: skip
def test_a_beginning_that_cannot_be_read_is_said(learn: Learn, begin: str, said: str) -> None:
    app = predict(learn(SLUG), SLUG, 2)
    app.text_input(key=f"learn-{SLUG}-begin-4-4").set_value(begin).run()
    assert any(said in one.value for one in app.error)
    assert not app.exception
    assert "column 1 and nothing else" in words(app)  # the rest of the page stands


def test_a_network_that_answers_nothing_finite_says_so() -> None:
    (one,) = examples.seen(SLUG)
    weights = {**one.weights(None), "head.bias": np.full(4, np.nan, dtype=np.float32)}
    made = generate("tanh", weights, [0], 5)
    assert made.stopped
    prepared = writing._prepared("h", made, HELLO, 1.0)
    assert prepared.nothing


def test_own_text_with_markup_is_shown_as_it_is(learn: Learn) -> None:
    app = learn(SLUG, source="own")
    app.text_area(key=f"learn-{SLUG}-text").set_value("<b>$x$*").run()
    assert not app.exception
    assert "\\<" in words(app)


def test_the_equation_shows_the_columns_around_the_character() -> None:
    table = np.arange(60.0).reshape(3, 20)
    found = columns.Columns(table, table, embedded=False)
    for k in (0, 9, 19):
        latex = columns.equation(found, k)
        assert latex.count("1\\\\") + latex.count("1\\end") >= 1
        assert rf"\text{{column }} {k + 1}" in latex
    assert columns.equation(found, 9).count(r"\cdots") == 6
