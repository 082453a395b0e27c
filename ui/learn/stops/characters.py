"""The character language model: "hello" target by target, any text, one-hot against an embedding, and writing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from diagnostics.charts import next_probabilities
from diagnostics.charts.success_along import last_success
from diagnostics.records import Array
from diagnostics.store import StoreError
from experiments.spec import Refusal, RunSpec
from models import inference
from models.cells import CELLS
from tasks.characters import MOST_CHARACTERS, alphabet, checked, decode, named
from tasks.text import HELLO, Text, overhead
from ui.learn import ask, columns, writing
from ui.learn.panels import chart
from ui.learn.rhyme import rhyme
from ui.learn.stop import Prediction, Seen, Stop, Values
from ui.words import markdown, number, percent

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from diagnostics.records import Run

SLUG = "characters"
SOURCES = {"hello": "hello", "rhyme": "A nursery rhyme", "own": "Your own"}
OFFERED = ("tanh", "gru", "lstm")
ENTER = {"onehot": "One-hot", "embedding": "Embedding"}
USUAL: Mapping[str, Any] = {"source": "hello", "text": "", "cell": "tanh", "inputs": "onehot"}
SHORT, LEAST = 12, 3
"""Up to so many characters are learned by a very small net; fewer than the least have no window."""
LARGEST_FILE_MB = 5
_SMALL = {"hidden": 8, "embedding": 4, "batch": 8, "steps": 150, "learning_rate": 0.02}
_LARGE = {"hidden": 64, "embedding": 16, "batch": 32, "steps": 400, "learning_rate": 0.01}
_LONGEST_GAP = 30
_ALL, _MORE = 0.995, 0.02
_FILE, _SAID = f"learn-{SLUG}-file", f"learn-{SLUG}-said"
_SHOWN = 40


def controls() -> Values:
    """The text, the cell and how characters enter."""
    source = ask.choice(SLUG, "source", "Text", SOURCES, USUAL["source"])
    values = {
        "source": source,
        "text": "",
        "cell": ask.choice(SLUG, "cell", "Cell", {cell: CELLS[cell].title for cell in OFFERED}, USUAL["cell"]),
        "inputs": ask.choice(SLUG, "inputs", "Characters enter", ENTER, USUAL["inputs"]),
    }
    if source == "own":
        values["text"] = _own_text()
    return values


def _own_text() -> str:
    """A text that is pasted, or uploaded into the same place."""
    with st.container(key=f"learn-{SLUG}-own", width=520):
        text = ask.text(SLUG, "text", "Paste a text, of 3 to 20,000 characters", "", MOST_CHARACTERS, area=True)
        st.file_uploader(
            "Or upload a text file (UTF-8, or UTF-16 with its mark)", key=_FILE, on_change=_uploaded,
            max_upload_size=LARGEST_FILE_MB,
        )  # fmt: skip
        if said := st.session_state.get(_SAID):
            (st.error if said[0] else st.caption)(said[1])
    return text


def _uploaded() -> None:
    """Put what a file says where a text is pasted; say what was wrong with it, or that it was cut."""
    file = st.session_state.get(_FILE)
    st.session_state.pop(_SAID, None)
    if file is None:
        return
    try:
        text = decode(file.getvalue()).replace("\r\n", "\n").replace("\r", "\n")
    except ValueError as error:
        st.session_state[_SAID] = (True, f"{markdown(str(error)[0].upper() + str(error)[1:])}.")
        return
    if len(text) > MOST_CHARACTERS:
        cut = f"The file has {len(text):,} characters; the first {MOST_CHARACTERS:,} are taken."
        st.session_state[_SAID] = (False, cut)
    st.session_state[ask.key(SLUG, "text")] = text[:MOST_CHARACTERS]


def text_of(values: Values) -> str:
    """The text that is asked for."""
    return {"hello": HELLO, "rhyme": rhyme()}.get(values["source"], str(values["text"]))


def specs(values: Values) -> list[RunSpec]:
    """One network on the text, small where the text is short."""
    try:
        text = checked(text_of(values))
    except ValueError as error:
        raise Refusal(str(error)) from None
    if len(text) < LEAST:
        raise Refusal(f"text must have at least {LEAST} characters, but got {len(text)}")
    sizes = _SMALL if len(text) <= SHORT else _LARGE
    gap = min(_LONGEST_GAP, len(text) - 2)
    return [
        RunSpec.make(task="text", text=text, gap=gap, cell=values["cell"], inputs=values["inputs"], eval_every=10,
                     record_every=5, **sizes)
    ]  # fmt: skip


def before(values: Values) -> None:
    """What is asked: of a short text every target, of a longer one how it begins."""
    try:
        text = checked(text_of(values))
    except ValueError:
        return  # said where the runs are asked for
    different = alphabet(text)
    if len(text) <= SHORT:
        asked = " · ".join(
            f"given “{_markdown(text[: i + 1])}” predict **{_markdown(text[i + 1])}**" for i in range(len(text) - 1)
        )
        st.markdown(f"Over [{', '.join(_markdown(c) for c in different)}]: {asked}")
        return
    st.caption(f"{len(text):,} characters, {len(different)} different ones; it begins:")
    st.code(text[:160] + ("…" if len(text) > 160 else ""), language=None, wrap_lines=True)


def _markdown(text: str) -> str:
    return markdown("".join(named(character) for character in text))


# What came out


def answer(values: Values, runs: Sequence[Run]) -> int:
    """No more than the table, more but not all, all."""
    success, table = last_success(runs[0]), _table(runs[0])[1]
    if success >= _ALL:
        return 2
    return 1 if success > table + _MORE else 0


def _table(run: Run) -> tuple[float, float]:
    """Loss and success of the table of pairs on what the run was measured on."""
    return _pairs(str(run.spec["text"]), int(run.spec["gap"]))


@lru_cache(maxsize=8)
def _pairs(text: str, gap: int) -> tuple[float, float]:
    return Text(gap, overhead(gap), "many-to-many", text).pairs


def _last_loss(run: Run) -> float:
    losses = run.records["eval_loss"]
    return float(losses[-1]) if len(losses) else math.nan


def why(values: Values, runs: Sequence[Run]) -> str:
    """Both successes, and what the table cannot do."""
    run = runs[0]
    said = f"The network: {percent(last_success(run))} right; the table: {percent(_table(run)[1])}."
    if run.spec["text"] == HELLO:
        said += " After “l” come both “l” and “o”: from the newest character alone nobody can tell which."
    return said


def seen(values: Values, runs: Sequence[Run]) -> list[str]:
    """Loss, perplexity, and what success was measured on."""
    run = runs[0]
    loss, table = _last_loss(run), _table(run)[0]
    where = run.facts.success_name.removeprefix("accuracy on ") if run.facts is not None else "the text"
    said = [
        f"Success is measured on **{where}**."
        + (
            " It is too short to keep a part out, so this is what was memorised."
            if "kept-out" not in where
            else " Every line of it stands before it, too: a rhyme that repeats itself has nothing new to keep out."
            if run.spec["text"] == rhyme()
            else ""
        ),
        f"The loss went down to {number(loss, 3)} nats per character, a perplexity of {number(_perplexity(loss), 3)}: "
        f"it is as unsure as among so many equally likely characters. The table of pairs gives {number(table, 3)} and "
        f"{number(_perplexity(table), 3)}; knowing nothing, below, is to say the commonest character always.",
    ]
    if loss > table:
        said.append(
            "The table does better here: the network has learned its text too well to say another, or too little."
        )
    return said


def _perplexity(loss: float) -> float:
    return math.exp(min(loss, 700.0))


# The panels


def own(values: Values, seen: Sequence[Seen]) -> None:
    """What is expected next, how a character enters, and writing."""
    one = seen[0]
    try:
        weights = one.weights(None)
    except StoreError:
        st.caption("As soon as the network has kept its first weights, it can be tried here.")
        return
    text, cell = str(one.run.spec["text"]), str(one.run.spec["cell"])
    characters = alphabet(text)
    version = (one.run.id, one.run.state, float(weights["head.bias"].sum()))
    with st.container(key=f"learn-{SLUG}-expected"):
        _expected(cell, weights, text, characters, version, int(one.run.spec["gap"]) + 1)
    writing.panel(SLUG, cell, weights, text, version)
    columns.panel(SLUG, weights, characters)


def expected(cell: str, weights: Mapping[str, Array], text: str, characters: Sequence[str]) -> Array:
    """What the network expects after each character of ``text``, read from the zero state: [len(text), V]."""
    words = np.array([characters.index(character) for character in text])[:, None]
    h, _ = inference.run(cell, weights, inference.entered(weights, words))
    return inference.softmax(inference.scores(weights, h[:, 0]))


def _expected(
    cell: str, weights: Mapping[str, Array], text: str, characters: Sequence[str], version: object, T: int
) -> None:
    window = text[: min(T, _SHOWN, len(text) - 1) + 1]
    p = expected(cell, weights, window[:-1], characters)
    names = [named(character) for character in characters]
    title = "Target by target: what is expected after each character"

    def make(theme: str, size: str) -> tuple[go.Figure, str]:
        prepared = next_probabilities.prepare(
            [named(character) for character in window[:-1]],
            p,
            [characters.index(character) for character in window[1:]],
            names,
            title=title,
            meaning="the target, which is read next",
            caption="the last weights, from the zero state",
        )
        return next_probabilities.draw(prepared, theme=theme, size=size), next_probabilities.describe(prepared)  # type: ignore[arg-type]

    chart(
        SLUG,
        "expected",
        title,
        "Each column is a timestep: below it the character that is read, above that the probability of each that may "
        "follow. The ring is the one that does follow. Two columns that read the same character and expect different "
        "ones are told apart by the state alone.",
        version,
        make,
    )
    if said := same_but_different(window, p, characters):
        st.markdown(said)


def same_but_different(window: str, p: Array, characters: Sequence[str]) -> str:
    """The first two places of a text that read the same character and go on differently, in a sentence."""
    for later in range(len(window) - 1):
        for earlier in range(later):
            if window[earlier] == window[later] and window[earlier + 1] != window[later + 1]:
                said = [
                    f"after “{_markdown(window[max(0, i - 11) : i + 1])}” it expects “{_markdown(window[i + 1])}” with "
                    f"{percent(float(p[i, characters.index(window[i + 1])]))}"
                    for i in (earlier, later)
                ]
                return (
                    f"The newest character is “{_markdown(window[later])}” both times: {said[0]}, {said[1]}. What "
                    "tells them apart is the state."
                )
    return ""


STOP = Stop(
    slug=SLUG,
    title="Characters",
    question="Given the characters so far, which is next? And what is written when the answer is read again?",
    text=(
        "The network reads a text character by character and says after each one how likely every other is to follow. "
        "The targets are the text itself, one place on: nobody has to label anything. In “hello” the last two "
        "targets both come after an “l”, yet one is “l” and the other “o”. Once trained, it can **write**: "
        "draw a character from its probabilities, read it, draw the next. The temperature says how boldly. Try the "
        "word, a rhyme in which every verse repeats those before, or a text of your own, which is kept with its run "
        "alone."
    ),
    equation=(
        r"\begin{gathered} h_t = f(W_{hh}\,h_{t-1} + W_{xh}\,e_{x_t}) \\ "
        r"p(x_{t+1} \mid x_1 \dots x_t) = \operatorname{softmax}\!\left(\tfrac{1}{\tau}\,W_{hy}\,h_t\right) "
        r"\end{gathered}"
    ),
    letters=(
        r"$x_t$ the character at step $t$; $e_{x_t}$ its one-hot vector, so that $W_{xh}\,e_{x_t}$ is one column of "
        r"$W_{xh}$; $h_t$ state; $f$ the cell; $W_{hy}$ reads a score for each character off it; $\tau$ the "
        r"temperature, 1 in training. Loss: $-\ln p$ of the character that does follow, on average."
    ),
    usual=USUAL,
    controls=controls,
    specs=specs,
    prediction=Prediction(
        "A table of which character follows which knows the newest character and nothing before it. Of the next "
        "characters, how many will the trained network get right?",
        ("No more than the table", "More than the table, but not all", "All of them"),
        answer,
        why,
    ),
    seen=seen,
    figures=("ribbon", "learning"),
    own=own,
    before=before,
    example_weights=True,
)
