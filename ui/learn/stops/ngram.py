"""RNN against n-gram: tables of Vⁿ numbers that look back n − 1 words, and a network that is not told how far."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

import tasks
from diagnostics.charts import ngram as chart_of_worth
from diagnostics.charts import ngram_cost as chart_of_cost
from diagnostics.charts.ngram import Net, Order
from diagnostics.charts.success_along import last_success
from diagnostics.measures.numbers import number
from experiments.cost import HELD_OUT
from experiments.spec import Refusal, RunSpec
from models.cells import CELLS
from models.ngram import NGram
from tasks.words import Words
from ui.learn import ask
from ui.learn.panels import chart, version_of
from ui.learn.stop import Prediction, Seen, Stop, Values
from ui.words import listed, percent

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from diagnostics.records import Run

SLUG = "ngram"
GAPS = (2, 6, 10)
COUNTED_FROM = (300, 1000, 3000)
LONGEST = 5
OFFERED = ("tanh", "gru", "lstm")
USUAL: Mapping[str, Any] = {"gap": 10, "sentences": 1000, "cells": ("tanh", "gru")}
_SMALL = {"hidden": 64, "embedding": 32, "batch": 32, "steps": 500, "learning_rate": 1e-2, "eval_every": 100}
_LEARNED = 0.5
"""Success at the last word from which on a model is said to know it; guessing gives a twelfth."""


def controls() -> Values:
    """How far back the country stands, how much the n-grams are counted from, and the networks beside them."""
    return {
        "gap": ask.slider(SLUG, "gap", "The country stands", GAPS, USUAL["gap"], words="{} words before the blank"),
        "sentences": ask.slider(
            SLUG, "sentences", "n-grams are counted in", COUNTED_FROM, USUAL["sentences"], words="{} sentences"
        ),
        "cells": ask.several(SLUG, "cells", "Networks", {cell: CELLS[cell].title for cell in OFFERED}, USUAL["cells"]),
    }


def specs(values: Values) -> list[RunSpec]:
    """A word language model for each cell."""
    if not values["cells"]:
        raise Refusal("cells must have at least one value, but got none")
    return [RunSpec.make(task="words", gap=values["gap"], cell=cell, **_SMALL) for cell in values["cells"]]


# What the n-grams know


@lru_cache(maxsize=32)
def counted(n: int, gap: int, sentences: int, seed: int) -> Order:
    """An n-gram model of fresh sentences of the task, measured on the set that the networks are measured on."""
    task = tasks.build("words", gap)
    assert isinstance(task, Words)
    model = NGram(n, task.written(task.batch(np.random.default_rng(seed), sentences)), task.vocabulary)
    batch = task.held_out(seed, HELD_OUT)
    asked = task.written(batch)
    languages = sorted({words[-1] for words in asked})
    right = 0.0
    for words in asked:
        chances = model.probabilities(words, len(words) - 1, languages)
        best = max(chances)
        # Where several are equally likely it must guess among them.
        right += chances[languages.index(words[-1])] == best and 1 / chances.count(best)
    return Order(n, model.perplexity(asked), right / len(asked), model.unseen(asked), model.kept, model.possible)


def orders(values: Values) -> list[Order]:
    """n-grams from 1 to ``LONGEST``."""
    return [counted(n, int(values["gap"]), int(values["sentences"]), 0) for n in range(1, LONGEST + 1)]


def nets(runs: Sequence[Run]) -> list[Net]:
    """The networks that have been measured."""
    return [
        Net(run.id, _cell(run), str(run.spec["cell"]), perplexity(run), last_success(run), _parameters(run))
        for run in runs
        if run.records.rows("eval")
    ]


def perplexity(run: Run) -> float:
    """exp of the last loss on the held-out set, a mean over every next word."""
    with np.errstate(over="ignore"):
        return float(np.exp(run.records["eval_loss"][-1]))


def _parameters(run: Run) -> int:
    return int(run.versions.get("parameters", 0))


def _cell(run: Run) -> str:
    return CELLS[str(run.spec["cell"])].title


# What came out


def answer(values: Values, runs: Sequence[Run]) -> int:
    """Both, networks only, n-grams only, none, at the last word."""
    by_net = any(last_success(run) >= _LEARNED for run in runs)
    by_count = any(order.success >= _LEARNED for order in orders(values))
    return {(True, True): 0, (True, False): 1, (False, True): 2, (False, False): 3}[by_net, by_count]


def why(values: Values, runs: Sequence[Run]) -> str:
    """The last word's success of each, and how far back its country stands."""
    best = max(orders(values), key=lambda order: order.success)
    said = listed([f"{_cell(run)} {percent(last_success(run))}" for run in runs])
    back = int(values["gap"]) + 1
    return (
        f"The country stands {back} words before the language, so only n-grams of {back + 1} words or more could see "
        f"it; the best up to {LONGEST} words, n = {best.n}, is right in {percent(best.success)}. The networks: {said}."
    )


def seen(values: Values, runs: Sequence[Run]) -> list[str]:
    """Perplexity, parameters, and what was never seen."""
    found = orders(values)
    best = min(found, key=lambda order: order.perplexity)
    longest = found[-1]
    words = round(longest.possible ** (1 / longest.n))
    perplexities = listed([f"{_cell(run)} {number(perplexity(run), 3)}" for run in runs])
    parameters = listed([f"{_cell(run)} {_parameters(run):,}" for run in runs])
    return [
        f"**Perplexity on held-out text**: {perplexities}; the best n-gram, n = {best.n}, {number(best.perplexity, 3)} "
        f"(counted in {values['sentences']} sentences; each network read {_read(runs)}).",
        f"**Sparsity**: of the {longest.n}-grams of held-out sentences {percent(longest.unseen)} were never seen, so "
        "that a shorter one must do instead.",
        f"**Size**: with V = {words} words there are {number(longest.possible)} possible {longest.n}-grams, of which "
        f"{longest.kept:,} were seen and are kept; parameters of the networks, which grow as V does: {parameters}.",
    ]


def _read(runs: Sequence[Run]) -> str:
    counts = {int(run.spec["steps"]) * int(run.spec["batch"]) for run in runs}
    return " or ".join(f"{count:,}" for count in sorted(counts))


def own(values: Values, seen: Sequence[Seen]) -> None:
    """What n is worth, and what it costs."""
    with st.spinner("Counting n-grams …"):
        found = orders(values)
    runs = [one.run for one in seen]
    gap = int(values["gap"])
    chance = next((run.facts.chance_success for run in runs if run.facts is not None), math.nan)
    version = (version_of(seen), tuple(values.items()))

    def worth(theme: str, size: str) -> tuple[go.Figure, str]:
        prepared = chart_of_worth.prepare(found, nets(runs), chance, gap + 1)
        return chart_of_worth.draw(prepared, theme=theme, size=size), chart_of_worth.describe(prepared)  # type: ignore[arg-type]

    def cost(theme: str, size: str) -> tuple[go.Figure, str]:
        prepared = chart_of_cost.prepare(found, nets(runs), tasks.build("words", gap).outputs)
        return chart_of_cost.draw(prepared, theme=theme, size=size), chart_of_cost.describe(prepared)  # type: ignore[arg-type]

    chart(
        SLUG,
        "ngram",
        chart_of_worth.TITLE,
        "Each point is an n-gram model, each level line a network, all asked for the same words of the same held-out "
        "sentences. Perplexity is the number of equally likely words that would be as hard to guess; less is better. "
        "Below, only the last word counts, and only the country tells it: an n-gram that is too short to see the "
        "country can but guess, however much it has read.",
        version,
        worth,
    )
    chart(
        SLUG,
        "ngram-cost",
        chart_of_cost.TITLE,
        "A whole table of n-grams has Vⁿ numbers (dashed). Only those that were seen are kept, and the longer they "
        "are, the more of those in new sentences were never seen. The level lines are all parameters of the networks: "
        "they grow in proportion to V, whatever the distance.",
        version,
        cost,
    )


STOP = Stop(
    slug=SLUG,
    title="RNN against n-gram",
    question="Before networks, language was modelled by counting n words in a row: where does that end?",
    text=(
        "An **n-gram** model says which word comes next by looking up the n − 1 words before it in a table that was "
        "counted. With V words that table has Vⁿ places, most of them for ever empty, so that a shorter one must help "
        "out; and what lies further back than n − 1 words it cannot know at all. A recurrent network has one set of "
        "weights for every place, about as many as V asks for, and nobody tells it how far back to look. Both read "
        "sentences that begin with a country and end with its language, and guess every next word."
    ),
    equation=(
        r"\begin{gathered}"
        r"p(w_t \mid w_{t-n+1} \dots w_{t-1}) \approx \frac{c(w_{t-n+1} \dots w_t)}{c(w_{t-n+1} \dots w_{t-1})} \\[6pt]"
        r"\text{perplexity} = e^{-\frac{1}{T} \sum_t \ln p(w_t)}"
        r"\end{gathered}"
    ),
    letters=(
        r"$w_t$ word at $t$; $n$ words in a row; $c$ how often they were counted; $V$ different words: a table has "
        r"$O(V^n)$ numbers, a network $O(V)$; $p$ the probability given to the word that came; $T$ words in all. "
        "n-grams are interpolated with shorter ones (Witten and Bell)."
    ),
    usual=USUAL,
    controls=controls,
    specs=specs,
    prediction=Prediction(
        "Which will name the language at the end more often than not?",
        ("Some n-gram and some network", "Only networks", "Only n-grams", "None of them"),
        answer,
        why,
    ),
    seen=seen,
    figures=("learning",),
    own=own,
)
