"""Variable lengths: a feed-forward net on padded input, a convolution, a recurrent network; PAD, and moved words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from diagnostics.charts import moved, padding
from diagnostics.charts.success_along import last_success
from diagnostics.records import Array
from diagnostics.store import StoreError
from experiments.cost import HELD_OUT
from experiments.spec import RunSpec
from models.answers import answers, hangs_on
from models.cells import CELLS
from models.inference import softmax
from tasks.sentiment import ANSWERS, EXAMPLE, FRONT, Sentiment, overhead
from ui.learn import ask
from ui.learn.panels import chart, version_of
from ui.learn.stop import Prediction, Seen, Stop, Values
from ui.words import listed, markdown, number, percent

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from diagnostics.records import Run

SLUG = "lengths"
MODELS = ("feedforward", "convolution", "recurrent")
TITLES = {"feedforward": "feed-forward", "convolution": "convolution"}
SUBJECTS = {"feedforward": "The feed-forward net", "convolution": "The convolution"}
OFFERED = ("tanh", "gru", "lstm")
GAPS = (4, 8, 12)
FRONTS = (0, 1, 2, 3)
LECTURE = "There is nothing to like in this movie"

USUAL: Mapping[str, Any] = {"gap": 8, "front": 1, "cell": "gru"}
_SMALL = {"hidden": 32, "embedding": 12, "batch": 128, "learning_rate": 1e-2, "steps": 350}
_SMALL |= {"eval_every": 50, "record_every": 20}


def controls() -> Values:
    """How far the words that decide are from the end, how far sentences are moved, and the recurrent cell."""
    return {
        "gap": ask.slider(
            SLUG,
            "gap",
            "Longest way to the end",
            GAPS,
            USUAL["gap"],
            "How many words the longest sentences go on after the first word that decides.",
            words="{} words",
        ),
        "front": ask.slider(
            SLUG,
            "front",
            "Measured sentences are moved by",
            FRONTS,
            USUAL["front"],
            "So many words (“yesterday …”) stand before each sentence that is measured, and before none in training. "
            "In training the words that decide always stand at even positions.",
            words="{} words",
        ),
        "cell": ask.choice(
            SLUG, "cell", "Recurrent cell", {cell: CELLS[cell].title for cell in OFFERED}, USUAL["cell"]
        ),
    }


def specs(values: Values) -> list[RunSpec]:
    """The three networks, in the order of ``MODELS``."""
    common = {"task": "sentiment", "gap": values["gap"], "length": overhead(values["gap"]) + values["front"], **_SMALL}
    return [
        RunSpec.make(**common, model=model, **({"cell": values["cell"]} if model == "recurrent" else {}))
        for model in MODELS
    ]


# What came out


def _title(run: Run) -> str:
    return TITLES.get(str(run.spec["model"]), CELLS[str(run.spec["cell"])].title)


def _tells(run: Run) -> bool:
    """Whether a run is nearer to knowing than to guessing."""
    return last_success(run) > 0.75


def answer(values: Values, runs: Sequence[Run]) -> int:
    """All three, all but the feed-forward one, the recurrent one alone, or something else."""
    feedforward, convolution, recurrent = map(_tells, runs)
    if not recurrent or (feedforward and not convolution):
        return 3
    return 0 if feedforward else 1 if convolution else 2


def why(values: Values, runs: Sequence[Run]) -> str:
    """Each network's success, and what shares its weights."""
    said = listed([f"{_title(run)} {percent(last_success(run))}" for run in runs])
    return (
        f"Right on new sentences{_moved(values)}: {said}, where guessing gives 50 %. The feed-forward net has weights "
        "of its own for each position; the convolution and the recurrence use the same ones everywhere."
    )


def _moved(values: Values) -> str:
    by = values["front"]
    return f", moved by {by} word{'s' * (by > 1)}" if by else ""


def seen(values: Values, runs: Sequence[Run]) -> list[str]:
    """Training against measuring, the padding, and what even moves do."""
    said = [_trained_and_measured(values, run) for run in runs]
    beyond = [run for run in runs if run.facts is not None and _beyond(run).size]
    if beyond and all((_beyond(run) == 0).all() for run in beyond):
        sizes = {_beyond(run).shape[1] for run in beyond}
        said.append(
            f"At the {max(sizes)} positions behind the end of the sentence the gradient was **exactly 0** in every "
            f"profile that was recorded, for {listed([_title(run) for run in beyond])} alike: padding is masked, so "
            "nothing is learned from it and nothing depends on it."
        )
    if values["front"] and values["front"] % 2 == 0:
        said.append(
            "Moved by an even number of words, what decides stands again at positions that were trained, for most "
            "sentences: so the feed-forward net still knows those."
        )
    return said


def _trained_and_measured(values: Values, run: Run) -> str:
    subject = SUBJECTS.get(str(run.spec["model"]), _title(run))
    if run.state == "diverged":
        return f"**{subject}** diverged: {markdown(run.detail)}."
    loss = float(np.median(run.records["loss"][-20:]))
    how = "knows its training sentences" if loss < 0.2 else "has not learned its training sentences"
    return (
        f"**{subject}** {how} (training loss {number(loss)}; guessing gives 0.69) and is right on "
        f"{percent(last_success(run))} of the new ones{_moved(values)}."
    )


def _beyond(run: Run) -> Array:
    """The recorded gradient of the input behind the end of the sentences of the example's length, [P, positions]."""
    assert run.facts is not None
    found: Array = run.records["input_grad"][:, run.facts.loss_step + 1 :, 1]
    return found[~np.isnan(found).any(axis=1)]


# The stop's own panels


@cache
def _task(gap: int, front: int) -> Sentiment:
    return Sentiment(gap, overhead(gap) + front, "many-to-one")


@lru_cache(maxsize=8)
def _both(gap: int, front: int, seed: int) -> tuple[Any, Any]:
    """Held-out sentences as in training, and the same ones moved."""
    plain, task = _task(gap, 0), _task(gap, front)
    before = plain.held_out(seed, HELD_OUT)
    wider = np.concatenate([before.inputs, np.zeros((front, HELD_OUT), dtype=np.int64)])
    return (wider, before.lengths, before.targets), task.held_out(seed, HELD_OUT)


def own(values: Values, seen: Sequence[Seen]) -> None:
    """A sentence to try, what each answer hangs on, and the same sentences before and after they are moved."""
    kept = {index: weights for index, one in enumerate(seen) if (weights := _weights(one)) is not None}
    sentence = ask.text(
        SLUG,
        "sentence",
        "Try a sentence",
        LECTURE,
        200,
        help="Of words that the networks were trained on, such as: nobody really liked that film; the story rarely "
        "felt dull to me; we found little to mock about this movie.",
    )
    shown, refusal = _sentences(values, sentence)
    if refusal:
        st.warning(f"{markdown(refusal[:1].upper() + refusal[1:])}.", icon=":material/edit:")
    chart(
        SLUG,
        "padding",
        padding.TITLE,
        "A row is a network, a column a position; bright cells are words that would change the answer most if they "
        "were a little different. Ringed ones decide; they may be darker than others, for where a network is sure of a "
        "word, a little does not matter. A hatched 0 is exactly 0: at PAD the answers before and after are equal "
        "to the last bit. Each row is in proportion to its own largest.",
        (version_of(seen), sorted(kept), sentence, tuple(values.items())),
        lambda theme, size: _padding(values, seen, kept, shown, theme, size),
    )
    chart(
        SLUG,
        "moved",
        moved.TITLE,
        "Plain bars: new sentences whose words stand where they stood in training. Hatched bars: the very same "
        "sentences with more words in front. A network that has learned what “nothing to like” means, and not where "
        "it stands, keeps its height.",
        (version_of(seen), sorted(kept), tuple(values.items())),
        lambda theme, size: _before_and_after(values, seen, kept, theme, size),
    )


def _weights(one: Seen) -> Mapping[str, Array] | None:
    """The last weights, None where none were kept yet."""
    try:
        return one.weights(None)
    except StoreError:
        return None


def _sentences(values: Values, typed: str) -> tuple[list[tuple[str, Array, int]], str]:
    """(title, words [T], length) of the sentence and of the same one moved; and why the typed one cannot be read."""
    task, refusal = _task(values["gap"], values["front"]), ""
    try:
        words, length = task.said(typed)
    except ValueError as error:
        refusal = str(error)
        words, length = task.said(LECTURE)
    found = [("As it is said", words, length)]
    if values["front"] and length + values["front"] <= task.length:
        front = " ".join((FRONT * values["front"])[: values["front"]])
        again = " ".join(task.vocabulary[token] for token in words[:length])
        found.append((f"The same,{_moved(values).removeprefix(',')}", *task.said(f"{front} {again}")))
    elif len(EXAMPLE.split()) <= task.length:
        found.append(("A longer one", *task.said(EXAMPLE)))
    return found, refusal


def _said(one: Seen, weights: Mapping[str, Array], words: Array, lengths: Array) -> Array:
    return answers(str(one.run.spec["model"]), str(one.run.spec["cell"]), weights, words, lengths)


def _padding(
    values: Values,
    seen: Sequence[Seen],
    kept: Mapping[int, Mapping[str, Array]],
    sentences: Sequence[tuple[str, Array, int]],
    theme: Any,
    size: Any,
) -> tuple[go.Figure, str]:
    task = _task(values["gap"], values["front"])
    found = []
    for title, words, length in sentences:
        rows = []
        for index, weights in kept.items():
            run = seen[index].run
            chance = softmax(_said(seen[index], weights, words[:, None], np.array([length])))[0]
            says = f"{ANSWERS[int(chance.argmax())]} {percent(float(chance.max()))}"
            gradient = hangs_on(str(run.spec["model"]), str(run.spec["cell"]), weights, words, length)
            rows.append(padding.Row(_title(run), gradient, says))
        tokens = tuple(task.vocabulary[token] for token in words)
        found.append(padding.Sentence(title, tokens, length, task.deciding(words), tuple(rows)))
    prepared = padding.prepare(found, [seen[index].run.id for index in kept])
    return padding.draw(prepared, theme=theme, size=size), padding.describe(prepared)


def _before_and_after(
    values: Values, seen: Sequence[Seen], kept: Mapping[int, Mapping[str, Array]], theme: Any, size: Any
) -> tuple[go.Figure, str]:
    shares = []
    for index, weights in kept.items():
        run = seen[index].run
        (words, lengths, targets), after = _both(values["gap"], values["front"], int(run.spec["seed"]))
        right = [
            _right(_said(seen[index], weights, *given), wanted)
            for *given, wanted in ((words, lengths, targets), (after.inputs, after.lengths, after.targets))
        ]
        shares.append(moved.Shares(_title(run), right[0], right[1]))
    prepared = moved.prepare(shares, values["front"], 0.5, [seen[index].run.id for index in kept])
    return moved.draw(prepared, theme=theme, size=size), moved.describe(prepared)


def _right(scores: Array, targets: Array) -> float:
    told = np.isfinite(scores).all(axis=1)
    return float(((scores.argmax(axis=1) == targets) & told).mean()) if len(scores) else math.nan


STOP = Stop(
    slug=SLUG,
    title="Variable lengths",
    question="Sentences have different lengths, and the same words stand elsewhere. Which networks can live with that?",
    text=(
        "*There is nothing to like in this movie*: one word flips what another says, and both may stand anywhere. A "
        "**feed-forward** net needs a fixed number of inputs, so shorter sentences are filled up with PAD, and each "
        "position has weights of its own. A **convolution** slides the same weights over every few words; a "
        "**recurrent** network uses the same at every step. Padding is masked: it changes no answer, and no gradient "
        "goes there. Here all three learn the sentiment of the same sentences. Then these are measured with a word or "
        "more in front, *Yesterday there is nothing …*, so that what decides stands where it never stood in training."
    ),
    equation=(
        r"\begin{aligned} a &= W\,[x_1;\dots;x_T] & f_t &= \textstyle\sum_j W_j\,x_{t+j} \\"
        r"h_t &= f(h_{t-1}, x_t) & \tfrac{\partial L}{\partial x_t} &= 0 \;\; (t > n) \end{aligned}"
    ),
    letters=(
        r"$x_t$ word at position $t$, 0 behind the end; $n$ the sentence's own length, $T$ the longest. $W$ of the "
        r"feed-forward net has a block for each position; $W_j$ of the convolution one for each place in its window; "
        r"the recurrence $f$ is one function for all $t$. $L$ loss, read at the last word."
    ),
    usual=USUAL,
    controls=controls,
    specs=specs,
    prediction=Prediction(
        "On new sentences, moved by as many words as chosen above, which networks still tell the sentiment?",
        (
            "All three",
            "The convolution and the recurrent one, not the feed-forward one",
            "Only the recurrent one",
            "Another combination, or none",
        ),
        answer,
        why,
    ),
    seen=seen,
    figures=("ribbon", "learning"),
    own=own,
    example_weights=True,
)
