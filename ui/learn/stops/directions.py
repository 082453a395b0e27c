"""Reading in both directions: names that only what follows tells, and what one answer hears from either side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

import tasks
from diagnostics.charts import along_words
from diagnostics.charts.along_words import Told
from diagnostics.charts.palette import ThemeName
from diagnostics.charts.success_along import last_success
from diagnostics.store import StoreError
from experiments.spec import RunSpec
from models import tagging
from models.cells import CELLS
from tasks.entities import AMBIGUOUS, FUTURE, NONE, TAGS
from tasks.typed import typed
from ui.learn import ask
from ui.learn.panels import chart
from ui.learn.stop import Prediction, Seen, Stop, Values
from ui.learn.tagged import Cell, table
from ui.words import markdown, number, percent

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from diagnostics.charts.frame import SizeName
    from diagnostics.records import Array, Run

SLUG = "directions"
GAPS = (1, 4, 8)
OFFERED = ("tanh", "gru", "lstm")
USUAL: Mapping[str, Any] = {"gap": 4, "cell": "gru"}
_SMALL = {"hidden": 24, "embedding": 16, "batch": 32, "steps": 300, "learning_rate": 6e-3, "record_every": 10}
LEARNED = 0.9
MOST_WORDS = 40
MOST_CHARACTERS = 300
AT_GAP = {
    1: "Jordan lives in Jordan.",
    4: "They know that Jordan, indeed, lives in Jordan.",
    8: "They know that Jordan, dear to the young baker, lives in Jordan.",
}
"""A sentence like those that the networks were trained on."""
SENTENCES = (
    "Paris says hello.",
    "Paris lies near Jordan.",
    "David Clark lives in Munich DE.",
    "We hear that Florence, again, borders the sea.",
)
_DECIDERS = {word for deciders in FUTURE.values() for word in deciders}


def controls() -> Values:
    """How far ahead it is decided, and the cell."""
    ahead = {gap: f"{gap} word{'s' * (gap > 1)} ahead" for gap in GAPS}
    return {
        "gap": ask.choice(SLUG, "gap", "What decides stands", ahead, USUAL["gap"]),
        "cell": ask.choice(SLUG, "cell", "Cell", {cell: CELLS[cell].title for cell in OFFERED}, USUAL["cell"]),
    }


def specs(values: Values) -> list[RunSpec]:
    """The same network twice: in both directions, and in one."""
    return [
        RunSpec.make(task="entities", gap=values["gap"], cell=values["cell"], bidirectional=both, **_SMALL)
        for both in (True, False)
    ]


def before(values: Values) -> None:
    """Two sentences of the task with the tags that are asked for."""
    task = tasks.build("entities", values["gap"])
    batch = task.batch(np.random.default_rng(3), 2)
    assert batch.lengths is not None
    rows = []
    for sample, length in enumerate(batch.lengths):
        words, _ = task.readable(batch, sample)
        tags = [TAGS[tag] if tag != NONE else "·" for tag in batch.targets[:length, sample]]
        cells = [Cell(tag, math.nan, tag != "·") for tag in tags]
        rows.append(_plain(words[:length], cells))
    st.caption("Two of the sentences that it is trained on, each word with the tag that is asked for:")
    st.html("".join(rows))


def _plain(words: Sequence[str], cells: Sequence[Cell]) -> str:
    return table(words, [("tag", [cell._replace(sure=1.0, loud=False) for cell in cells])])


# What came out


def _way(run: Run) -> str:
    return "two directions" if run.spec.get("bidirectional") else "one direction"


def answer(values: Values, runs: Sequence[Run]) -> int:
    """Both, only that in two directions, only that in one, neither."""
    two, one = (last_success(run) >= LEARNED for run in runs)
    return {(True, True): 0, (True, False): 1, (False, True): 2, (False, False): 3}[two, one]


def why(values: Values, runs: Sequence[Run]) -> str:
    """How often each is right on the names that the future decides."""
    two, one = (percent(last_success(run)) for run in runs)
    return (
        f"Of the names that only what follows decides, reading in two directions gets {two} right and reading in one "
        f"{one}, where tossing a coin gives 50 %."
    )


def seen(values: Values, runs: Sequence[Run]) -> list[str]:
    """What each got, against what is possible without the future."""
    two, one = runs
    floor = one.facts.chance_loss if one.facts is not None else math.nan
    loss = float(one.records["eval_loss"][-1]) if one.records.rows("eval") else math.nan
    found = [
        f"In **two directions** {percent(last_success(two))} of those names are right, in **one direction** "
        f"{percent(last_success(one))}.",
        f"It is not for want of training: whoever knows all but the future pays ln 2 for each such name and nothing "
        f"else, {number(floor, 3)} nats per word, and the loss of the network in one direction came down to "
        f"{number(loss, 3)}.",
        "In the figure, the answer's gradient runs **both ways** from its word: the state that came from the left "
        "hears of the past, the one that came from the right hears of what follows. In one direction, every word "
        "behind the answer receives exactly 0, however long it is trained.",
    ]
    if last_success(two) < LEARNED:
        found.append("Here even two directions were not enough: the way back from what decides is too long to learn.")
    return found


# A person's own sentence


def own(values: Values, seen: Sequence[Seen]) -> None:
    """Tag a sentence, and show what one of its answers hears."""
    weights: list[tuple[Run, Mapping[str, Array]]] = []
    for one in seen:
        try:
            weights.append((one.run, one.weights(None)))
        except StoreError:
            continue
    if not weights:
        st.caption("A sentence can be tagged here as soon as a network has kept its weights.")
        return
    text = _sentence(values["gap"])
    vocabulary = tasks.build("entities", values["gap"]).vocabulary
    try:
        tokens = typed(text, vocabulary, MOST_WORDS)
    except ValueError as error:
        st.warning(f"{markdown(str(error)[:1].upper() + str(error)[1:])}.", icon=":material/edit:")
        st.caption("It knows the names and words of its task only, such as " + _some(vocabulary) + ".")
        return
    words = [vocabulary[token] for token in tokens]
    words[0] = words[0][:1].upper() + words[0][1:]
    tagged = [(run, kept, tagging.tag(str(run.spec["cell"]), kept, np.array(tokens))) for run, kept in weights]
    at = _asked(words)
    st.html(table(words, [(_way(run), _cells(words, one.probabilities)) for run, _, one in tagged], at))
    st.caption("Under each name how sure the network is. Tags: none (·), person, location.")
    _gradients(words, tokens, at, tagged)


def _sentence(gap: int) -> str:
    """What is in the field, one for each gap; pressing one of the sentences to try puts it there."""
    field, offered = ask.key(SLUG, f"sentence-{gap}"), ask.key(SLUG, f"offered-{gap}")
    st.session_state.setdefault(field, AT_GAP[gap])

    def take() -> None:
        if (chosen := st.session_state[offered]) is not None:
            st.session_state[field] = chosen

    text = st.text_input(
        "A sentence to be tagged: type your own and press Enter",
        key=field,
        max_chars=MOST_CHARACTERS,
        persist_state="session",
    )
    choices = tuple(dict.fromkeys((AT_GAP[gap], *AT_GAP.values(), *SENTENCES)))
    st.pills("Or try", choices, format_func=markdown, key=offered, on_change=take, label_visibility="collapsed")
    return str(text or "")


def _some(vocabulary: Sequence[str]) -> str:
    return ", ".join(markdown(word) for word in (*vocabulary[1:7], "says", "lives", "lies", "borders", "in", "near"))


def _cells(words: Sequence[str], probabilities: Array) -> list[Cell]:
    cells = []
    for word, row in zip(words, probabilities, strict=True):
        best = int(row.argmax())
        note = word + ": " + ", ".join(f"{tag} {percent(float(p))}" for tag, p in zip(TAGS, row, strict=True))
        cells.append(Cell("·" if best == NONE else TAGS[best], float(row[best]), best != NONE, note))
    return cells


def _asked(words: Sequence[str]) -> int:
    """The word whose answer is looked at; at first the first name that is a person's and a place's."""
    usual = next((place for place, word in enumerate(words) if word in AMBIGUOUS), 0)
    chosen = st.pills(
        "Whose answer is it that is heard?",
        list(range(len(words))),
        # Numbered, since options that read the same are one to the widget.
        format_func=lambda place: f"{place + 1} {markdown(words[place])}",
        default=usual,
        # Another sentence has other words: what was chosen in the last one means nothing there.
        key=f"learn-{SLUG}-answer-{'-'.join(words)}",
    )
    return usual if chosen is None else int(chosen)


def _gradients(
    words: Sequence[str], tokens: Sequence[int], at: int, tagged: Sequence[tuple[Run, Mapping[str, Array], Any]]
) -> None:
    told: list[Told] = []
    said = []
    for run, kept, one in tagged:
        row = one.probabilities[at]
        if not np.isfinite(row).all():
            st.caption(f"The weights of {markdown(run.name)} are not finite: it has no gradient to show.")
            continue
        own = int(row.argmax())
        said.append(f"{_way(run)}: {TAGS[own]}")
        past, future = tagging.heard(one, kept, at, own)
        norms = np.full(len(words), np.nan)
        norms[: at + 1] = past
        if future is None:
            norms[at + 1 :] = 0.0
            told.append(Told("one direction", norms, 3))
        else:
            told.append(Told("two directions: state from the left", norms, 0))
            behind = np.full(len(words), np.nan)
            behind[at:] = future
            told.append(Told("two directions: state from the right", behind, 1))
    needed = next((place for place in range(at + 1, len(words)) if words[place] in _DECIDERS), None)
    needed = needed if words[at] in AMBIGUOUS else None

    def make(theme: ThemeName, size: SizeName) -> tuple[go.Figure, str]:
        prepared = along_words.prepare(
            words,
            told,
            at,
            title="What one answer hears, to its left and to its right",
            answer_label="the answer",
            needed=needed,
            run_ids=[run.id for run, *_ in tagged],
            caption=f"the loss of its own answer ({', '.join(said)})",
        )
        return along_words.draw(prepared, theme=theme, size=size), along_words.describe(prepared)

    version = (tuple(tokens), at, tuple((one.label, float(one.norms[at])) for one in told))
    chart(
        SLUG,
        "heard",
        "What one answer hears, to its left and to its right",
        "Each point is a word of the sentence; how high it stands says how much of the answer's gradient arrives at "
        "the state there, compared with the answer's own word. In two directions the gradient leaves the answer both "
        "ways. Where a line of the network in one direction stands on the rail below, it receives exactly 0: whatever "
        "is said there cannot change the answer.",
        version,
        make,  # type: ignore[arg-type]
    )


STOP = Stop(
    slug=SLUG,
    title="Both directions",
    question="What can a network do with a word whose meaning is told only by the words behind it?",
    text=(
        "*David lives in Munich*: every word is to be tagged as a **person**, a **location** or neither. But *Jordan "
        "lives in Jordan*: the same name twice, and at the first one nothing that was read so far says which it is. "
        "*Paris says …* is a person, *Paris lies …* a city. A bidirectional network runs a second recurrence from the "
        "end of the sentence to its beginning and answers from both states, as if two networks stood on top of each "
        "other. Here one is trained beside the same network in one direction, on sentences in which a coin decides "
        "between person and place: nothing that comes before says which."
    ),
    equation=(
        r"\begin{aligned} \overrightarrow{h}_t &= f(\overrightarrow{h}_{t-1}, x_t) \\ "
        r"\overleftarrow{h}_t &= f(\overleftarrow{h}_{t+1}, x_t) \\ "
        r"y_t &= W_{hy}\,[\overrightarrow{h}_t\,;\overleftarrow{h}_t] \end{aligned}"
    ),
    letters=(
        r"$x_t$ word at step $t$; $\overrightarrow{h}_t$ state of the recurrence that has read the words up to $t$; "
        r"$\overleftarrow{h}_t$ state of the one that has read those from the end down to $t$, with weights of its "
        r"own; $[\,;\,]$ the two side by side; $W_{hy}$ reads the tag's scores $y_t$ off both."
    ),
    usual=USUAL,
    controls=controls,
    specs=specs,
    prediction=Prediction(
        "“Jordan, indeed, lives …”: which network will tag such names right, on sentences that it never saw?",
        ("Both", "Only the one in two directions", "Only the one in one direction", "Neither"),
        answer,
        why,
    ),
    seen=seen,
    figures=("learning",),
    own=own,
    before=before,
    example_weights=True,
)
