"""Backpropagation through time, whole and truncated: what it takes, and what the truncation loses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from diagnostics.charts import success_along
from diagnostics.charts.success_along import last_success
from diagnostics.measures.numbers import number
from experiments.spec import RunSpec
from models.cells import CELLS
from ui.learn import ask, looks
from ui.learn.panels import chart, inspected, version_of
from ui.learn.stop import Look, Prediction, Seen, Stop, Values
from ui.learn.stops.dependencies import learned
from ui.words import listed, percent

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from diagnostics.inspection import Inspection
    from diagnostics.records import Run

SLUG = "truncation"
GAPS = (10, 20, 30)
OFFERED = ("gru", "lstm")
USUAL: Mapping[str, Any] = {"gap": 20, "cell": "lstm"}
LENGTHS = 4
"""How many times as long as the gap a sequence is: most of it is of no use to the answer, but costs memory."""

_STEPS = 250
_SMALL = {"hidden": 32, "embedding": 16, "batch": 32, "steps": _STEPS, "eval_every": 50, "record_every": 10}
LOOK = Look(place=4, step=_STEPS // 2, sections=("truncation",))
"""Into the network that was trained on whole gradients, half way: it is just learning what the word means."""


def controls() -> Values:
    """How far back the word lies, and the cell."""
    return {
        "gap": ask.slider(SLUG, "gap", "The word lies back", GAPS, USUAL["gap"], words="{} steps"),
        "cell": ask.choice(SLUG, "cell", "Cell", {cell: CELLS[cell].title for cell in OFFERED}, USUAL["cell"]),
    }


def chunks(gap: int) -> tuple[int | None, ...]:
    """Half the way back, to just before the word, to the word itself, twice as far, and no truncation."""
    return gap // 2, gap, gap + 1, 2 * gap, None


def specs(values: Values) -> list[RunSpec]:
    """The same network with each chunk length."""
    gap = values["gap"]
    common = {"task": "france", "gap": gap, "length": LENGTHS * gap, "cell": values["cell"], **_SMALL}
    return [RunSpec.make(truncate=chunk, **common) for chunk in chunks(gap)]


# What came out


def chunk_of(run: Run) -> int:
    """The chunk length; that of a network without truncation is the whole sequence."""
    return int(run.spec["truncate"] or run.spec["length"])


def answer(values: Values, runs: Sequence[Run]) -> int:
    """All, exactly those whose chunk holds the word, some that do not, or not even all of those that do."""
    gap = values["gap"]
    short = [learned(run) for run in runs if chunk_of(run) <= gap]
    reaching = [learned(run) for run in runs if chunk_of(run) > gap]
    if any(short):
        return 0 if all(short) and all(reaching) else 2
    return 1 if all(reaching) else 3


def why(values: Values, runs: Sequence[Run]) -> str:
    """Success just short of the word, and with it."""
    gap = values["gap"]
    by_chunk = {chunk_of(run): run for run in runs}
    last, first = (percent(last_success(by_chunk[chunk])) for chunk in (gap, gap + 1))
    return (
        f"A chunk of {gap} steps ends one step after the word: {last} right. One step more holds it: {first}. The "
        "state was carried in both; what is missing is the gradient that teaches a network to carry the word in it."
    )


def seen(values: Values, runs: Sequence[Run]) -> list[str]:
    """Every chunk with its success, against guessing."""
    said = listed([f"{_name(run)}: {percent(last_success(run))}" for run in runs])
    facts = runs[0].facts
    chance = percent(facts.chance_success) if facts is not None else "–"
    return [
        f"Right answers by chunk length: {said}; guessing gives {chance}.",
        "Forward, all of these networks compute the same recurrence over the whole sequence: only the way back is cut.",
    ]


def _name(run: Run) -> str:
    return f"chunks of {run.spec['truncate']}" if run.spec["truncate"] else "whole sequence"


def own(values: Values, seen: Sequence[Seen]) -> None:
    """Success against chunk length; then, of the network with the whole gradient, cosine and memory."""
    runs = [one.run for one in seen]
    gap = values["gap"]

    def success(theme: str, size: str) -> tuple[go.Figure, str]:
        prepared = success_along.prepare(
            runs,
            lambda run: float(chunk_of(run)),
            lambda run: CELLS[str(run.spec["cell"])].title,
            title="Success against the chunk length",
            axis="chunk length, timesteps  (the last is the whole sequence; dotted: the word is within the chunk)",
            unit="timesteps",
            mark=gap + 0.5,
        )
        return success_along.draw(prepared, theme=theme, size=size), success_along.describe(prepared)  # type: ignore[arg-type]

    chart(
        SLUG,
        "success",
        "Success against the chunk length",
        "Each point is a network of its own, trained with gradients that go back so many steps from the answer. Left "
        "of the dotted line the chunk ends before it comes to the word that matters; right of it the word is inside.",
        (version_of(seen), gap),
        success,
    )
    inspection = looks.found(STOP, LOOK, seen)
    if inspection is not None:
        named = [(CELLS[inspection.cell].title, inspection)]
        with st.container(horizontal=True, key="side-by-side-truncation"):
            for key, told in (("truncation", _of_direction(inspection, gap)), ("memory", _of_memory(inspection))):
                with st.container():
                    st.markdown(told)
                    inspected(SLUG, key, named)


def _of_direction(inspection: Inspection, gap: int) -> str:
    """What the truncation does to the gradient's direction, just before the word is within the chunk and after."""
    chunk, cosine = inspection["chunk"], inspection["truncation_cosine"]
    before, after = int(np.flatnonzero(chunk <= gap)[-1]), int(np.flatnonzero(chunk > gap)[0])
    return (
        f"**What is lost.** After {inspection.step} updates of the network with the whole gradient, chunks of "
        f"{chunk[before]} steps would have given a gradient whose cosine with the whole one is "
        f"{number(float(cosine[before]))}; chunks of {chunk[after]}, {number(float(cosine[after]))}."
    )


def _of_memory(inspection: Inspection) -> str:
    """What a step takes at the shortest and the longest sequence that was measured."""
    length, whole, cut = (inspection[f"memory_{name}"] for name in ("steps", "full", "truncated"))
    chunk = inspection["memory_chunk"][0]
    return (
        f"**What is saved.** From {length[0]} to {length[-1]} timesteps the memory of one training step grows "
        f"{number(float(whole[-1] / whole[0]))} times with the whole gradient and {number(float(cut[-1] / cut[0]))} "
        f"times in chunks of {chunk}: {number(1e-6 * float(whole[-1]))} against {number(1e-6 * float(cut[-1]))} MB."
    )


STOP = Stop(
    slug=SLUG,
    title="Truncated backpropagation through time",
    question="What is lost if the gradient goes back through a chunk of the sequence only, while the state is carried "
    "on for ever?",
    text=(
        "To learn, a recurrent network runs forward through the whole sequence and its gradient back through all of "
        "it: every state on the way must be remembered, so memory grows with the length. **Truncated** "
        "backpropagation cuts the way back into chunks: the state is handed from chunk to chunk as ever, but the "
        "gradient of a loss ends where its chunk begins. Memory then stays that of one chunk. Here the country lies a "
        "fixed number of steps before the answer, in a sequence four times as long, and only the chunk length differs."
    ),
    equation=r"\frac{\partial \mathcal{L}}{\partial W}\bigg|_{K} = \sum_{t > T-K} "
    r"\frac{\partial \mathcal{L}}{\partial h_t}\,\frac{\partial^{+} h_t}{\partial W}",
    letters=(
        r"$T$ last step, where the answer and its loss $\mathcal{L}$ are; $K$ chunk length; $h_t$ state; $W$ weights; "
        r"$\partial^{+} h_t / \partial W$ is what $W$ does at step $t$ alone. With $K = T$ it is the whole gradient."
    ),
    usual=USUAL,
    controls=controls,
    specs=specs,
    prediction=Prediction(
        "Which networks will learn to use the word?",
        (
            "All: the state is carried on, and the word with it",
            "Those whose chunk reaches back to the word, and no others",
            "Also some whose chunk ends before the word",
            "Not even all of those whose chunk reaches it",
        ),
        answer,
        why,
    ),
    seen=seen,
    figures=("profile",),
    own=own,
    looks=(LOOK,),
)
