"""Short and long dependencies: clouds and sky, France and French, success against gap for each cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from diagnostics.charts import success_along
from diagnostics.charts.success_along import last_success
from experiments.spec import Refusal, RunSpec
from models.cells import CELLS
from ui.learn import ask
from ui.learn.panels import chart, version_of
from ui.learn.stop import Prediction, Seen, Stop, Values
from ui.words import listed, percent

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from diagnostics.records import Run

SLUG = "dependencies"
SENTENCES = {"clouds": "clouds … sky", "france": "France … French"}
OFFERED = ("tanh", "relu", "gru", "lstm")
GAPS = (4, 10, 20, 40)
"""From the word to the blank, in timesteps; the slider says up to which."""

USUAL: Mapping[str, Any] = {"sentence": "france", "longest": 40, "cells": ("tanh", "lstm")}
_SMALL = {"hidden": 32, "embedding": 16, "batch": 32, "steps": 250, "eval_every": 50, "record_every": 10}


def controls() -> Values:
    """The sentence, the longest gap and the cells."""
    return {
        "sentence": ask.choice(SLUG, "sentence", "Sentence", SENTENCES, USUAL["sentence"]),
        "longest": ask.slider(SLUG, "longest", "Gaps up to", GAPS[1:], USUAL["longest"], words="{} words"),
        "cells": ask.several(SLUG, "cells", "Cells", {cell: CELLS[cell].title for cell in OFFERED}, USUAL["cells"]),
    }


def specs(values: Values) -> list[RunSpec]:
    """Every cell at every gap up to the longest, the cells first."""
    if not values["cells"]:
        raise Refusal("cells must have at least one value, but got none")
    gaps = [gap for gap in GAPS if gap <= values["longest"]]
    return [
        RunSpec.make(task=values["sentence"], gap=gap, cell=cell, **_SMALL) for cell in values["cells"] for gap in gaps
    ]


# What came out


def learned(run: Run) -> bool:
    """Whether a run is nearer to knowing than to guessing: success above the middle between chance and all."""
    chance = run.facts.chance_success if run.facts is not None else 0.0
    return last_success(run) > (1 + chance) / 2


def _at_longest(runs: Sequence[Run]) -> list[Run]:
    longest = max(int(run.spec["gap"]) for run in runs)
    return [run for run in runs if run.spec["gap"] == longest]


def answer(values: Values, runs: Sequence[Run]) -> int:
    """All, only gated ones, only others (or some of each), none: at the longest gap."""
    far = _at_longest(runs)
    able = [run for run in far if learned(run)]
    if len(able) in (0, len(far)):
        return 0 if able else 3
    return 1 if all(_gated(run) for run in able) else 2


def _gated(run: Run) -> bool:
    return CELLS[str(run.spec["cell"])].memory_gate is not None


def why(values: Values, runs: Sequence[Run]) -> str:
    """The success of each cell at the longest gap."""
    far = _at_longest(runs)
    said = listed([f"{_cell(run)} {percent(last_success(run))}" for run in far])
    chance = far[0].facts.chance_success if far[0].facts is not None else 0.0
    return f"At gap {far[0].spec['gap']}: {said} right, where guessing gives {percent(chance)}."


def _cell(run: Run) -> str:
    return CELLS[str(run.spec["cell"])].title


def seen(values: Values, runs: Sequence[Run]) -> list[str]:
    """How far each cell got, and what that means."""
    found = []
    for cell in dict.fromkeys(str(run.spec["cell"]) for run in runs):
        own = [run for run in runs if run.spec["cell"] == cell]
        title = CELLS[cell].title
        able = [int(run.spec["gap"]) for run in own if learned(run)]
        lost = [int(run.spec["gap"]) for run in own if not learned(run)]
        if not lost:
            found.append(f"**{title}** names the right word at every gap, up to {max(able)}.")
        elif not able:
            found.append(f"**{title}** never gets away from guessing, not even at gap {min(lost)}.")
        else:
            found.append(f"**{title}** still does it at gap {max(able)} and fails at gap {min(lost)}.")
    return found


def own(values: Values, seen: Sequence[Seen]) -> None:
    """Success against gap."""
    runs = [one.run for one in seen]

    def make(theme: str, size: str) -> tuple[go.Figure, str]:
        prepared = success_along.prepare(
            runs,
            lambda run: float(run.spec["gap"]),
            _cell,
            title="Success against the gap",
            axis="gap: words from what must be remembered to the blank",
            unit="words back",
        )
        return success_along.draw(prepared, theme=theme, size=size), success_along.describe(prepared)  # type: ignore[arg-type]

    chart(
        SLUG,
        "success",
        "Success against the gap",
        "Each line is a kind of cell, each point a network of its own, trained with the word that matters so many "
        "words before the blank. A line that falls to the dotted one has learned nothing at that gap: its network "
        "only guesses.",
        version_of(seen),
        make,
    )


STOP = Stop(
    slug=SLUG,
    title="Short and long dependencies",
    question="How far back may the word lie that decides the answer, before a network cannot use it any more?",
    text=(
        "*The clouds are in the* … : the word that decides is close by, and almost any recurrent network learns to "
        "say *sky*. *I grew up in France … I speak fluent* … : the end of the sentence says that a language follows, "
        "but which one was said long before. Same network, same way of training: only the **gap** differs. Here each "
        "cell is trained anew at several gaps, on sentences whose filler words say nothing, so that guessing is all "
        "that is left to a network that has forgotten."
    ),
    equation=r"\hat y = \operatorname{softmax}(W_{hy}\,h_T), \qquad h_T = f(h_{T-1}, x_T), \qquad \text{gap} = T - p",
    letters=(
        r"$x_t$ word at step $t$; $h_t$ state after it; $f$ the cell, one function for all steps; $T$ the step of the "
        r"blank; $p$ the step of the word that decides; $W_{hy}$ reads the answer $\hat y$ off the last state."
    ),
    usual=USUAL,
    controls=controls,
    specs=specs,
    prediction=Prediction(
        "At the longest gap, which of the chosen cells will name the right word?",
        ("All of them", "Only cells with gates (GRU, LSTM)", "Only some, and not just those with gates", "None"),
        answer,
        why,
    ),
    seen=seen,
    figures=("profile",),
    own=own,
)
