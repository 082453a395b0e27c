"""Order: two sentences of the same words; what a bag of words says to them, and what a recurrent network does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from diagnostics.charts import pairs, side_by_side
from diagnostics.charts.success_along import last_success
from diagnostics.records import Array
from diagnostics.store import StoreError
from experiments.cost import HELD_OUT
from experiments.spec import Refusal, RunSpec
from models.answers import answers
from models.cells import CELLS
from models.inference import softmax
from tasks.base import Batch
from tasks.order import ANSWERS, Order, overhead
from ui.learn import ask
from ui.learn.panels import chart, version_of
from ui.learn.stop import Prediction, Seen, Stop, Values
from ui.words import listed, markdown, percent

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from diagnostics.records import Run

SLUG = "order"
TITLES = {"bag": "bag of words", "feedforward": "feed-forward", "convolution": "convolution"}
BESIDE = {"gru": "GRU", "tanh": "tanh", "lstm": "LSTM", "convolution": "convolution", "feedforward": "feed-forward"}
HOW = {
    "recurrent": "reads the words one after the other",
    "convolution": "sees which words are neighbours",
    "feedforward": "knows which word stands where",
}
GAPS = (4, 8, 16)

USUAL: Mapping[str, Any] = {"gap": 8, "beside": ("gru",)}
_SMALL = {"task": "order", "embedding": 12, "hidden": 32, "batch": 64, "learning_rate": 1e-2, "steps": 150}
_SMALL |= {"eval_every": 25, "record_every": 10}


def controls() -> Values:
    """How long the sentences are, and which networks are trained beside the bag."""
    return {
        "gap": ask.slider(
            SLUG,
            "gap",
            "After the first word",
            GAPS,
            USUAL["gap"],
            "How many words follow the first one; with 4 the sentences are those of the lecture, with more they go on.",
            words="{} words",
        ),
        "beside": ask.several(SLUG, "beside", "Beside the bag of words", BESIDE, USUAL["beside"]),
    }


def specs(values: Values) -> list[RunSpec]:
    """The bag, then the others."""
    if not values["beside"]:
        raise Refusal("beside must have at least one value, but got none")
    made = [RunSpec.make(model="bag", gap=values["gap"], **_SMALL)]
    for name in values["beside"]:
        which = {"model": "recurrent", "cell": name} if name in CELLS else {"model": name}
        made.append(RunSpec.make(gap=values["gap"], **which, **_SMALL))
    return made


# What came out


def _title(run: Run) -> str:
    return TITLES.get(str(run.spec["model"]), CELLS[str(run.spec["cell"])].title)


def answer(values: Values, runs: Sequence[Run]) -> int:
    """What the bag gets right: nearly all, more than half, exactly half, or less."""
    share = last_success(runs[0])
    return 2 if share == 0.5 else 3 if share < 0.5 else 0 if share > 0.9 else 1


def why(values: Values, runs: Sequence[Run]) -> str:
    """The success of each, and why the bag cannot do better or worse."""
    said = listed([f"{_title(run)} {percent(last_success(run))}" for run in runs])
    return (
        f"Right on new sentences: {said}. To a bag of words the two sentences of a pair are one and the same sum: "
        "whatever it answers, it is right on one of them and wrong on the other."
    )


def seen(values: Values, runs: Sequence[Run]) -> list[str]:
    """What training made of it."""
    found = []
    for run in runs:
        if run.state == "diverged":
            found.append(f"**{_title(run)}** diverged: {markdown(run.detail)}.")
            continue
        share, least = last_success(run), float(np.min(run.records["eval_loss"]))
        if run.spec["model"] == "bag":
            found.append(
                f"The **bag of words** is right on {percent(share)}, after {run.spec['steps']} steps as before the "
                f"first, and its loss never falls below {least:.3f}; ln 2 = 0.693 is what guessing gives."
            )
        elif share > 0.75:
            how = HOW[str(run.spec["model"])]
            found.append(f"**{_title(run)}** {how}: {percent(share)} right.")
        else:
            found.append(f"**{_title(run)}** could tell them apart, but has not learned to: {percent(share)} right.")
    return found


# The stop's own panels


@cache
def _task(gap: int) -> Order:
    return Order(gap, overhead(gap), "many-to-one")


@lru_cache(maxsize=8)
def _pairs(gap: int, seed: int) -> tuple[Batch, Batch]:
    """The held-out sentences that are about trading, and the pair of each."""
    task = _task(gap)
    held = task.held_out(seed, HELD_OUT)
    about = np.flatnonzero(held.targets == 0)
    one = Batch(np.ascontiguousarray(held.inputs[:, about]), held.targets[about], held.informative_steps[about])
    return one, task.exchanged(one)


def own(values: Values, seen: Sequence[Seen]) -> None:
    """The lecture's two sentences side by side, then every pair."""
    kept = {index: weights for index, one in enumerate(seen) if (weights := _weights(one)) is not None}
    version = (version_of(seen), sorted(kept), values["gap"])
    chart(
        SLUG,
        "side-by-side",
        side_by_side.TITLE,
        "Two bars for each network, one for either sentence. The bag of words adds up the embeddings of the words, and "
        "the sum is the same in any order: both bars end at the same number, down to the last of its digits. Where the "
        "bars end on different sides of the dotted half, the network tells the sentences apart.",
        version,
        lambda theme, size: _side_by_side(values, seen, kept, theme, size),
    )
    chart(
        SLUG,
        "pairs",
        pairs.TITLE,
        "A point is a pair: how sure the network is of trading for the sentence that is about it (to the right), and "
        "for the same words in the other order (upwards). On the dotted diagonal both get the same answer. In the "
        "shaded corner both are answered right.",
        version,
        lambda theme, size: _every_pair(values, seen, kept, theme, size),
    )


def _weights(one: Seen) -> Mapping[str, Array] | None:
    """The last weights, None where none were kept yet."""
    try:
        return one.weights(None)
    except StoreError:
        return None


def _trading(one: Seen, weights: Mapping[str, Array], words: Array) -> Array:
    """The probability of trading [B]."""
    run = one.run
    return softmax(answers(str(run.spec["model"]), str(run.spec["cell"]), weights, words))[:, 0]


def _side_by_side(
    values: Values, seen: Sequence[Seen], kept: Mapping[int, Mapping[str, Array]], theme: Any, size: Any
) -> tuple[go.Figure, str]:
    task = _task(values["gap"])
    one = task.example()
    other = task.exchanged(one)
    words = np.concatenate([one.inputs, other.inputs], axis=1)
    sentences = " ".join(task.readable(one, 0)[0]), " ".join(task.readable(other, 0)[0])
    said = []
    for index, weights in kept.items():
        first, second = _trading(seen[index], weights, words)
        said.append(side_by_side.Said(_title(seen[index].run), float(first), float(second)))
    prepared = side_by_side.prepare(sentences, ANSWERS[0], said, [seen[index].run.id for index in kept])
    return side_by_side.draw(prepared, theme=theme, size=size), side_by_side.describe(prepared)


def _every_pair(
    values: Values, seen: Sequence[Seen], kept: Mapping[int, Mapping[str, Array]], theme: Any, size: Any
) -> tuple[go.Figure, str]:
    found = []
    for index, weights in kept.items():
        one, other = _pairs(values["gap"], int(seen[index].run.spec["seed"]))
        chances = [_trading(seen[index], weights, batch.inputs) for batch in (one, other)]
        found.append(pairs.Pairs(_title(seen[index].run), *chances))
    prepared = pairs.prepare(ANSWERS[0], found, [seen[index].run.id for index in kept])
    return pairs.draw(prepared, theme=theme, size=size), pairs.describe(prepared)


STOP = Stop(
    slug=SLUG,
    title="Order",
    question="Two sentences have the very same words. Who can tell that they do not mean the same?",
    text=(
        "*Market falls into bear territory* is about trading. *Bear falls into market territory* has the same words, "
        "each as often, and is about something else. A **bag of words** adds up what it knows of each word, and a sum "
        "does not depend on its order: no weights whatever, and no training, can make it answer the two differently. A "
        "**recurrent** network reads one word after the other, and what it makes of *bear* depends on what it has read "
        "before. Every sentence here comes with its pair: the two words that decide exchanged, and the other answer."
    ),
    equation=(
        r"\begin{aligned}\text{bag:} \quad & y = W \textstyle\sum_t x_t \\"
        r"\text{recurrent:} \quad & h_t = f(h_{t-1}, x_t), \quad y = W h_T\end{aligned}"
    ),
    letters=(
        r"$x_t$ embedding of the word at step $t$; $\sum_t x_t$ the same for any order of the words; $f$ the cell, "
        r"whose order of steps is the order of the words; $h_T$ state after the last word; $W$ reads the answer $y$."
    ),
    usual=USUAL,
    controls=controls,
    specs=specs,
    prediction=Prediction(
        "After training, on how many new sentences will the bag of words be right?",
        ("Nearly all of them", "More than half of them", "Exactly half of them", "Fewer than half of them"),
        answer,
        why,
    ),
    seen=seen,
    figures=("learning",),
    own=own,
    example_weights=True,
)
